// Cosines in the deciding arithmetic, of listed pairs and of whole tiles.
#include "deciding.cuh"

// Eight threads a pair.  Indices i, j are those of the two sides.
template <class Left, class Right>
DEVICE double dot_rows(Left left, Right right, i64 left_at, i64 right_at, int depth,
                       const Scaling& scaled, const Scaling& other_scaled) {
  double sum = 0.0;
  for (int k = threadIdx.x % LANES; k < depth; k += LANES)
    sum = add_product(sum, scaled(left[left_at + k]), other_scaled(right[right_at + k]));
  return sum_lanes(sum);
}

KERNEL(cosines_listed)(const void* left, int left_type, i64 left_stride, const int* left_exponents,
                       const double* left_squares, const void* right, int right_type,
                       i64 right_stride, const int* right_exponents, const double* right_squares,
                       int depth, const int* rows, const int* columns, int first_row,
                       int first_column, const u32* found, u32 room, double* out) {
  const u32 pairs = *found < room ? *found : room;
  auto decide = [&](auto x, auto y) {
    for (u32 low = blockIdx.x * 32; low < pairs; low += gridDim.x * 32) {
      const u32 pair = low + threadIdx.x / LANES;
      const u32 place = pair < pairs ? pair : low;
      const int i = first_row + rows[place], j = first_column + columns[place];
      const double product = dot_rows(x, y, i * left_stride, j * right_stride, depth,
                                      Scaling(left_exponents[i]), Scaling(right_exponents[j]));
      if (pair < pairs && threadIdx.x % LANES == 0)
        out[pair] = cosine(product, left_squares[i], right_squares[j]);
    }
  };
  if (left_type == right_type)
    with_entries(left, left_type, [&](auto x) {
      auto y = x;
      y.data = (decltype(x.data))right;
      decide(x, y);
    });
  else decide(AnyEntries{left, left_type}, AnyEntries{right, right_type});
}

// A block decides 16 x 32 pairs: eight threads, one a lane, hold 4 x 4 of them, whose rows and
// columns are 4 and 8 apart.  Rows in shared memory are 40 numbers apart so that two threads' eight
// numbers lie in different banks.
#define BLOCK_ROWS 16
#define BLOCK_COLUMNS 32
#define CHUNK 32
#define PITCH (CHUNK + LANES)

DEVICE void load_chunk(double* to, const double* rows, int count, int most, int depth, int start) {
  for (int place = threadIdx.x; place < count * CHUNK; place += 256) {
    const int row = place / CHUNK, k = place % CHUNK;
    const bool there = row < most && start + k < depth;
    to[row * PITCH + k] = there ? rows[(i64)row * depth + start + k] : 0.0;
  }
}

KERNEL(cosines_tile)(const double* left, const double* right, int rows, int columns, int depth,
                     const double* left_squares, const double* right_squares, int shift,
                     double* out, int out_stride) {
  SHARED(double, x, BLOCK_ROWS* PITCH);
  SHARED(double, y, BLOCK_COLUMNS* PITCH);
  const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
  const int row = blockIdx.y * BLOCK_ROWS, column = blockIdx.x * BLOCK_COLUMNS;
  const int first_i = group / 8, first_j = group % 8;
  double sums[4][4] = {};
  const bool any = column + BLOCK_COLUMNS - 1 + shift > row;
  for (int start = 0; any && start < depth; start += CHUNK) {
    __syncthreads();
    load_chunk(x, left + (i64)row * depth, BLOCK_ROWS, rows - row, depth, start);
    load_chunk(y, right + (i64)column * depth, BLOCK_COLUMNS, columns - column, depth, start);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < CHUNK; k += LANES) {
      double one[4], other[4];
#pragma unroll
      for (int a = 0; a < 4; ++a) one[a] = x[(first_i + 4 * a) * PITCH + k + lane];
#pragma unroll
      for (int b = 0; b < 4; ++b) other[b] = y[(first_j + 8 * b) * PITCH + k + lane];
#pragma unroll
      for (int a = 0; a < 4; ++a)
#pragma unroll
        for (int b = 0; b < 4; ++b) sums[a][b] = add_product(sums[a][b], one[a], other[b]);
    }
  }
#pragma unroll
  for (int a = 0; a < 4; ++a)
#pragma unroll
    for (int b = 0; b < 4; ++b) {
      const double product = sum_lanes(sums[a][b]);
      const int i = row + first_i + 4 * a, j = column + first_j + 8 * b;
      if ((4 * a + b) % LANES != lane || i >= rows || j >= columns) continue;
      out[(i64)i * out_stride + j] = j + shift > i
                                         ? cosine(product, left_squares[i], right_squares[j])
                                         : __longlong_as_double(0x7fffffffffffffffll);
    }
}
