// What Python sees of a compiled module besides its kernels.
#pragma once
#include "tensor.h"

extern "C" const char* emu_error() {
  return emu::error.c_str();
}
extern "C" void emu_set_sum_model(int model) {
  emu::sum_model = model;
}
extern "C" void emu_fragment_counts(uint64_t* counts) {
  counts[0] = emu::loads;
  counts[1] = emu::conflicts;
}
// The spots of fragments, as `kind` a, b or s, by lane, register and entry.
extern "C" void emu_spot(char kind, int lane, int r, int i, int* spot) {
  const emu::Spot at = kind == 'a'   ? emu::spot_a(lane, r, i)
                       : kind == 'b' ? emu::spot_b(lane, r, i)
                                     : emu::spot_sum(lane, r);
  spot[0] = at.row;
  spot[1] = at.column;
}
