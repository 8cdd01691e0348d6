// The folds: what becomes of values, whichever walk brings them.
//
// A walk gives a fold one line after the other: WIDTH values of one row, in the columns that it was
// last aimed at.  All lanes of a warp do so together, as a fold may ask the others; each may have a
// row and columns of its own, and has NaN where there is no pair.  A value's strength lies between
// `low` and `high`; V is float for what the screens multiply, and double for cosines, which are
// certain.
#include "deciding.cuh"

DEVICE int lane_number() {
  return threadIdx.x % 32;
}

// The larger is the better: the value, or its magnitude.
DEVICE float strength(float value, int magnitude) {
  return magnitude ? fabsf(value) : value;
}
DEVICE double strength(double value, int magnitude) {
  return magnitude ? fabs(value) : value;
}

DEVICE float no_value(float) {
  return __int_as_float(0x7fffffff);
}
DEVICE double no_value(double) {
  return __longlong_as_double(0x7fffffffffffffffll);
}

template <class V, int WIDTH>
struct Line {
  V value[WIDTH], low[WIDTH], high[WIDTH];
};

// Columns first, first + 1, then GAP further on again two, and so on.
template <int WIDTH, int GAP>
struct Columns {
  static constexpr int COUNT = WIDTH;
  int first, end;  // those from `end` on are beyond the tile
  DEVICE_METHOD int operator[](int place) const { return first + place / 2 * GAP + place % 2; }
  DEVICE_METHOD bool has(int place) const { return (*this)[place] < end; }
};

DEVICE float smaller(float a, float b) {
  return fminf(a, b);
}
DEVICE double smaller(double a, double b) {
  return fmin(a, b);
}
// What stored numbers must reach to matter to anyone, or less: most do not, and are passed over.
struct Floor {
  float value;
  int magnitude;
  template <int WIDTH>
  DEVICE_METHOD bool is_reached(const float (&stored)[WIDTH]) const {
    float most = strength(stored[0], magnitude);
#pragma unroll
    for (int p = 1; p < WIDTH; ++p) most = fmaxf(most, strength(stored[p], magnitude));
    return !(value > 0.f && most < value);
  }
  // The bits of the largest fp16 number that is not above; those of zero if that is subnormal.
  DEVICE_METHOD u32 half_bits() const {
    if (value >= 65504.f) return 0x7bff;
    return value >= 0x1p-14f ? (__float_as_uint(value) - 0x38000000u) >> 13 : 0;
  }
};

// What a stored number says about a pair of two sides' vectors.
struct Screened {  // a float32 or fp16 product, within a bound
  float scale, relative;
  const float *row_bounds, *column_bounds;
  static DEVICE_METHOD float read(float stored) { return stored; }
  static DEVICE_METHOD float read(Half stored) { return single(stored); }
  DEVICE_METHOD float row(int i) const { return row_bounds[i]; }
  DEVICE_METHOD float column(int j) const { return column_bounds[j]; }
  template <class Places>
  DEVICE_METHOD float most_of(const Places& columns) const {
    float most = 0.f;
#pragma unroll
    for (int p = 0; p < Places::COUNT; ++p)
      if (columns.has(p)) most = fmaxf(most, glance(column_bounds + columns[p]));
    return most;
  }
  // From the least strength that matters; the factors make up for all roundings, also of `place`.
  DEVICE_METHOD Floor floor(float least, float row_bound, float column_bound, int magnitude) const {
    const float room = 0x1p-20f;
    const float left = __fsub_rd(least * (1.f - room), __fadd_ru(row_bound, column_bound));
    return {left * (1.f - room - relative) / scale, magnitude};
  }
  template <int WIDTH>
  DEVICE_METHOD void place(Line<float, WIDTH>& line, int p, float stored, float row_bound,
                           float column_bound, int magnitude) const {
    const float value = scale * stored, size = strength(value, magnitude);
    const float bound = __fmaf_ru(relative, fabsf(value), __fadd_ru(row_bound, column_bound));
    line.value[p] = value;
    line.low[p] = __fsub_rd(size, bound);
    line.high[p] = __fadd_ru(size, bound);
  }
};
struct Decided {  // a cosine
  static DEVICE_METHOD double read(double stored) { return stored; }
  DEVICE_METHOD int row(int) const { return 0; }
  DEVICE_METHOD int column(int) const { return 0; }
  template <class Places>
  DEVICE_METHOD int most_of(const Places&) const {
    return 0;
  }
  DEVICE_METHOD Floor floor(double, int, int, int magnitude) const { return {0.f, magnitude}; }
  template <int WIDTH>
  DEVICE_METHOD void place(Line<double, WIDTH>& line, int p, double stored, int, int,
                           int magnitude) const {
    line.value[p] = stored;
    line.low[p] = line.high[p] = strength(stored, magnitude);
  }
};

