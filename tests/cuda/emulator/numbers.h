// Conversions and directed rounding, for the sources and for translated PTX.
#pragma once
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace emu {
// One operation under a rounding mode; volatile, so that it is not done elsewhere.
template <class T, class Operation>
T rounding(int mode, Operation operation) {
  const int before = std::fegetround();
  std::fesetround(mode);
  volatile T result = operation();
  std::fesetround(before);
  return result;
}
template <class T>
T add_rounding(int mode, volatile T x, volatile T y) {
  return rounding<T>(mode, [&] { return x + y; });
}
template <class T>
T sub_rounding(int mode, volatile T x, volatile T y) {
  return rounding<T>(mode, [&] { return x - y; });
}
// x y is exact in double for floats; its sum with z is rounded to odd there, so that the second
// rounding does as one would.
inline float fma_rounding(int mode, float x, float y, float z) {
  const double product = (double)x * y;
  double sum = product + z;
  const double back = sum - product;
  const double lost = (product - (sum - back)) + (z - back);
  if (lost != 0 && std::isfinite(sum)) {
    uint64_t bits;
    std::memcpy(&bits, &sum, 8);
    if (!(bits & 1)) bits += (lost > 0) == (sum > 0) ? 1 : -1;
    std::memcpy(&sum, &bits, 8);
  }
  volatile double exact = sum;
  return rounding<float>(mode, [&] { return (float)exact; });
}
inline float float_rounding(int mode, volatile double x) {
  return rounding<float>(mode, [&] { return (float)x; });
}

// To the nearest fp16, ties to even, in one step.
inline uint16_t half_bits(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  const uint16_t sign = (uint16_t)(bits >> 48 & 0x8000);
  const double size = std::fabs(x);
  if (std::isnan(x)) return 0x7fff;
  if (size >= 65520.0) return sign | 0x7c00;
  int exponent = size == 0 ? -14 : std::max(std::ilogb(size), -14);
  double steps = std::nearbyint(std::ldexp(size, 10 - exponent));  // of 2^(exponent - 10)
  if (steps == 2048.0) steps = 1024.0, ++exponent;
  return sign | (uint16_t)(steps < 1024.0 ? steps : (exponent + 15) * 1024 + (steps - 1024.0));
}

template <class Integer>
Integer to_integer(double x) {
  if (std::isnan(x)) return 0;
  const double low = (double)std::numeric_limits<Integer>::min();
  const double high = (double)std::numeric_limits<Integer>::max();
  if (x <= low) return std::numeric_limits<Integer>::min();
  return x >= high ? std::numeric_limits<Integer>::max() : (Integer)x;
}
}  // namespace emu
