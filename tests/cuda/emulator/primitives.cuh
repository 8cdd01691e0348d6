// In the place of ../../../kernels/cuda/primitives.cuh where sources run as C++.
#include "types.cuh"

#define DYNAMIC_SHARED(name) unsigned char* name = emu::dynamic_shared
#define SHARED(type, name, count) \
  static char name##_key;         \
  type* name = (type*)emu::shared_array(&name##_key, sizeof(type) * (count))

DEVICE double widen(Half x) {
  return emu::half_value(x.bits);
}
DEVICE double widen(float x) {
  return x;
}
DEVICE float single(Half x) {
  return emu::half_value(x.bits);
}
DEVICE void narrow(double x, Half& out) {
  out.bits = emu::half_bits(x);
}
DEVICE void narrow(double x, float& out) {
  out = (float)x;
}

DEVICE int anew(int number) {
  return number;
}
DEVICE float glance(const float* at) {
  return *at;
}
DEVICE double glance(const double* at) {
  return *at;
}
DEVICE void copy_async(void* to, const void* from, u32 bytes) {
  emu::copy_async(to, from, bytes);
}
DEVICE void commit_copies() {
  emu::commit_copies();
}
template <int PENDING>
DEVICE void wait_for_copies() {
  emu::wait_for_copies(PENDING);
}
DEVICE void load_fragments(u32* fragments, const void* row) {
  emu::load_fragments(fragments, row);
}
DEVICE void multiply_add(float* sums, const u32* a, const u32* b) {
  emu::multiply_add((u32*)sums, a, b);
}
