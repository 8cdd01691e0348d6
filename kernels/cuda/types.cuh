// Names of types, and how functions are declared.
typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
// Two blocks or more on a multiprocessor, 128 registers or fewer: left to choose, NVRTC 13 takes
// few registers for some kernels and spills.
#define KERNEL(NAME) extern "C" __global__ void __launch_bounds__(256, 2) NAME
#define DEVICE [[maybe_unused]] static __device__ __forceinline__
#define DEVICE_METHOD __device__ __forceinline__

struct Half {
  u16 bits;
};
struct BFloat16 {
  u16 bits;
};
