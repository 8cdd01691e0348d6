// Products on the tensor cores that are folded where they are, in registers.
//
// For rows so short that products take longer to write and to read than to multiply.  A block of
// eight warps multiplies 128 x 128 pairs at a time, a warp 64 x 32 of them, and the depth is
// brought in by pieces of 32 entries, up to two ahead.
#include "folds.cuh"

#if __CUDA_ARCH__ >= 800
#define SIDE 128
#define PIECE 64  // bytes
#define STAGES 3
#define STAGE_BYTES (2 * SIDE * PIECE)  // formats.FUSED_SHARED is STAGES of them
#define WARP_ROWS 64
#define WARP_COLUMNS 32
#define TILES 4  // that a block has side by side: formats.FUSED_COLUMNS are the columns of these

// Where the 16 bytes `part` of a row stand: no two of eight rows in the same banks.
DEVICE int place_of(int row, int part) {
  return row * PIECE + ((part ^ (row >> 1 & 3)) << 4);
}

struct Rows {
  const Half* entries;
  int count, stride;
};

// Brings in a piece of both sides: 256 threads, a quarter of a row each, four times.
DEVICE void bring(const Rows& left, const Rows& right, int piece, unsigned char* stage) {
#pragma unroll
  for (int turn = 0; turn < 4; ++turn) {
    const int task = threadIdx.x + turn * 256, row = task / 4 % SIDE, part = task % 4;
    const Rows& side = turn < 2 ? left : right;
    const int from = row < side.count ? row : 0;
    const Half* entries = side.entries + (i64)from * side.stride + piece * 32 + part * 8;
    unsigned char* to = stage + (turn < 2 ? 0 : SIDE * PIECE) + place_of(row, part);
    copy_async(to, entries, row < side.count ? 16 : 0);
  }
}

// A block's tiles, side by side, as pieces that come in up to two ahead of what is multiplied.
struct Pieces {
  Rows left, right;
  int each;  // of a tile
  unsigned char* room;

  DEVICE_METHOD unsigned char* stage(int piece) const {
    return room + piece % STAGES * STAGE_BYTES;
  }
  // Brings one in, unless it is `end` or beyond.
  DEVICE_METHOD void come(int piece, int end) const {
    if (piece < end) {
      const int tile = piece / each, first = tile * SIDE;
      const Rows side = {right.entries + (i64)first * right.stride, right.count - first,
                         right.stride};
      bring(left, side, piece - tile * each, stage(piece));
    }
    commit_copies();
  }
  DEVICE_METHOD void begin(int piece, int end) const {
    for (int next = piece; next < piece + STAGES - 1; ++next) come(next, end);
  }
};

