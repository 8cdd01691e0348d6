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
  int first, end;  // those from `end` on are beyond the tile
  __device__ __forceinline__ int operator[](int place) const {
    return first + place / 2 * GAP + place % 2;
  }
  __device__ __forceinline__ bool has(int place) const { return (*this)[place] < end; }
};

// What a stored number says about a pair of two sides' vectors.
struct Screened {  // a float32 or fp16 product, within a bound
  float scale, relative;
  const float *row_bounds, *column_bounds;
  static __device__ __forceinline__ float read(float stored) { return stored; }
  static __device__ __forceinline__ float read(Half stored) { return single(stored); }
  __device__ __forceinline__ float row(int i) const { return row_bounds[i]; }
  __device__ __forceinline__ float column(int j) const { return column_bounds[j]; }
  template <int WIDTH>
  __device__ __forceinline__ void place(Line<float, WIDTH>& line, int p, float stored,
                                        float row_bound, float column_bound, int magnitude) const {
    const float value = scale * stored, size = strength(value, magnitude);
    const float bound = __fmaf_ru(relative, fabsf(value), __fadd_ru(row_bound, column_bound));
    line.value[p] = value;
    line.low[p] = __fsub_rd(size, bound);
    line.high[p] = __fadd_ru(size, bound);
  }
};
struct Decided {  // a cosine
  static __device__ __forceinline__ double read(double stored) { return stored; }
  __device__ __forceinline__ int row(int) const { return 0; }
  __device__ __forceinline__ int column(int) const { return 0; }
  template <int WIDTH>
  __device__ __forceinline__ void place(Line<double, WIDTH>& line, int p, double stored, int, int,
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
  __device__ __forceinline__ void add(bool hit, int row, int column, V value) const {
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
  __device__ __forceinline__ void add(const bool (&hits)[WIDTH], int row, const Places& columns_at,
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
  const V *row_gates, *column_gates;
  Listing<V> listing;
  V gates[WIDTH];

  __device__ __forceinline__ void begin(unsigned char*) {}
  template <class Places>
  __device__ __forceinline__ void aim(const Places& columns) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p)
      gates[p] = columns.has(p) ? column_gates[columns[p]] : no_value(V());
  }
  template <class Places>
  __device__ __forceinline__ void fold(int row, const Places& columns, const Line<V, WIDTH>& line) {
    const V gate = row_gates[row];
    bool hits[WIDTH];
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) hits[p] = line.high[p] >= gate || line.high[p] >= gates[p];
    listing.add(hits, row, columns, line);
  }
  template <class Places>
  __device__ __forceinline__ void rest(int, const Places&) {}
  __device__ __forceinline__ void end() {}
};

// Counts the values of each rank, the number of thresholds that they reach, and lists those whose
// rank is not certain or is to be listed.
//
// A cell is a stretch of values, and `cells[c]` the number of thresholds in the cells before it.
// What a value's cell is, is computed with the very operations that thresholds were given theirs
// with, none of which changes an order, so that the search between two cells misses nothing.
template <class V, int WIDTH>
struct Ranks {
  const V* thresholds;
  int ranks;
  const int* cells;
  int cell_count;
  float origin, cells_in_1;
  const u8* listed;
  u64* counts;
  int shared_counts;
  Listing<V> listing;
  u32* shared;
  int last;  // rank of the latest values, and how many there were of it one after the other
  u32 run;

  __device__ __forceinline__ void begin(unsigned char* room) {
    shared = (u32*)room;
    last = 0;
    run = 0;
    for (int r = threadIdx.x; shared_counts && r < ranks; r += blockDim.x) shared[r] = 0;
    __syncthreads();
  }
  template <class Places>
  __device__ __forceinline__ void aim(const Places&) {}
  __device__ __forceinline__ int rank(V value) const {
    const float place = __fmul_rn(__fsub_rn((float)value, origin), cells_in_1);
    const int cell = place >= (float)(cell_count - 1) ? cell_count - 1
                     : place > 0.f                    ? (int)place
                                                      : 0;
    int low = cells[cell], high = cells[cell + 1];
    while (low < high) {
      const int middle = (low + high) / 2;
      if (thresholds[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  __device__ __forceinline__ void count() {
    if (run == 0 || last == 0) return;  // what has no rank means nothing
    if (shared_counts) atomicAdd(shared + last, run);
    else atomicAdd(counts + last, (u64)run);
  }
  template <class Places>
  __device__ __forceinline__ void fold(int row, const Places& columns, const Line<V, WIDTH>& line) {
    bool hits[WIDTH];
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) {
      hits[p] = false;
      if (!(line.low[p] <= line.high[p])) continue;
      const int reached = rank(line.low[p]);
      hits[p] = listed[reached] || (reached < ranks - 1 && thresholds[reached] <= line.high[p]);
      if (hits[p]) continue;
      if (reached != last) {
        count();
        last = reached;
        run = 0;
      }
      ++run;
    }
    listing.add(hits, row, columns, line);
  }
  template <class Places>
  __device__ __forceinline__ void rest(int, const Places&) {}
  __device__ __forceinline__ void end() {
    count();
    __syncthreads();
    for (int r = threadIdx.x; shared_counts && r < ranks; r += blockDim.x)
      if (shared[r]) atomicAdd(counts + r, (u64)shared[r]);
  }
};

// Sums magnitudes: a part for each block, added in an order that only its shape decides.
template <class V, int WIDTH>
struct Total {
  double* parts;
  double sum;

  __device__ __forceinline__ void begin(unsigned char*) { sum = 0.0; }
  template <class Places>
  __device__ __forceinline__ void aim(const Places&) {}
  template <class Places>
  __device__ __forceinline__ void fold(int, const Places&, const Line<V, WIDTH>& line) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p)
      if (line.low[p] <= line.high[p]) sum += fabs((double)line.value[p]);
  }
  template <class Places>
  __device__ __forceinline__ void rest(int, const Places&) {}
  __device__ __forceinline__ void end() {
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
  int width, height;
  u64* row_peaks;
  int row_groups;
  u64* column_peaks;
  u64 best[WIDTH];

  __device__ __forceinline__ void begin(unsigned char*) {}
  template <class Places>
  __device__ __forceinline__ void aim(const Places&) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) best[p] = 0;
  }
  template <class Places>
  __device__ __forceinline__ void fold(int row, const Places& columns, const Line<V, WIDTH>& line) {
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
  __device__ __forceinline__ void rest(int row, const Places& columns) {
#pragma unroll
    for (int p = 0; p < WIDTH; ++p) {
      if (best[p])
        atomicMax(column_peaks + (i64)(row / height) * columns.end + columns[p], best[p]);
      best[p] = 0;
    }
  }
  __device__ __forceinline__ void end() {}
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
      float cells_in_1, const u8 *listed, u64 *counts, int shared_counts
#define RANKS \
  thresholds, ranks, cells, cell_count, origin, cells_in_1, listed, counts, shared_counts
