// Memory and numbers as PTX has them; every access is checked for bounds, alignment and races.
#pragma once
#include "numbers.h"
#include "tensor.h"

namespace ptx {
using namespace emu;
typedef uint8_t u8;
typedef int8_t i8;
typedef uint16_t u16;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef float f32;
typedef double f64;

// ---- memory
// --------------------------------------------------------------------------------------
enum Access { READ, WRITE, ATOMIC, VOLATILE };
enum Space { GENERIC, GLOBAL, SHARED };
constexpr u64 SHARED_WINDOW = 0x7000000000000000ull;  // where shared memory is in generic addresses

// What happened to four bytes: by whom, since which barrier and which meeting of a warp.
struct SharedWord {
  u64 written_at = 0, read_at = 0, write_meeting = 0, read_meeting = 0;
  int writer = -1, reader = -1;
  bool atomic = false, many_readers = false;
};
inline std::vector<SharedWord> shared_words;
inline u64 shared_words_block = ~0ull;

inline void race(const char* what, u64 at) {
  fail(std::string("race in shared memory, ") + what + ", at byte " + std::to_string(at));
}
inline u64 block_number() {
  return ((u64)block_place.z * grid.y + block_place.y) * grid.x + block_place.x;
}
inline void touch_shared(u64 at, int bytes, Access access) {
  if (shared_words_block != block_number()) {
    shared_words.assign(dynamic_shared_bytes / 4 + 2, SharedWord());
    shared_words_block = block_number();
  }
  const int self = now->number;
  const u64 meeting = warp_of(*now).meetings;
  auto before = [&](int other, u64 other_meeting) {
    return other == self || (other >= 0 && other / 32 == self / 32 && other_meeting < meeting);
  };
  for (u64 place = at / 4; place <= (at + bytes - 1) / 4; ++place) {
    SharedWord& word = shared_words[place];
    const bool written = word.written_at == barriers, read = word.read_at == barriers;
    if (written && !before(word.writer, word.write_meeting) && !(access == ATOMIC && word.atomic))
      race(access == READ ? "a read after a write" : "a write after a write", at);
    if (access != READ && read && (word.many_readers || !before(word.reader, word.read_meeting)))
      race("a write after a read", at);
    if (access == READ) {
      word.many_readers = read && (word.many_readers || word.reader / 32 != self / 32);
      word.reader = self;
      word.read_at = barriers;
      word.read_meeting = meeting;
    } else {
      word.writer = self;
      word.written_at = barriers;
      word.write_meeting = meeting;
      word.atomic = access == ATOMIC;
    }
  }
}
inline void* shared(u64 at, int bytes, Access access) {
  if (at + bytes > dynamic_shared_bytes)
    fail("shared memory out of bounds, byte " + std::to_string(at));
  if (at % bytes) fail("shared memory, a misaligned access");
  touch_shared(at, bytes, access);
  return dynamic_shared + at;
}

// Arrays of the launch, and by whom each of their four bytes were touched in it.
struct GlobalWord {
  int writer = -1, reader = -1;
  bool atomic = false, many_readers = false;
};
struct Range {
  u64 low, high;
  bool writable;
  std::vector<GlobalWord> words;
};
inline std::vector<Range> ranges;
inline size_t latest = 0;

inline Range& range_of(u64 at, int bytes) {
  for (size_t turn = 0; turn < ranges.size(); ++turn) {
    Range& range = ranges[latest];
    if (at >= range.low && at + bytes <= range.high) return range;
    latest = (latest + 1) % ranges.size();
  }
  fail("global memory out of bounds: " + std::to_string(bytes) + " bytes");
}
inline void* global(u64 at, int bytes, Access access) {
  Range& range = range_of(at, bytes);
  if ((access == WRITE || access == ATOMIC) && !range.writable) fail("a write to what is constant");
  if (at % bytes) fail("global memory, a misaligned access of " + std::to_string(bytes) + " bytes");
  if (range.words.empty()) range.words.resize((range.high - range.low) / 4 + 2);
  const int self = (int)block_number() * (int)threads.size() + now->number;
  const u64 first = range.low & ~3ull;
  for (u64 place = (at - first) / 4; place <= (at + bytes - 1 - first) / 4; ++place) {
    GlobalWord& word = range.words[place];
    const bool narrow = bytes < 4;  // neighbours in four bytes are no race
    if (access == READ) {
      if (word.writer >= 0 && word.writer != self && !narrow)
        fail("race: a read of what another writes");
      word.many_readers |= word.reader >= 0 && word.reader != self;
      word.reader = self;
    } else if (access == WRITE) {
      if (!narrow && (word.atomic || (word.writer >= 0 && word.writer != self)))
        fail("race: two threads write");
      if (!narrow && (word.many_readers || (word.reader >= 0 && word.reader != self)))
        fail("race: a write of what another reads");
      word.writer = self;
    } else if (access == ATOMIC) {
      if (word.writer >= 0 || word.reader >= 0) fail("race: atomic and plain access");
      word.atomic = true;
    }
  }
  return (void*)at;
}
inline void* memory(Space space, u64 at, int bytes, Access access) {
  if (space == GENERIC) {
    space = at >= SHARED_WINDOW ? SHARED : GLOBAL;
    if (space == SHARED) at -= SHARED_WINDOW;
  }
  return space == SHARED ? shared(at, bytes, access) : global(at, bytes, access);
}
template <class T>
T load(Space space, u64 at, Access access) {
  T value;
  std::memcpy(&value, memory(space, at, sizeof(T), access), sizeof(T));
  return value;
}
template <class T>
void store(Space space, u64 at, T value) {
  std::memcpy(memory(space, at, sizeof(T), WRITE), &value, sizeof(T));
}
template <class T, class Change>
T atomic(Space space, u64 at, Change change) {
  T* place = (T*)memory(space, at, sizeof(T), ATOMIC);
  const T before = *place;
  *place = change(before);
  return before;
}
inline void aligned(u64 at, int bytes) {
  if (at % bytes) fail("a misaligned access to several numbers");
}

inline void copy_async(u64 to, u64 from, u32 bytes) {
  if (to % 16 || to + 16 > dynamic_shared_bytes) fail("cp.async: where to");
  if (from % 16) fail("cp.async: from where");
  touch_shared(to, 16, WRITE);
  for (u32 i = 0; i < bytes; i += 4) global(from + i, 4, READ);
  emu::copy_async(dynamic_shared + to, (void*)from, bytes);
}
inline void wait_for_copies(int pending) {
  auto& groups = now->groups;
  for (int i = 0; (int)groups.size() - i > pending; ++i)
    for (auto& copy : groups[i]) touch_shared((unsigned char*)copy.to - dynamic_shared, 16, WRITE);
  emu::wait_for_copies(pending);
}
inline void load_fragments(u32* fragments, u64 row) {
  if (row % 16 || row + 16 > dynamic_shared_bytes) fail("ldmatrix: which row");
  touch_shared(row, 16, READ);
  emu::load_fragments(fragments, dynamic_shared + row);
}

// ---- numbers
// -------------------------------------------------------------------------------------
template <class To, class From>
To bits(From value) {
  To result;
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  std::memcpy(&result, &value, sizeof result);
  return result;
}
inline float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x;
}
template <class T>
T maximum(T x, T y) {
  return std::isnan(x) ? y : std::isnan(y) || x > y ? x : y;
}
template <class T>
T minimum(T x, T y) {
  return std::isnan(x) ? y : std::isnan(y) || x < y ? x : y;
}
template <class T>
T shift_left(T x, u32 n) {
  return n >= sizeof(T) * 8 ? 0 : (T)(x << n);
}
template <class T>
T shift_right(T x, u32 n) {
  return n >= sizeof(T) * 8 ? (x < 0 ? (T)-1 : 0) : (T)(x >> n);
}
template <class T>
T low_bits(u32 n) {
  return n >= sizeof(T) * 8 ? ~(T)0 : (T)(((T)1 << n) - 1);
}
template <class T>
T insert_bits(T a, T b, u32 at, u32 count) {
  const T mask = shift_left(low_bits<T>(count), at);
  return (b & ~mask) | (shift_left(a, at) & mask);
}
template <class T>
T extract_bits(T a, u32 at, u32 count) {
  return shift_right(a, at) & low_bits<T>(count);
}
inline u32 permute(u32 a, u32 b, u32 which) {
  const u64 both = (u64)b << 32 | a;
  u32 result = 0;
  for (int i = 0; i < 4; ++i) {
    const u32 choice = which >> 4 * i & 15;
    u32 byte = both >> 8 * (choice & 7) & 255;
    if (choice & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * i;
  }
  return result;
}
inline u32 reverse_bits(u32 x) {
  u32 result = 0;
  for (int i = 0; i < 32; ++i) result |= (x >> i & 1) << (31 - i);
  return result;
}
// How far the highest bit must go to be the first; all ones for 0.
inline u32 find_shift(u32 x) {
  return x ? __builtin_clz(x) : ~0u;
}
}  // namespace ptx

extern "C" void emu_set_ranges(int count, const uint64_t* parts) {
  ptx::ranges.clear();
  ptx::latest = 0;
  ptx::shared_words_block = ~0ull;
  for (int i = 0; i < count; ++i)
    ptx::ranges.push_back({parts[3 * i], parts[3 * i + 1], parts[3 * i + 2] != 0, {}});
}