// Multiplies the pieces of a tile; the first of those up to `end` are coming in.
//
// sums[m][n]: fragments of 16 x 8 products, 4 x 4 of them a warp.
DEVICE void multiply(float (&sums)[4][4][4], const Pieces& pieces, int tile, int end) {
  const int lane = lane_number(), warp = threadIdx.x / 32;
  const int row = warp / 4 * WARP_ROWS, column = warp % 4 * WARP_COLUMNS;
  for (int piece = tile * pieces.each; piece < (tile + 1) * pieces.each; ++piece) {
    wait_for_copies<STAGES - 2>();
    __syncthreads();  // this piece has come for all, and all are done with the one before it
    pieces.come(piece + STAGES - 1, end);
    const unsigned char* x = pieces.stage(piece);
    const unsigned char* y = x + SIDE * PIECE;
#pragma unroll
    for (int half = 0; half < 2; ++half) {  // 16 entries of the depth
      u32 a[4][4], b[4][2];
#pragma unroll
      for (int m = 0; m < 4; ++m)
        load_fragments(a[m], x + place_of(row + m * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
      for (int n = 0; n < 4; n += 2) {
        u32 both[4];
        const int at = column + n * 8 + lane / 16 * 8 + lane % 8;
        load_fragments(both, y + place_of(at, half * 2 + lane / 8 % 2));
        b[n][0] = both[0], b[n][1] = both[1], b[n + 1][0] = both[2], b[n + 1][1] = both[3];
      }
#pragma unroll
      for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int n = 0; n < 4; ++n) multiply_add(sums[m][n], a[m], b[n]);
    }
  }
}

// The products' tile in terms of the whole one.
struct Place {
  int row, column, rows, columns, shift, magnitude;
};

// A thread's fragments are of rows 8 apart and of pairs of columns 8 apart.
template <class Fold>
DEVICE void fold_products(const float (&sums)[4][4][4], const Place& place, const Screened& source,
                          Fold& fold) {
  const int lane = lane_number(), warp = threadIdx.x / 32;
  const int first_row = place.row + warp / 4 * WARP_ROWS + lane / 4;
  const Columns<8, 8> all = {place.column + warp % 4 * WARP_COLUMNS + lane % 4 * 2, place.columns};
  fold.watch(all);
  const float most_bound = source.most_of(all);
#pragma unroll
  for (int m = 0; m < 4; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = first_row + m * 16 + half * 8, known = i < place.rows ? i : place.rows - 1;
      const float row_bound = source.row(known);
      if (Fold::SELECTS) {
        float products[8];
#pragma unroll
        for (int p = 0; p < 8; ++p) products[p] = sums[m][p / 2][half * 2 + p % 2];
        const Floor floor = source.floor(fold.least(known), row_bound, most_bound, place.magnitude);
        if (!__ballot_sync(WARP, floor.is_reached(products))) continue;
      }
    // Two columns at a time: more at once would not fit into the registers.
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        const Columns<2, 2> at = {all.first + n * 8, place.columns};
        fold.aim(at);
        Line<float, 2> line;
#pragma unroll
        for (int p = 0; p < 2; ++p) {
          const bool pair = i < place.rows && at.has(p) && at[p] + place.shift > i;
          const float stored = pair ? sums[m][n][half * 2 + p] : no_value(0.f);
          const float bound = at.has(p) ? source.column(at[p]) : 0.f;
          source.place(line, p, stored, row_bound, bound, place.magnitude);
        }
        fold.fold(known, at, line);
      }
    }
}

// Folds that select have no use for shared memory: there the next tile's pieces come in meanwhile.
template <class Fold>
DEVICE void multiply_and_fold(const Half* left, const Half* right, int rows, int columns, int depth,
                              int left_stride, int right_stride, const Screened& source, int shift,
                              int magnitude, Fold fold) {
  DYNAMIC_SHARED(room);
  const int row = blockIdx.y * SIDE, column = blockIdx.x * SIDE * TILES;
  const int left_over = (columns - column + SIDE - 1) / SIDE;
  const int tiles = left_over < TILES ? left_over : TILES;
  const int before = row - shift - column;  // columns of the block before those with pairs, and one
  int tile = before < SIDE - 1 ? 0 : (before + 1) / SIDE;
  const Pieces pieces = {Rows{left + (i64)row * left_stride, rows - row, left_stride},
                         Rows{right + (i64)column * right_stride, columns - column, right_stride},
                         depth / 32, room};
  if (Fold::SELECTS) pieces.begin(tile * pieces.each, tiles * pieces.each);
  for (; tile < tiles; ++tile) {
    const int end = (Fold::SELECTS ? tiles : tile + 1) * pieces.each;
    if (!Fold::SELECTS) pieces.begin(tile * pieces.each, end);
    float sums[4][4][4] = {};
    multiply(sums, pieces, tile, end);
    const Place place = {anew(row), column + tile * SIDE, rows, columns, shift, magnitude};
    if (!Fold::SELECTS) {
      __syncthreads();  // `room` may be used anew
      fold.begin(room);
    }
    fold_products(sums, place, source, fold);
    if (!Fold::SELECTS) {
      fold.end();
      __syncthreads();
    }
  }
}

#define FUSED_ARGUMENTS                                                                   \
  const Half *left, const Half *right, int rows, int columns, int depth, int left_stride, \
      int right_stride, float scale, const float *row_bounds, const float *column_bounds, \
      int shift, int magnitude
#define FUSED                                                   \
  left, right, rows, columns, depth, left_stride, right_stride, \
      Screened{scale, 0.f, row_bounds, column_bounds}, shift, magnitude

KERNEL(fused_list_f16)(FUSED_ARGUMENTS, GATE_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  multiply_and_fold(FUSED, List<float, 2>{GATES, LISTING(float)});
}
KERNEL(fused_ranks_f16)(FUSED_ARGUMENTS, RANK_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  multiply_and_fold(FUSED, Ranks<float, 2>{RANKS, LISTING(float)});
}
#endif
