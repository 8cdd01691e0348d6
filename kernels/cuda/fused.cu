// A tile of products on the tensor cores that is folded where it is, in registers.
//
// For rows so short that a tile takes longer to write and to read than to multiply.  A block of
// eight warps multiplies 128 x 128 pairs, a warp 64 x 32 of them, and the depth is brought in by
// pieces of 32 entries, up to two ahead.
#include "folds.cuh"

#if __CUDA_ARCH__ >= 800
#define SIDE 128
#define PIECE 64  // bytes
#define STAGES 3
#define STAGE_BYTES (2 * SIDE * PIECE)  // loader.FUSED_SHARED is STAGES of them
#define WARP_ROWS 64
#define WARP_COLUMNS 32

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

// sums[m][n]: fragments of 16 x 8 products, 4 x 4 of them a warp.
DEVICE void multiply(float (&sums)[4][4][4], const Rows& left, const Rows& right, int pieces,
                     unsigned char* room) {
  const int lane = lane_number(), warp = threadIdx.x / 32;
  const int row = warp / 4 * WARP_ROWS, column = warp % 4 * WARP_COLUMNS;
  for (int piece = 0; piece < STAGES - 1; ++piece) {
    if (piece < pieces) bring(left, right, piece, room + piece * STAGE_BYTES);
    commit_copies();
  }
  for (int piece = 0; piece < pieces; ++piece) {
    wait_for_copies<STAGES - 2>();
    __syncthreads();  // this piece has come for all, and all are done with the one before it
    const int next = piece + STAGES - 1;
    if (next < pieces) bring(left, right, next, room + next % STAGES * STAGE_BYTES);
    commit_copies();
    const unsigned char* x = room + piece % STAGES * STAGE_BYTES;
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
  __syncthreads();  // `room` may be used anew
}

// A thread's fragments are of rows 8 apart and of pairs of columns 8 apart.
template <class Fold>
DEVICE void multiply_and_fold(const Half* left, const Half* right, int rows, int columns, int depth,
                              int left_stride, int right_stride, const Screened& source, int shift,
                              int magnitude, Fold fold) {
  DYNAMIC_SHARED(room);
  const int row = blockIdx.y * SIDE, column = blockIdx.x * SIDE;
  const int last = column + SIDE < columns ? column + SIDE - 1 : columns - 1;
  if (last + shift <= row) return;
  float sums[4][4][4] = {};
  multiply(sums, Rows{left + (i64)row * left_stride, rows - row, left_stride},
           Rows{right + (i64)column * right_stride, columns - column, right_stride}, depth / 32,
           room);
  const int lane = lane_number(), warp = threadIdx.x / 32;
  const int first_row = row + warp / 4 * WARP_ROWS + lane / 4;
  const Columns<8, 8> at = {column + warp % 4 * WARP_COLUMNS + lane % 4 * 2, columns};
  fold.begin(room);
  fold.aim(at);
  float bounds[8] = {};
#pragma unroll
  for (int p = 0; p < 8; ++p)
    if (at.has(p)) bounds[p] = source.column(at[p]);
#pragma unroll
  for (int m = 0; m < 4; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = first_row + m * 16 + half * 8, known = i < rows ? i : rows - 1;
      const float row_bound = source.row(known);
      Line<float, 8> line;
#pragma unroll
      for (int p = 0; p < 8; ++p) {
        const bool pair = i < rows && at.has(p) && at[p] + shift > i;
        const float stored = pair ? sums[m][p / 2][half * 2 + p % 2] : no_value(0.f);
        source.place(line, p, stored, row_bound, bounds[p], magnitude);
      }
      fold.fold(known, at, line);
    }
  fold.end();
}

#define FUSED_ARGUMENTS                                                                   \
  const Half *left, const Half *right, int rows, int columns, int depth, int left_stride, \
      int right_stride, float scale, const float *row_bounds, const float *column_bounds, \
      int shift, int magnitude
#define FUSED                                                   \
  left, right, rows, columns, depth, left_stride, right_stride, \
      Screened{scale, 0.f, row_bounds, column_bounds}, shift, magnitude

KERNEL(fused_list_f16)(FUSED_ARGUMENTS, GATE_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  multiply_and_fold(FUSED, List<float, 8>{GATES, LISTING(float)});
}
KERNEL(fused_ranks_f16)(FUSED_ARGUMENTS, RANK_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  multiply_and_fold(FUSED, Ranks<float, 8>{RANKS, LISTING(float)});
}
#endif
