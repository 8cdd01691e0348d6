// In the place of ../../../kernels/cuda/primitives.cuh where sources run as C++.
typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
#define KERNEL(NAME) extern "C" __global__ void __launch_bounds__(256, 2) NAME
#define DEVICE [[maybe_unused]] static __device__ __forceinline__
#define DYNAMIC_SHARED(name) unsigned char* name = emu::dynamic_shared
#define SHARED(type, name, count) \
  static char name##_key;         \
  type* name = (type*)emu::shared_array(&name##_key, sizeof(type) * (count))

struct Half {
  u16 bits;
};
struct BFloat16 {
  u16 bits;
};

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
