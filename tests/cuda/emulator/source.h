// What CUDA C has beyond C++, so that kernels compile as they are.
#pragma once
#include <type_traits>
#include <utility>

#include "numbers.h"
#include "tensor.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __CUDA_ARCH__ 800
#define threadIdx (emu::now->place)
#define blockIdx (emu::block_place)
#define blockDim (emu::block)
#define gridDim (emu::grid)
using std::fabs;
using std::sqrt;

#define EMU_TEXT_(x) #x
#define EMU_TEXT(x) EMU_TEXT_(x)
#define __syncthreads() emu::wait_at_barrier("line " EMU_TEXT(__LINE__))

template <class To, class From>
To emu_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline unsigned __float_as_uint(float x) {
  return emu_bits<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return emu_bits<float>(x);
}
inline float __int_as_float(int x) {
  return emu_bits<float>(x);
}
inline long long __double_as_longlong(double x) {
  return emu_bits<long long>(x);
}
inline double __longlong_as_double(long long x) {
  return emu_bits<double>(x);
}

inline float __fmul_rn(float x, float y) {
  return x * y;
}
inline float __fsub_rn(float x, float y) {
  return x - y;
}
inline double __dmul_rn(double x, double y) {
  return x * y;
}
inline double __dadd_rn(double x, double y) {
  return x + y;
}
inline double __ddiv_rn(double x, double y) {
  return x / y;
}
inline double __dsqrt_rn(double x) {
  return std::sqrt(x);
}
inline float __fadd_ru(float x, float y) {
  return emu::add_rounding<float>(FE_UPWARD, x, y);
}
inline float __fsub_rd(float x, float y) {
  return emu::sub_rounding<float>(FE_DOWNWARD, x, y);
}
inline float __fmaf_ru(float x, float y, float z) {
  return emu::fma_rounding(FE_UPWARD, x, y, z);
}
inline float __double2float_ru(double x) {
  return emu::float_rounding(FE_UPWARD, x);
}
inline float __double2float_rd(double x) {
  return emu::float_rounding(FE_DOWNWARD, x);
}

inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
inline int __ffs(unsigned x) {
  return __builtin_ffs((int)x);
}
inline int __clzll(unsigned long long x) {
  return x ? __builtin_clzll(x) : 64;
}

template <class T>
emu::u64 emu_word(T value) {
  emu::u64 word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}
template <class T>
T emu_value(emu::u64 word) {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with) {
  return emu_value<T>(emu::shuffle("shfl.bfly", mask, emu_word(value), with, emu::XOR));
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
  return emu_value<T>(emu::shuffle("shfl.idx", mask, emu_word(value), from, emu::TO));
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  return emu::ballot(mask, vote);
}

template <class T>
T atomicAdd(T* place, T value) {
  const T before = *place;
  *place = before + value;
  return before;
}
template <class T>
T atomicMax(T* place, T value) {
  const T before = *place;
  if (value > before) *place = value;
  return before;
}
template <class T>
T atomicMin(T* place, T value) {
  const T before = *place;
  if (value < before) *place = value;
  return before;
}

// EMU_KERNEL(name): `name__launch`, for ctypes.
template <class... Arguments, size_t... Places>
int emu_call(void (*kernel)(Arguments...), const unsigned* shape, size_t shared, unsigned seed,
             void** values, std::index_sequence<Places...>) {
  return emu::launch({shape[0], shape[1], shape[2]}, {shape[3], shape[4], shape[5]}, shared, seed,
                     [=] { kernel(*(std::decay_t<Arguments>*)values[Places]...); });
}
template <class... Arguments>
int emu_call(void (*kernel)(Arguments...), const unsigned* shape, size_t shared, unsigned seed,
             void** values) {
  return emu_call(kernel, shape, shared, seed, values, std::index_sequence_for<Arguments...>{});
}
#define EMU_KERNEL(NAME)                                                             \
  extern "C" int NAME##__launch(const unsigned* shape, size_t shared, unsigned seed, \
                                void** values) {                                     \
    return emu_call(NAME, shape, shared, seed, values);                              \
  }
