// Folds over a tile that lies in memory, over pairs that were decided, and what raises gates.
#include "folds.cuh"

// A warp walks so many rows; a block of eight warps eight times as many.
#define WARP_ROWS 32
// Rows whose values a thread loads before it looks at them.  With 16 warps, the fewest there are on
// a multiprocessor, eight are 64 KiB under way, three times 4 TB/s times 700 ns on each of 132;
// folds that look at every value have too few registers for that.
#define MANY_ROWS 8
#define FEW_ROWS 2

template <class T>
struct Numbers {
  typedef float Value;
};
template <>
struct Numbers<double> {
  typedef double Value;
};

// Sixteen bytes of a row, which are aligned.
struct alignas(16) Packet {
  u32 word[4];
};
DEVICE void read(const Packet& from, int p, Half& entry) {
  entry.bits = (u16)(from.word[p / 2] >> p % 2 * 16);
}
DEVICE void read(const Packet& from, int p, float& entry) {
  entry = __uint_as_float(from.word[p]);
}
DEVICE void read(const Packet& from, int p, double& entry) {
  entry = __longlong_as_double((u64)from.word[2 * p + 1] << 32 | from.word[2 * p]);
}
template <class T>
struct Tile {
  const T* values;
  int rows, columns, stride, shift, magnitude;
};

// Whether any entry may have a strength that matters, seen without a look at each.
DEVICE bool is_reached(const Packet& packet, Half, const Floor& floor) {
  const u32 bits = floor.half_bits(), both = bits << 16 | bits;
  const u32 negative = floor.magnitude ? 0 : 0xffffffffu;
  u32 reach = 0;
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    const u32 word = packet.word[w];
    // Without their signs fp16 numbers have the order of integers: the top bits tell.
    reach |= ((word | 0x80008000u) - both) & ~(word & negative);
  }
  return bits == 0 || (reach & 0x80008000u) != 0;
}
DEVICE bool is_reached(const Packet& packet, float, const Floor& floor) {
  const float values[4] = {__uint_as_float(packet.word[0]), __uint_as_float(packet.word[1]),
                           __uint_as_float(packet.word[2]), __uint_as_float(packet.word[3])};
  return floor.is_reached(values);
}
DEVICE bool is_reached(const Packet&, double, const Floor&) {
  return true;
}

// What a thread of a walk has of each of its warp's rows: sixteen bytes.
template <class T, class Source>
struct Strip {
  typedef typename Numbers<T>::Value V;
  static constexpr int WIDTH = 16 / sizeof(T);
  Tile<T> tile;
  Source source;
  Columns<WIDTH, 2> columns;
  decltype(Source().column(0)) bounds[WIDTH], most_bound;

  DEVICE_METHOD Strip(const Tile<T>& tile, const Source& source)
      : tile(tile),
        source(source),
        columns{(int)(blockIdx.x * 32 + lane_number()) * WIDTH, tile.columns},
        bounds(),
        most_bound(source.most_of(columns)) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p)
      if (columns.has(p)) bounds[p] = source.column(columns[p]);
  }
  // Of a thread without columns the first ones, which it makes no use of.
  DEVICE_METHOD Packet load(int row) const {
    const int column = columns.has(0) ? columns.first : 0;
    return *(const Packet*)(tile.values + (i64)row * tile.stride + column);
  }
  template <class Fold>
  DEVICE_METHOD bool may_matter(const Packet& packet, int row, const Fold& fold) const {
    const Floor floor = source.floor(fold.least(row), source.row(row), most_bound, tile.magnitude);
    return columns.has(0) && is_reached(packet, T(), floor);
  }
  // All at once, or as many columns at a time as a fold takes, with what is known of them read
  // anew.
  template <class Fold>
  DEVICE_METHOD void hand_over(const Packet& packet, int row, Fold& fold) const {
    constexpr int PART = Fold::COUNT;
    const auto row_bound = source.row(row);
#pragma unroll
    for (int first = 0; first < WIDTH; first += PART) {
      const Columns<PART, 2> part = {columns.first + first, tile.columns};
      if (PART < WIDTH) fold.aim(part);
      Line<V, PART> line;
#pragma unroll
      for (int p = 0; p < PART; ++p) {
        const bool pair = part.has(p) && part[p] + tile.shift > row;
        T entry;
        read(packet, first + p, entry);
        const V stored = pair ? source.read(entry) : no_value(V());
        auto bound = bounds[first + p];
        if (PART < WIDTH) bound = part.has(p) ? source.column(part[p]) : 0;
        source.place(line, p, stored, row_bound, bound, tile.magnitude);
      }
      fold.fold(row, part, line);
    }
  }
};

