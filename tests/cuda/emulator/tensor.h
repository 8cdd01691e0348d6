// Asynchronous copies and tensor cores.
#pragma once
#include <cmath>

#include "runtime.h"

namespace emu {
// A destination is spoilt when the copy is issued, and written only when a wait lets it be.
inline void copy_async(void* to, const void* from, u32 bytes) {
  if ((uintptr_t)to % 16 || (bytes && (uintptr_t)from % 16)) fail("cp.async: not 16-byte aligned");
  std::memset(to, 0xff, 16);
  now->copies.push_back({to, from, bytes});
}
inline void commit_copies() {
  now->groups.push_back(std::move(now->copies));
  now->copies.clear();
}
inline void wait_for_copies(int pending) {
  auto& groups = now->groups;
  for (; (int)groups.size() > pending; groups.erase(groups.begin()))
    for (auto& copy : groups[0]) arrive(copy);
}

// Bank conflicts of ldmatrix, whose eight rows must lie in eight different groups of banks.
inline u64 conflicts = 0, loads = 0;

inline void load_fragments(u32* fragments, const void* row) {
  if ((uintptr_t)row % 16) fail("ldmatrix: a row that is not 16-byte aligned");
  const u64 in = (u64)row;
  u64 out[4];
  meet("ldmatrix", 0xffffffffu, 4, &in, out, [](const u64** ins, u64** outs, u32) {
    for (int part = 0; part < 4; ++part) {
      u32 seen = 0;
      ++loads;
      for (int i = 0; i < 8; ++i) {
        const u32 bank = 1u << ((*ins[part * 8 + i] >> 4) & 7);
        conflicts += (seen & bank) != 0;
        seen |= bank;
      }
      for (int lane = 0; lane < 32; ++lane) {
        u32 pair;
        std::memcpy(&pair, (const char*)*ins[part * 8 + lane / 4] + lane % 4 * 4, 4);
        outs[lane][part] = pair;
      }
    }
  });
  for (int part = 0; part < 4; ++part) fragments[part] = (u32)out[part];
}

inline float half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                     : exponent     ? std::ldexp(1024.f + fraction, exponent - 25)
                                    : std::ldexp((float)fraction, -24);
  return bits >> 15 ? -size : size;
}

// What measurements say of tensor cores (Fasi, Higham, Mikaitis & Pranesh 2021): the terms of a
// block and the sum so far are aligned to the largest, cut off after `extra` bits beyond float32's,
// added, and cut off again.
inline float add_block(float sum, const double* terms, int count, int extra) {
  const int none = -400;
  auto exponent = [](double x) { return x == 0 ? none : std::ilogb(x); };
  int top = exponent(sum);
  bool finite = std::isfinite(sum);
  for (int i = 0; i < count; ++i) {
    top = std::max(top, exponent(terms[i]));
    finite &= std::isfinite(terms[i]);
  }
  if (!finite || top == none) {
    double all = sum;
    for (int i = 0; i < count; ++i) all += terms[i];
    return (float)all;
  }
  const int shift = 23 + extra - top;
  double all = std::trunc(std::ldexp((double)sum, shift));
  for (int i = 0; i < count; ++i) all += std::trunc(std::ldexp(terms[i], shift));
  if (all == 0) return 0;
  const int bits = std::ilogb(all);
  if (bits > 23) all = std::ldexp(std::trunc(std::ldexp(all, 23 - bits)), bits - 23);
  return (float)std::ldexp(all, -shift);
}
inline float add_terms(float sum, const double* terms) {
  if (sum_model == 80) return add_block(add_block(sum, terms, 8, 1), terms + 8, 8, 1);  // A100
  if (sum_model == 90) return add_block(sum, terms, 16, 2);                             // H100
  double all = sum;
  for (int k = 0; k < 16; ++k) all += terms[k];
  return (float)all;
}

// Where a lane's registers lie (PTX ISA, m16n8k16): entry i of register r of a and of b, and
// register r of the sums.
struct Spot {
  int row, column;
};
inline Spot spot_a(int lane, int r, int i) {
  return {lane / 4 + r % 2 * 8, r / 2 * 8 + lane % 4 * 2 + i};
}
inline Spot spot_b(int lane, int r, int i) {
  return {r * 8 + lane % 4 * 2 + i, lane / 4};
}
inline Spot spot_sum(int lane, int r) {
  return {lane / 4 + r / 2 * 8, lane % 4 * 2 + r % 2};
}

inline void multiply_add(u32* sums, const u32* a, const u32* b) {
  u64 in[10], out[4];
  for (int r = 0; r < 4; ++r) in[r] = sums[r], in[4 + r] = a[r];
  in[8] = b[0], in[9] = b[1];
  meet("mma", 0xffffffffu, 0, in, out, [](const u64** ins, u64** outs, u32) {
    static double x[16][16], y[16][8];
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 2; ++i) {
        for (int r = 0; r < 4; ++r) {
          const Spot spot = spot_a(lane, r, i);
          x[spot.row][spot.column] = half_value((uint16_t)(ins[lane][4 + r] >> 16 * i));
        }
        for (int r = 0; r < 2; ++r) {
          const Spot spot = spot_b(lane, r, i);
          y[spot.row][spot.column] = half_value((uint16_t)(ins[lane][8 + r] >> 16 * i));
        }
      }
    for (int lane = 0; lane < 32; ++lane)
      for (int r = 0; r < 4; ++r) {
        const Spot spot = spot_sum(lane, r);
        double terms[16];
        for (int k = 0; k < 16; ++k) terms[k] = x[spot.row][k] * y[k][spot.column];
        const u32 before = (u32)ins[lane][r];
        float sum;
        std::memcpy(&sum, &before, 4);
        sum = add_terms(sum, terms);
        u32 after;
        std::memcpy(&after, &sum, 4);
        outs[lane][r] = after;
      }
  });
  for (int r = 0; r < 4; ++r) sums[r] = (u32)out[r];
}
}  // namespace emu