// Room for listed pairs; `found` counts on where they do not fit.
template <class V>
struct Listing {
  u32* found;
  u32 room;
  int *rows, *columns;
  V* values;
  DEVICE_METHOD void add(bool hit, int row, int column, V value) const {
    const u32 hits = __ballot_sync(WARP, hit);
    if (hits == 0) return;
    const int lane = lane_number(), leader = __ffs(hits) - 1;
    u32 base = 0;
    if (lane == leader) base = atomicAdd(found, (u32)__popc(hits));
    const u32 place = __shfl_sync(WARP, base, leader) + __popc(hits & ((1u << lane) - 1));
    if (!hit || place >= room) return;
    rows[place] = row;
    columns[place] = column;
    values[place] = value;
  }
  template <int WIDTH, class Places>
  DEVICE_METHOD void add(const bool (&hits)[WIDTH], int row, const Places& columns_at,
                         const Line<V, WIDTH>& line) const {
    bool any = false;
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) any |= hits[p];
    if (__ballot_sync(WARP, any) == 0) return;
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) add(hits[p], row, columns_at[p], line.value[p]);
  }
};

// Lists what reaches its row's gate or its column's.
template <class V, int WIDTH>
struct List {
  // Of what screens multiply only values that reach least(row) matter, and few do.
  static constexpr bool SELECTS = sizeof(V) == 4;
  static constexpr int COUNT = WIDTH;
  const V *row_gates, *column_gates;
  Listing<V> listing;
  V gates[WIDTH], lowest;

  DEVICE_METHOD void begin(unsigned char*) {}
  template <class Places>
  DEVICE_METHOD void aim(const Places& columns) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p)
      gates[p] = columns.has(p) ? column_gates[columns[p]] : no_value(V());
  }
  // Columns that `least` is about from now on.
  template <class Places>
  DEVICE_METHOD void watch(const Places& columns) {
    lowest = no_value(V());
#pragma unroll
    for (int p = 0; p < Places::COUNT; ++p)
      if (columns.has(p)) lowest = smaller(lowest, glance(column_gates + columns[p]));
  }
  DEVICE_METHOD V least(int row) const { return smaller(row_gates[row], lowest); }
  template <class Places>
  DEVICE_METHOD void fold(int row, const Places& columns, const Line<V, WIDTH>& line) {
    const V gate = row_gates[row];
    bool hits[WIDTH];
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) hits[p] = line.high[p] >= gate || line.high[p] >= gates[p];
    listing.add(hits, row, columns, line);
  }
  template <class Places>
  DEVICE_METHOD void rest(int, const Places&) {}
  DEVICE_METHOD void end() {}
};

// A stretch of values, `before` thresholds below it and those up to `upto` in it; with one at most,
// and where nothing is listed, the next two thresholds tell all, else `next` is NaN.
struct alignas(16) Cell {
  int before, upto;
  float next, second;
};

// Counts the values of each rank, the number of thresholds that they reach, and lists those whose
// rank is not certain or is to be listed.
//
// What a value's cell is, is computed with the very operations that thresholds were given theirs
// with, none of which changes an order, so that the search in a cell misses nothing.  Each count
// has `copies` in shared memory, so that a warp's lanes seldom meet.
template <class V, int WIDTH>
struct Ranks {
  static constexpr bool SELECTS = false;
  static constexpr int COUNT = WIDTH;
  const V* thresholds;
  int ranks;
  const int* cells;
  int cell_count;
  float origin, cells_in_1;
  const u8* listed;
  u64* counts;
  int copies;
  Listing<V> listing;
  u32* shared;

