// A multiprocessor for tests: every CUDA thread is a fiber, and blocks run one after another.
//
// Scheduling is adversarial and seeded.  Seed 0 takes threads in order.  Even seeds take every
// thread that can go on once a round, in a new order each time; odd seeds give warps a random
// order, and let one go as far as it can before the next may: a fair schedule hides missing
// barriers.  Warp operations and barriers are meetings, and who fails to come is found out.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emu {
typedef uint32_t u32;
typedef uint64_t u64;
struct Index {
  unsigned x = 1, y = 1, z = 1;
};

// ---- fibers ------------------------------------------------------------------------------------
#if defined(__x86_64__)
// Saves what the calling convention keeps, and goes on at another stack.  (glibc's swapcontext asks
// the kernel about signals each time, twenty times as slow.)
extern "C" void emu_switch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
.pushsection .text
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.popsection
)");
struct Context {
  void* stack = nullptr;
  void start(char* bottom, size_t size, void (*entry)()) {
    u64* top = (u64*)(((uintptr_t)bottom + size) & ~15ull);
    *--top = 0;           // what `entry` would return to
    *--top = (u64)entry;  // what the switch returns to
    for (int register_ = 0; register_ < 6; ++register_) *--top = 0;
    stack = top;
  }
};
inline void go(Context& from, Context& to) {
  emu_switch(&from.stack, to.stack);
}
#else
struct Context {
  ucontext_t context;
  void start(char* bottom, size_t size, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = bottom;
    context.uc_stack.ss_size = size;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
  }
};
inline void go(Context& from, Context& to) {
  swapcontext(&from.context, &to.context);
}
#endif

// ---- threads, warps, blocks
// ----------------------------------------------------------------------
struct Copy {
  void* to;
  const void* from;
  u32 bytes;
};
struct Thread {
  Context context;
  Index place;
  int number = 0;
  bool done = false, at_barrier = false, waiting = false;
  const char* barrier = nullptr;
  std::vector<Copy> copies;  // not committed yet
  std::vector<std::vector<Copy>> groups;
};
inline void arrive(const Copy& copy) {
  std::memset(copy.to, 0, 16);
  std::memcpy(copy.to, copy.from, copy.bytes);
}
// A meeting of a warp's lanes: who came, with what.
struct Warp {
  u32 here = 0, done = 0, at_barrier = 0, lanes = 0;
  const char* operation = nullptr;
  u32 mask = 0;
  u64 kind = 0;
  const u64* in[32];
  u64* out[32];
  u64 meetings = 1;
};

inline std::vector<Thread> threads;
inline std::vector<Warp> warps;
inline Thread* now = nullptr;
inline Context scheduler;
inline Index grid, block, block_place;
inline std::mt19937 dice;
inline bool adversarial = false;  // not seed 0
inline std::string error;
inline std::function<void()> body;
inline u64 barriers = 0;  // passed by this block
inline std::vector<unsigned char> dynamic_shared_room;
inline unsigned char* dynamic_shared = nullptr;
inline size_t dynamic_shared_bytes = 0;
inline std::map<const void*, std::vector<double>> static_shared;
inline int sum_model = 0;  // how tensor cores add: see tensor.h

inline Warp& warp_of(const Thread& thread) {
  return warps[thread.number / 32];
}

[[noreturn]] inline void fail(const std::string& what) {
  char where[96];
  std::snprintf(where, sizeof where, " [block %u, %u, thread %d]", block_place.x, block_place.y,
                now ? now->number : -1);
  if (error.empty()) error = what + where;
  now->done = true;
  for (;;) go(now->context, scheduler);  // never again: the launch is given up
}

inline void wait_at_barrier(const char* which) {
  Warp& warp = warp_of(*now);
  now->at_barrier = true;
  now->barrier = which;
  warp.at_barrier |= 1u << (now->number & 31);
  while (now->at_barrier) go(now->context, scheduler);
}

