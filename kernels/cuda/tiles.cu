// Folds over a tile that lies in memory, over pairs that were decided, and what raises gates.
#include "folds.cuh"

// A warp walks so many rows; a block of eight warps eight times as many.
#define WARP_ROWS 32
// Rows whose values a thread loads before it looks at them: with 16 warps, the fewest there are on
// a multiprocessor, 16 KiB are under way, more than 3 TB/s times 600 ns on each of 132.
#define TOGETHER 2

template <class T>
struct Numbers {
  typedef float Value;
};
template <>
struct Numbers<double> {
  typedef double Value;
};

// Sixteen bytes of a row, read at once where they are aligned.
template <class T>
struct alignas(16) Packet {
  T entry[16 / sizeof(T)];
};

template <class T>
struct Tile {
  const T* values;
  int rows, columns, stride, shift, magnitude;
};

template <class T, int WIDTH>
DEVICE void load(const Tile<T>& tile, int row, int column, bool packed, T (&entries)[WIDTH]) {
  const T* from = tile.values + (i64)row * tile.stride + column;
  if (packed && column + WIDTH <= tile.columns) {
    const Packet<T> packet = *(const Packet<T>*)from;
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) entries[p] = packet.entry[p];
  } else {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) entries[p] = column + p < tile.columns ? from[p] : T();
  }
}

// The one walk.  A thread has sixteen bytes of each of its warp's rows.
template <class T, class Source, class Fold>
DEVICE void walk(const Tile<T>& tile, const Source& source, Fold fold) {
  DYNAMIC_SHARED(room);
  typedef typename Numbers<T>::Value V;
  constexpr int WIDTH = 16 / sizeof(T);
  const Columns<WIDTH, 2> columns = {(int)(blockIdx.x * 32 + lane_number()) * WIDTH, tile.columns};
  const int last_column = (blockIdx.x + 1) * 32 * WIDTH - 1;
  const bool packed = tile.stride % WIDTH == 0 && (u64)tile.values % 16 == 0;
  fold.begin(room);
  fold.aim(columns);
  decltype(source.column(0)) bounds[WIDTH] = {};
#pragma unroll
  for (int p = 0; p < WIDTH; ++p)
    if (columns.has(p)) bounds[p] = source.column(columns[p]);
  int row = (blockIdx.y * 8 + threadIdx.x / 32) * WARP_ROWS;
  for (; row < tile.rows; row += gridDim.y * 8 * WARP_ROWS) {
    const int most = row + WARP_ROWS < tile.rows ? row + WARP_ROWS : tile.rows;
    const int end = last_column + tile.shift < most ? last_column + tile.shift : most;
    for (int low = row; low < end; low += TOGETHER) {
      T entries[TOGETHER][WIDTH];
#pragma unroll
      for (int r = 0; r < TOGETHER; ++r)
        if (low + r < end) load(tile, low + r, columns.first, packed, entries[r]);
#pragma unroll
      for (int r = 0; r < TOGETHER; ++r) {
        const int i = low + r;
        if (i >= end) break;
        const auto row_bound = source.row(i);
        Line<V, WIDTH> line;
#pragma unroll
        for (int p = 0; p < WIDTH; ++p) {
          const bool pair = columns.has(p) && columns[p] + tile.shift > i;
          const V stored = pair ? source.read(entries[r][p]) : no_value(V());
          source.place(line, p, stored, row_bound, bounds[p], tile.magnitude);
        }
        fold.fold(i, columns, line);
      }
    }
    if (row < end) fold.rest(end - 1, columns);
  }
  fold.end();
}

// Pairs in a list, a thread each.
template <class Fold>
DEVICE void sift(const double* cosines, const int* rows, const int* columns, u32 pairs,
                 int magnitude, Fold fold) {
  DYNAMIC_SHARED(room);
  fold.begin(room);
  for (u32 low = blockIdx.x * 256; low < pairs; low += gridDim.x * 256) {
    const u32 pair = low + threadIdx.x, place = pair < pairs ? pair : low;
    const int column = columns[place];
    const Columns<1, 2> at = {column, column + 1};
    fold.aim(at);
    Line<double, 1> line;
    Decided().place(line, 0, pair < pairs ? cosines[place] : no_value(0.0), 0, 0, magnitude);
    fold.fold(rows[place], at, line);
  }
  fold.end();
}

// Arguments that kernels share, and the records that they fill.
#define TILE_ARGUMENTS(T)                                                        \
  const T *tile, int rows, int columns, int stride, float scale, float relative, \
      const float *row_bounds, const float *column_bounds, int shift, int magnitude
