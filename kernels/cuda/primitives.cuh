// What the other sources are written in that is no plain C++, all inline PTX among it.
//
// Conversions stand here because CuPy compiles with -ftz=true, which makes the compiler's own turn
// subnormal float32 numbers into zeros; an instruction that is written out is left as it is.  The
// tests that run the sources as C++ put a file of theirs in the place of this one.
#include "types.cuh"

#define SHARED(type, name, count) __shared__ type name[count]
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

DEVICE double widen(Half x) {
  double wide;
  asm("cvt.f64.f16 %0, %1;" : "=d"(wide) : "h"(x.bits));
  return wide;
}
DEVICE double widen(float x) {
  double wide;
  asm("cvt.f64.f32 %0, %1;" : "=d"(wide) : "f"(x));
  return wide;
}
DEVICE float single(Half x) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
  return wide;
}
DEVICE void narrow(double x, Half& out) {
  asm("cvt.rn.f16.f64 %0, %1;" : "=h"(out.bits) : "d"(x));
}
DEVICE void narrow(double x, float& out) {
  asm("cvt.rn.f32.f64 %0, %1;" : "=f"(out) : "d"(x));
}

// The same number, of which the compiler does not know that: what follows from it is not kept in
// registers from one turn of a loop to the next.
DEVICE int anew(int number) {
  asm volatile("" : "+r"(number));
  return number;
}

// A number that is not kept in a register for who reads it again.
DEVICE float glance(const float* at) {
  float number;
  asm volatile("ld.global.f32 %0, [%1];" : "=f"(number) : "l"(at));
  return number;
}
DEVICE double glance(const double* at) {
  double number;
  asm volatile("ld.global.f64 %0, [%1];" : "=d"(number) : "l"(at));
  return number;
}

#if __CUDA_ARCH__ >= 800
DEVICE u32 shared_address(const void* place) {
  return (u32)__cvta_generic_to_shared(place);
}

// Sixteen bytes into shared memory while others work; zeros if `bytes` is 0 instead of 16.
DEVICE void copy_async(void* to, const void* from, u32 bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}
DEVICE void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int PENDING>
DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8 x 8 blocks of 16-bit entries, lane l giving the address of row l % 8 of block l / 8.
DEVICE void load_fragments(u32* fragments, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(shared_address(row))
               : "memory");
}

// sums (16 x 8, float32) += a (16 x 16, fp16) b (16 x 8, fp16), spread over the warp.
DEVICE void multiply_add(float* sums, const u32* a, const u32* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
