// The deciding arithmetic: entries of any type, scaled rows, eight lanes and their tree.
//
// Bit for bit that of ../reference.py.  __dmul_rn and __dadd_rn are never contracted to an fma.
#include "primitives.cuh"

#define WARP 0xffffffffu
#define LANES 8

DEVICE double widen(double x) {
  return x;
}
DEVICE double widen(BFloat16 x) {
  return widen(__uint_as_float((u32)x.bits << 16));
}
DEVICE double widen(i8 x) {
  return x;
}
DEVICE double widen(u8 x) {
  return x;
}
DEVICE double widen(short x) {
  return x;
}
DEVICE double widen(u16 x) {
  return x;
}
DEVICE double widen(int x) {
  return x;
}
DEVICE double widen(u32 x) {
  return x;
}
DEVICE double widen(i64 x) {
  return (double)x;
}
DEVICE double widen(u64 x) {
  return (double)x;
}

// Whether an integer may be one that float64 does not hold.
#define EXACT_INTEGER (1ll << 53)
template <class T>
DEVICE bool beyond(T) {
  return false;
}
DEVICE bool beyond(i64 x) {
  return x > EXACT_INTEGER || x < -EXACT_INTEGER;
}
DEVICE bool beyond(u64 x) {
  return x > (u64)EXACT_INTEGER;
}

// Calls body(pointer to the entries), compiled once for each type.
template <class Body>
DEVICE void with_entries(const void* data, int type, Body body) {
  switch (type) {  // loader.ELEMENT_TYPES
    case 0: return body((const Half*)data);
    case 1: return body((const BFloat16*)data);
    case 2: return body((const float*)data);
    case 3: return body((const double*)data);
    case 4: return body((const i8*)data);
    case 5: return body((const u8*)data);
    case 6: return body((const short*)data);
    case 7: return body((const u16*)data);
    case 8: return body((const int*)data);
    case 9: return body((const u32*)data);
    case 10: return body((const i64*)data);
    case 11: return body((const u64*)data);
  }
}

// Entries of a type that is chosen at each.
struct AnyEntries {
  const void* data;
  int type;
  __device__ __forceinline__ double operator[](i64 at) const {
    double entry = 0.0;
    with_entries(data, type, [&](auto entries) { entry = widen(entries[at]); });
    return entry;
  }
};

DEVICE u64 magnitude_bits(double x) {
  return __double_as_longlong(x) & 0x7fffffffffffffffull;
}
#define INFINITE_BITS 0x7ff0000000000000ull

// floor(log2 x) of a positive number with these bits.
DEVICE int exponent_of(u64 bits) {
  const int field = (int)(bits >> 52);
  return field ? field - 1023 : -1011 - __clzll(bits);
}

// 2^n; 0 below the least number.
DEVICE double power_of_two(int n) {
  if (n >= -1022) return __longlong_as_double((u64)(n + 1023) << 52);
  return n < -1074 ? 0.0 : __longlong_as_double(1ull << (n + 1074));
}

// x 2^-exponent by two factors, as one could overflow; what falls below 2^-1022 becomes zero.
struct Scaling {
  double first, second, least;
  __device__ __forceinline__ explicit Scaling(int exponent) {
    const int half = -exponent >> 1;
    first = power_of_two(half);
    second = power_of_two(-exponent - half);
    least = power_of_two(exponent - 1022);
  }
  __device__ __forceinline__ double operator()(double x) const {
    return fabs(x) >= least ? __dmul_rn(__dmul_rn(x, first), second) : 0.0;
  }
};

DEVICE double add_product(double sum, double x, double y) {
  return __dadd_rn(sum, __dmul_rn(x, y));
}

// Eight lanes beside one another, added neighbours first; every one of them gets the sum.
DEVICE double sum_lanes(double lane) {
  for (int step = 1; step < LANES; step *= 2)
    lane = __dadd_rn(lane, __shfl_xor_sync(WARP, lane, step));
  return lane;
}

// NaN where a row has no direction (square 0).
DEVICE double cosine(double product, double square, double other_square) {
  double value = __ddiv_rn(product, __dsqrt_rn(__dmul_rn(square, other_square)));
  if (value > 1.0) value = 1.0;
  if (value < -1.0) value = -1.0;
  return __dadd_rn(value, 0.0);  // a zero is +0
}