#define TILE(T)                                                      \
  Tile<T>{tile, rows, columns, stride, shift, magnitude}, Screened { \
    scale, relative, row_bounds, column_bounds                       \
  }
#define COSINE_ARGUMENTS \
  const double *tile, int rows, int columns, int stride, int shift, int magnitude
#define COSINES                                                          \
  Tile<double>{tile, rows, columns, stride, shift, magnitude}, Decided { \
  }
#define PAIR_ARGUMENTS                                                                    \
  const double *cosines, const int *pair_rows, const int *pair_columns, const u32 *pairs, \
      u32 pair_room, int magnitude
#define PAIRS cosines, pair_rows, pair_columns, *pairs < pair_room ? *pairs : pair_room, magnitude
#define PEAK_ARGUMENTS int width, int height, u64 *row_peaks, int row_groups, u64 *column_peaks
#define PEAKS width, height, row_peaks, row_groups, column_peaks

KERNEL(list_f32)(TILE_ARGUMENTS(float), GATE_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  walk(TILE(float), List<float, 4>{GATES, LISTING(float)});
}
KERNEL(list_f16)(TILE_ARGUMENTS(Half), GATE_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  walk(TILE(Half), List<float, 8>{GATES, LISTING(float)});
}
KERNEL(list_f64)(COSINE_ARGUMENTS, GATE_ARGUMENTS(double), LIST_ARGUMENTS(double)) {
  walk(COSINES, List<double, 2>{GATES, LISTING(double)});
}
KERNEL(sift_list)(PAIR_ARGUMENTS, GATE_ARGUMENTS(double), LIST_ARGUMENTS(double)) {
  sift(PAIRS, List<double, 1>{GATES, LISTING(double)});
}

KERNEL(ranks_f32)(TILE_ARGUMENTS(float), RANK_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  walk(TILE(float), Ranks<float, 4>{RANKS, LISTING(float)});
}
KERNEL(ranks_f16)(TILE_ARGUMENTS(Half), RANK_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  walk(TILE(Half), Ranks<float, 8>{RANKS, LISTING(float)});
}
KERNEL(ranks_f64)(COSINE_ARGUMENTS, RANK_ARGUMENTS(double), LIST_ARGUMENTS(double)) {
  walk(COSINES, Ranks<double, 2>{RANKS, LISTING(double)});
}
KERNEL(sift_ranks)(PAIR_ARGUMENTS, RANK_ARGUMENTS(double), LIST_ARGUMENTS(double)) {
  sift(PAIRS, Ranks<double, 1>{RANKS, LISTING(double)});
}

KERNEL(total_f32)(TILE_ARGUMENTS(float), double* parts) {
  walk(TILE(float), Total<float, 4>{parts});
}
KERNEL(total_f64)(COSINE_ARGUMENTS, double* parts) {
  walk(COSINES, Total<double, 2>{parts});
}

KERNEL(peaks_f32)(TILE_ARGUMENTS(float), PEAK_ARGUMENTS) {
  walk(TILE(float), Peaks<float, 4>{PEAKS});
}
KERNEL(peaks_f16)(TILE_ARGUMENTS(Half), PEAK_ARGUMENTS) {
  walk(TILE(Half), Peaks<float, 8>{PEAKS});
}
KERNEL(peaks_f64)(COSINE_ARGUMENTS, PEAK_ARGUMENTS) {
  walk(COSINES, Peaks<double, 2>{PEAKS});
}

// The k-th largest peak of each line, bit by bit; a warp a line.
KERNEL(raise_gates)(const u64* peaks, int lines, int groups, i64 line_stride, i64 group_stride,
                    int k, float* gates) {
  for (int line = blockIdx.x * 8 + threadIdx.x / 32; line < lines; line += gridDim.x * 8) {
    const u64* from = peaks + line * line_stride;
    u32 order = 0;
    for (u32 bit = 0x80000000u; bit; bit >>= 1) {
      int reach = 0;
      for (int group = lane_number(); group < groups; group += 32)
        reach += (u32)(from[group * group_stride] >> 32) >= (order | bit);
      for (int step = 16; step; step /= 2) reach += __shfl_xor_sync(WARP, reach, step);
      if (reach >= k) order |= bit;
    }
    if (lane_number() == 0 && order) gates[line] = fmaxf(gates[line], from_ordered(order));
  }
}
