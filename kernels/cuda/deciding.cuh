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

// Integers beyond this may be such as float64 does not hold.
#define EXACT_INTEGER (1ll << 53)

// Entries of a type that is known at compilation.
template <class T>
struct Entries {
  const T* data;
  DEVICE_METHOD double operator[](i64 at) const { return widen(data[at]); }
  DEVICE_METHOD bool inexact(i64) const { return false; }
};

// Entries of any type, chosen at each.
struct AnyEntries {
  const void* data;
  int type;
  template <class T>
  DEVICE_METHOD double read(i64 at) const {
    return widen(((const T*)data)[at]);
  }
  DEVICE_METHOD double operator[](i64 at) const {
    switch (type) {  // formats.ELEMENT_TYPES
      case 0: return read<Half>(at);
      case 1: return read<BFloat16>(at);
      case 2: return read<float>(at);
      case 3: return read<double>(at);
      case 4: return read<i8>(at);
      case 5: return read<u8>(at);
      case 6: return read<short>(at);
      case 7: return read<u16>(at);
      case 8: return read<int>(at);
      case 9: return read<u32>(at);
      case 10: return read<i64>(at);
      default: return read<u64>(at);
    }
  }
  DEVICE_METHOD bool inexact(i64 at) const {
    const i64 x = type >= 10 ? ((const i64*)data)[at] : 0;
    if (type == 11) return (u64)x > (u64)EXACT_INTEGER;
    return x > EXACT_INTEGER || x < -EXACT_INTEGER;
  }
};

// Calls body(entries), compiled for each type of floats by itself.
template <class Body>
DEVICE void with_entries(const void* data, int type, Body body) {
  switch (type) {
    case 0: return body(Entries<Half>{(const Half*)data});
    case 1: return body(Entries<BFloat16>{(const BFloat16*)data});
    case 2: return body(Entries<float>{(const float*)data});
    case 3: return body(Entries<double>{(const double*)data});
    default: return body(AnyEntries{data, type});
  }
}

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
  DEVICE_METHOD explicit Scaling(int exponent) {
    const int half = -exponent >> 1;
    first = power_of_two(half);
    second = power_of_two(-exponent - half);
    least = power_of_two(exponent - 1022);
  }
  DEVICE_METHOD double operator()(double x) const {
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