// Hands COUNT rows over; where a fold selects, those that may matter.
template <int COUNT, class T, class Source, class Fold>
DEVICE void walk_rows(const Strip<T, Source>& strip, int first, Fold& fold) {
  Packet packets[COUNT];
#pragma unroll
  for (int r = 0; r < COUNT; ++r) packets[r] = strip.load(first + r);
  if (!Fold::SELECTS) {
#pragma unroll
    for (int r = 0; r < COUNT; ++r) strip.hand_over(packets[r], first + r, fold);
    return;
  }
  u32 matter = 0;
#pragma unroll
  for (int r = 0; r < COUNT; ++r)
    matter |= (u32)(__ballot_sync(WARP, strip.may_matter(packets[r], first + r, fold)) != 0) << r;
  // So few that they are read again: what else is done with a row takes many registers.
  for (; matter; matter &= matter - 1) {
    const int row = first + __ffs(matter) - 1;
    strip.hand_over(strip.load(row), row, fold);
  }
}

// The walk that all folds of a stored tile share.
template <class T, class Source, class Fold>
DEVICE void walk(const Tile<T>& tile, const Source& source, Fold fold) {
  DYNAMIC_SHARED(room);
  const Strip<T, Source> strip(tile, source);
  const int last_column = (blockIdx.x + 1) * 32 * strip.WIDTH - 1;
  fold.begin(room);
  if (Fold::COUNT == strip.WIDTH) fold.aim(strip.columns);
  fold.watch(strip.columns);
  int row = (blockIdx.y * 8 + threadIdx.x / 32) * WARP_ROWS;
  for (; row < tile.rows; row += gridDim.y * 8 * WARP_ROWS) {
    const int most = row + WARP_ROWS < tile.rows ? row + WARP_ROWS : tile.rows;
    const int end = last_column + tile.shift < most ? last_column + tile.shift : most;
    constexpr int TOGETHER = Fold::SELECTS ? MANY_ROWS : FEW_ROWS;
    int low = row;
    for (; low + TOGETHER <= end; low += TOGETHER) walk_rows<TOGETHER>(strip, low, fold);
    for (; low < end; ++low) walk_rows<1>(strip, low, fold);
    if (row < end) fold.rest(end - 1, strip.columns);
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
  walk(TILE(float), List<float, 2>{GATES, LISTING(float)});
}
KERNEL(list_f16)(TILE_ARGUMENTS(Half), GATE_ARGUMENTS(float), LIST_ARGUMENTS(float)) {
  walk(TILE(Half), List<float, 2>{GATES, LISTING(float)});
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

// The largest float32 gates that are not above those given.
KERNEL(narrow_gates)(const double* gates, int count, float* narrow) {
  for (int gate = blockIdx.x * 256 + threadIdx.x; gate < count; gate += gridDim.x * 256)
    narrow[gate] = __double2float_rd(gates[gate]);
}

// To the k-th largest peak of each line, found bit by bit; a warp a line.
KERNEL(raise_gates)(const u64* peaks, int lines, int groups, i64 line_stride, i64 group_stride,
                    int k, double* gates, float* narrow) {
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
    if (lane_number() != 0 || order == 0) continue;
    const float raised = from_ordered(order);
    narrow[line] = fmaxf(narrow[line], raised);
    gates[line] = fmax(gates[line], (double)raised);
  }
}
