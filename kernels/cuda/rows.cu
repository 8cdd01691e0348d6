// What is known of each row on its own, and rows as other kernels read them.
#include "deciding.cuh"

// Eight threads a row, four rows a warp.
KERNEL(survey)(const void* data, int type, i64 stride, int rows, int depth, int* exponents,
               double* squares, int* first) {
  const int lane = threadIdx.x % LANES;
  with_entries(data, type, [&](auto entries) {
    for (int low = blockIdx.x * 32; low < rows; low += gridDim.x * 32) {
      const int row = low + threadIdx.x / LANES;
      const i64 start = (row < rows ? row : 0) * stride;
      u64 largest = 0;
      bool inexact = false;
      for (int k = lane; k < depth; k += LANES) {
        const u64 bits = magnitude_bits(entries[start + k]);
        largest = bits > largest ? bits : largest;
        inexact |= entries.inexact(start + k);
      }
      for (int step = 1; step < LANES; step *= 2) {
        const u64 other = __shfl_xor_sync(WARP, largest, step);
        largest = other > largest ? other : largest;
      }
      const bool finite = largest < INFINITE_BITS;
      const int exponent = largest && finite ? exponent_of(largest) : 0;
      const Scaling scaled(exponent);
      double sum = 0.0;
      for (int k = lane; k < depth; k += LANES) {
        const double x = scaled(entries[start + k]);
        sum = add_product(sum, x, x);
      }
      sum = sum_lanes(sum);
      if (row >= rows) continue;
      if (inexact) atomicMin(first + 1, row);
      if (lane != 0) continue;
      if (!finite) atomicMin(first, row);
      exponents[row] = exponent;
      squares[row] = finite ? sum : 0.0;
    }
  });
}

// A warp a row.
KERNEL(scale)(const void* data, int type, i64 stride, int rows, int depth, const int* exponents,
              double* out, int out_rows, int out_stride) {
  with_entries(data, type, [&](auto entries) {
    for (int row = blockIdx.x * 8 + threadIdx.x / 32; row < out_rows; row += gridDim.x * 8) {
      const int width = row < rows ? depth : 0;
      const Scaling scaled(row < rows ? exponents[row] : 0);
      for (int k = threadIdx.x % 32; k < out_stride; k += 32)
        out[(i64)row * out_stride + k] = k < width ? scaled(entries[row * stride + k]) : 0.0;
    }
  });
}

DEVICE double sum_warp(double part) {
  for (int step = 16; step; step /= 2) part += __shfl_xor_sync(WARP, part, step);
  return part;
}

// Of a unit row as computed here and of `sum`, the squares of what rounding took from it, summed:
// a bound of the true unit row's distance.  An entry is off by the roundings of its square, root,
// reciprocal and product, (depth / 16 + 5) 2^-53 of it or less; a square, its difference and the
// sum by (depth / 32 + 9) 2^-53 of themselves.
DEVICE float distance_above(double sum, int depth) {
  const double room = (depth + 64.0) * 0x1p-53;
  return __double2float_ru(sqrt(sum) * (1.0 + room) + room);
}

// A warp a row.  `unit` is a power of two.
template <class T>
DEVICE void unit_rows(const void* data, int type, i64 stride, int rows, int depth,
                      const int* exponents, const double* squares, double unit, T* out,
                      int out_rows, int out_stride, float* residuals) {
  const double length = 1.0 / unit;
  with_entries(data, type, [&](auto entries) {
    for (int row = blockIdx.x * 8 + threadIdx.x / 32; row < out_rows; row += gridDim.x * 8) {
      const bool kept = row < rows && squares[row] != 0.0;
      const int width = kept ? depth : 0;
      const double inverse = kept ? __ddiv_rn(1.0, __dsqrt_rn(squares[row])) : 0.0;
      const Scaling scaled(kept ? exponents[row] : 0);
      double sum = 0.0;
      for (int k = threadIdx.x % 32; k < out_stride; k += 32) {
        const double x = k < width ? __dmul_rn(scaled(entries[row * stride + k]), inverse) : 0.0;
        T rounded;
        narrow(x * unit, rounded);
        out[(i64)row * out_stride + k] = rounded;
        const double lost = x - widen(rounded) * length;
        sum += lost * lost;
      }
      sum = sum_warp(sum);
      if (threadIdx.x % 32 == 0)
        residuals[row] = kept ? distance_above(sum, depth) : __int_as_float(0x7fffffff);
    }
  });
}

#define UNIT_ROW_ARGUMENTS(T)                                                        \
  const void *data, int type, i64 stride, int rows, int depth, const int *exponents, \
      const double *squares, float scale, T *out, int out_rows, int out_stride, float *residuals
#define UNIT_ROWS \
  data, type, stride, rows, depth, exponents, squares, scale, out, out_rows, out_stride, residuals

KERNEL(unit_rows_f32)(UNIT_ROW_ARGUMENTS(float)) {
  unit_rows(UNIT_ROWS);
}

KERNEL(unit_rows_f16)(UNIT_ROW_ARGUMENTS(Half)) {
  unit_rows(UNIT_ROWS);
}