  DEVICE_METHOD void begin(unsigned char* room) {
    shared = (u32*)room;
    for (int r = threadIdx.x; r < ranks * copies; r += blockDim.x) shared[r] = 0;
    __syncthreads();
  }
  template <class Places>
  DEVICE_METHOD void aim(const Places&) {}
  template <class Places>
  DEVICE_METHOD void watch(const Places&) {}
  DEVICE_METHOD V least(int) const { return V(); }
  DEVICE_METHOD int cell(V value) const {
    const float place = __fmul_rn(__fsub_rn((float)value, origin), cells_in_1);
    return place >= (float)(cell_count - 1) ? cell_count - 1 : place > 0.f ? (int)place : 0;
  }
  DEVICE_METHOD bool is_plain(const Cell& at) const { return sizeof(V) == 4 && at.next == at.next; }
  DEVICE_METHOD int search(const Cell& at, V value) const {
    int low = at.before, high = at.upto;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (thresholds[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  DEVICE_METHOD void count(int rank) const {
    if (rank == 0) return;  // means nothing
    if (copies) atomicAdd(shared + rank * copies + (lane_number() & (copies - 1)), 1u);
    else atomicAdd(counts + rank, (u64)1);
  }
  template <class Places>
  DEVICE_METHOD void fold(int row, const Places& columns, const Line<V, WIDTH>& line) {
    bool hits[WIDTH];
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) {
      hits[p] = false;
      if (!(line.low[p] <= line.high[p])) continue;
      const Cell at = ((const Cell*)cells)[cell(line.low[p])];
      int reached;
      if (is_plain(at)) {
        const bool passed = at.next <= line.low[p];
        reached = at.before + passed;
        hits[p] = (passed ? at.second : at.next) <= line.high[p];
      } else {
        reached = search(at, line.low[p]);
        hits[p] = listed[reached] || (reached < ranks - 1 && thresholds[reached] <= line.high[p]);
      }
      if (!hits[p]) count(reached);
    }
    listing.add(hits, row, columns, line);
  }
  template <class Places>
  DEVICE_METHOD void rest(int, const Places&) {}
  DEVICE_METHOD void end() {
    __syncthreads();
    for (int r = threadIdx.x; copies && r < ranks; r += blockDim.x) {
      u32 sum = 0;
      for (int copy = 0; copy < copies; ++copy) sum += shared[r * copies + copy];
      if (sum) atomicAdd(counts + r, (u64)sum);
    }
  }
};

// Sums magnitudes: a part for each block, added in an order that only its shape decides.
template <class V, int WIDTH>
struct Total {
  static constexpr bool SELECTS = false;
  static constexpr int COUNT = WIDTH;
  double* parts;
  double sum;

  DEVICE_METHOD void begin(unsigned char*) { sum = 0.0; }
  template <class Places>
  DEVICE_METHOD void aim(const Places&) {}
  template <class Places>
  DEVICE_METHOD void watch(const Places&) {}
  DEVICE_METHOD V least(int) const { return V(); }
  template <class Places>
  DEVICE_METHOD void fold(int, const Places&, const Line<V, WIDTH>& line) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p)
      if (line.low[p] <= line.high[p]) sum += fabs((double)line.value[p]);
  }
  template <class Places>
  DEVICE_METHOD void rest(int, const Places&) {}
  DEVICE_METHOD void end() {
    SHARED(double, warps, 8);
    for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(WARP, sum, step);
    if (lane_number() == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    double all = 0.0;
    for (int warp = 0; warp < 8; ++warp) all += warps[warp];
    parts[blockIdx.y * gridDim.x + blockIdx.x] = all;
  }
};

// An order of float32 numbers as integers, none of which is 0.
DEVICE u32 ordered(float x) {
  const u32 bits = __float_as_uint(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
DEVICE float from_ordered(u32 order) {
  return __uint_as_float(order & 0x80000000u ? order ^ 0x80000000u : ~order);
}
DEVICE float rounded_down(float x) {
  return x;
}
DEVICE float rounded_down(double x) {
  return __double2float_rd(x);
}
DEVICE u64 larger(u64 a, u64 b) {
  return a > b ? a : b;
}

// The largest value of each group of columns and of rows, and the lowest index that has it.  Lanes
// of a warp must share the row and hold columns side by side.
template <class V, int WIDTH>
struct Peaks {
  static constexpr bool SELECTS = false;
  static constexpr int COUNT = WIDTH;
  int width, height;
  u64* row_peaks;
  int row_groups;
  u64* column_peaks;
  u64 best[WIDTH];

  DEVICE_METHOD void begin(unsigned char*) {}
  template <class Places>
  DEVICE_METHOD void aim(const Places&) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) best[p] = 0;
  }
  template <class Places>
  DEVICE_METHOD void watch(const Places&) {}
  DEVICE_METHOD V least(int) const { return V(); }
  template <class Places>
  DEVICE_METHOD void fold(int row, const Places& columns, const Line<V, WIDTH>& line) {
    u64 peak = 0;
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) {
      if (!(line.low[p] <= line.high[p])) continue;
      const u64 order = (u64)ordered(rounded_down(line.low[p])) << 32;
      peak = larger(peak, order | ~(u32)columns[p]);
      best[p] = larger(best[p], order | ~(u32)row);
    }
    const int mates = width / WIDTH < 32 ? width / WIDTH : 32;
    for (int step = 1; step < mates; step *= 2)
      peak = larger(peak, __shfl_xor_sync(WARP, peak, step));
    if (peak && lane_number() % mates == 0)
      atomicMax(row_peaks + (i64)row * row_groups + columns.first / width, peak);
    if ((row + 1) % height == 0) rest(row, columns);
  }
  template <class Places>
  DEVICE_METHOD void rest(int row, const Places& columns) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) {
      if (best[p])
        atomicMax(column_peaks + (i64)(row / height) * columns.end + columns[p], best[p]);
      best[p] = 0;
    }
  }
  DEVICE_METHOD void end() {}
};

// Arguments that kernels share, and the records that they fill.
#define GATE_ARGUMENTS(V) const V *row_gates, const V *column_gates
#define GATES row_gates, column_gates
#define LIST_ARGUMENTS(V) u32 *found, u32 room, int *out_rows, int *out_columns, V *out_values
#define LISTING(V)                                 \
  Listing<V> {                                     \
    found, room, out_rows, out_columns, out_values \
  }
#define RANK_ARGUMENTS(V)                                                         \
  const V *thresholds, int ranks, const int *cells, int cell_count, float origin, \
      float cells_in_1, const u8 *listed, u64 *counts, int copies
#define RANKS thresholds, ranks, cells, cell_count, origin, cells_in_1, listed, counts, copies