// The lanes in `mask` meet; the last one to come gives each its result by work(in, out, mask).
template <class Work>
void meet(const char* operation, u32 mask, u64 kind, const u64* in, u64* out, Work work) {
  Thread* self = now;
  Warp& warp = warp_of(*self);
  const int lane = self->number & 31;
  const std::string name = operation;
  // Copies may arrive long before they are waited for.
  if (adversarial && !self->groups.empty() && dice() % 4 == 0)
    for (auto& group : self->groups)
      for (auto& copy : group) arrive(copy);
  if (!(mask >> lane & 1)) fail(name + ": a lane that is not in its own mask");
  if (mask & ~warp.lanes) fail(name + ": a mask with lanes that the block has not");
  if (mask & warp.done) fail(name + ": a mask with a lane that has gone");
  if (mask & warp.at_barrier) fail(name + ": a mask with a lane that is at a barrier");
  if (warp.here == 0) {
    warp.operation = operation;
    warp.mask = mask;
    warp.kind = kind;
  } else if (std::strcmp(warp.operation, operation) || warp.mask != mask || warp.kind != kind) {
    fail("diverged warp: " + name + " meets " + warp.operation);
  }
  warp.here |= 1u << lane;
  warp.in[lane] = in;
  warp.out[lane] = out;
  if (warp.here != mask) {
    self->waiting = true;
    while (self->waiting) go(self->context, scheduler);
    return;
  }
  work(warp.in, warp.out, mask);
  warp.here = 0;
  ++warp.meetings;
  for (int other = 0; other < 32; ++other)
    if (mask >> other & 1) threads[(self->number & ~31) + other].waiting = false;
}

// ---- warp operations
// -----------------------------------------------------------------------------
enum Shuffle { TO, XOR, DOWN, UP };
inline u64 shuffle(const char* name, u32 mask, u64 value, int argument, Shuffle mode) {
  u64 in[2] = {value, (u64)argument}, out = 0;
  meet(name, mask, mode, in, &out, [=](const u64** ins, u64** outs, u32 lanes) {
    for (int lane = 0; lane < 32; ++lane) {
      if (!(lanes >> lane & 1)) continue;
      const int other = (int)ins[lane][1];
      int from = mode == TO    ? other & 31
                 : mode == XOR ? lane ^ other
                               : lane + (mode == UP ? -other : other);
      if (from < 0 || from > 31) from = lane;
      if (!(lanes >> from & 1)) fail("a shuffle from a lane outside the mask");
      *outs[lane] = *ins[from];
    }
  });
  return out;
}
inline u32 ballot(u32 mask, bool vote) {
  const u64 in = vote;
  u64 out = 0;
  meet("ballot", mask, 0, &in, &out, [](const u64** ins, u64** outs, u32 lanes) {
    u64 votes = 0;
    for (int lane = 0; lane < 32; ++lane)
      if (lanes >> lane & 1) votes |= (u64)(*ins[lane] != 0) << lane;
    for (int lane = 0; lane < 32; ++lane)
      if (lanes >> lane & 1) *outs[lane] = votes;
  });
  return (u32)out;
}

// ---- a launch
// ------------------------------------------------------------------------------------
inline void begin_thread() {
  body();
  now->done = true;
  warp_of(*now).done |= 1u << (now->number & 31);
  for (;;) go(now->context, scheduler);
}

// Shared memory of a block, filled with NaN.
inline void poison(size_t bytes) {
  dynamic_shared_room.assign(bytes + 128, 0xff);
  dynamic_shared = dynamic_shared_room.data();
  dynamic_shared += -(uintptr_t)dynamic_shared & 127;
  dynamic_shared_bytes = bytes;
  for (auto& array : static_shared)
    std::memset(array.second.data(), 0xff, array.second.size() * sizeof(double));
}
inline void* shared_array(const void* key, size_t bytes) {
  auto& array = static_shared[key];
  if (array.empty()) {
    array.resize((bytes + 7) / 8);
    std::memset(array.data(), 0xff, bytes);
  }
  return array.data();
}

inline std::string why_stuck() {
  int waiting = 0, at_barrier = 0, done = 0;
  const char *barrier = nullptr, *operation = "";
  bool same = true;
  for (auto& thread : threads) {
    done += thread.done;
    if (thread.waiting) ++waiting, operation = warp_of(thread).operation;
    if (!thread.at_barrier) continue;
    ++at_barrier;
    if (barrier && std::strcmp(barrier, thread.barrier)) same = false;
    barrier = thread.barrier;
  }
  if (waiting) return std::string("deadlock: lanes wait at ") + operation;
  if (at_barrier && done) return "a barrier that some threads reach and others have left behind";
  if (!same) return "threads meet at different barriers";
  return "";
}

// Runs a block to its end; returns whether all went well.
inline bool run_block(unsigned seed, char* stacks, size_t stack_bytes) {
  const int count = (int)threads.size();
  std::vector<int> order(count), rank(warps.size());
  for (int i = 0; i < count; ++i) order[i] = i;
  for (size_t i = 0; i < rank.size(); ++i) rank[i] = (int)i;
  if (seed & 1) std::shuffle(rank.begin(), rank.end(), dice);
  for (;;) {
    if (seed) std::shuffle(order.begin(), order.end(), dice);
    if (seed & 1)
      std::stable_sort(order.begin(), order.end(),
                       [&](int a, int b) { return rank[a / 32] < rank[b / 32]; });
    bool any = false;
    int only = -1;
    for (int i : order) {
      Thread& thread = threads[i];
      if (thread.done || thread.at_barrier || thread.waiting || (only >= 0 && i / 32 != only))
        continue;
      if (seed & 1) only = i / 32;
      any = true;
      now = &thread;
      go(scheduler, thread.context);
      if (!error.empty()) return false;
    }
    if (any) continue;
    error = why_stuck();
    if (!error.empty()) return false;
    bool again = false;
    for (auto& thread : threads) again |= thread.at_barrier, thread.at_barrier = false;
    for (auto& warp : warps) warp.at_barrier = 0;
    if (!again) return true;
    ++barriers;
  }
}

inline void set_up_threads(char* stacks, size_t stack_bytes) {
  const int count = block.x * block.y * block.z;
  threads.clear();
  threads.resize(count);
  warps.assign((count + 31) / 32, Warp());
  barriers = 1;
  for (int i = 0; i < count; ++i) {
    threads[i].number = i;
    threads[i].place = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    warps[i / 32].lanes |= 1u << (i & 31);
    threads[i].context.start(stacks + i * stack_bytes, stack_bytes, begin_thread);
  }
}

// Returns 0, or 1 with `error` set.
inline int launch(Index grid_, Index block_, size_t shared_bytes, unsigned seed,
                  std::function<void()> kernel) {
  const size_t stack_bytes = 128 << 10, most = 1024;
  static char* stacks = (char*)mmap(nullptr, most * stack_bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  error.clear();
  grid = grid_;
  block = block_;
  body = kernel;
  dice.seed(seed);
  adversarial = seed != 0;
  if (block.x * block.y * block.z > most) return error = "more than 1024 threads a block", 1;
  std::vector<Index> places;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) places.push_back({x, y, z});
  if (seed) std::shuffle(places.begin(), places.end(), dice);
  for (auto& place : places) {
    block_place = place;
    poison(shared_bytes);
    set_up_threads(stacks, stack_bytes);
    if (!run_block(seed, stacks, stack_bytes)) return 1;
    for (auto& thread : threads)
      for (auto& group : thread.groups)
        if (!group.empty()) return error = "copies still under way at the end", 1;
  }
  return 0;
}
}  // namespace emu
