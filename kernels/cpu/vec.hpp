// SPDX-License-Identifier: MIT
// Sixteen floats, whatever the CPU's own vector width: one, two or four native vectors.
// Plain GCC/clang vector extensions; intrinsics only where the extensions have no word for it.
// Everything lives in the namespace of the instruction set (GSV_ISA) and is inlined.
#pragma once
#include <cstdint>

#include "table.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define GSV_INLINE static inline __attribute__((always_inline))

namespace gsv {
namespace GSV_ISA {

#if defined(__AVX512DQ__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr int kParts = 16 / kLanes;

typedef float NativeF __attribute__((vector_size(4 * kLanes)));
typedef int32_t NativeI __attribute__((vector_size(4 * kLanes)));
typedef float Float4 __attribute__((vector_size(16)));

struct F16 {
  NativeF v[kParts];
};
struct I16 {
  NativeI v[kParts];
};

// Unrolled by hand: compilers keep the parts in registers only when every index is a constant from the start.
#define GSV_PART(N, ...)      \
  {                           \
    constexpr int i = N;      \
    __VA_ARGS__;              \
  }
#if defined(__AVX512DQ__)
#define GSV_EACH(...) GSV_PART(0, __VA_ARGS__)
#elif defined(__AVX2__)
#define GSV_EACH(...) GSV_PART(0, __VA_ARGS__) GSV_PART(1, __VA_ARGS__)
#else
#define GSV_EACH(...) \
  GSV_PART(0, __VA_ARGS__) GSV_PART(1, __VA_ARGS__) GSV_PART(2, __VA_ARGS__) GSV_PART(3, __VA_ARGS__)
#endif

GSV_INLINE F16 splat(float x) {
  F16 r;
  GSV_EACH(r.v[i] = x - NativeF{});
  return r;
}
GSV_INLINE I16 splat(int32_t x) {
  I16 r;
  GSV_EACH(r.v[i] = x - NativeI{});
  return r;
}
GSV_INLINE F16 load(const float* p) {
  F16 r;
  GSV_EACH(__builtin_memcpy(&r.v[i], p + i * kLanes, sizeof r.v[i]));
  return r;
}
GSV_INLINE void store(float* p, F16 a) { GSV_EACH(__builtin_memcpy(p + i * kLanes, &a.v[i], sizeof a.v[i])); }
GSV_INLINE void store(int32_t* p, I16 a) { GSV_EACH(__builtin_memcpy(p + i * kLanes, &a.v[i], sizeof a.v[i])); }

// The first n of sixteen, or all of them; zero for the others
GSV_INLINE F16 load_some(const float* p, int n) {
  if (n >= 16) return load(p);
  float values[16] = {};
  for (int k = 0; k < n; ++k) values[k] = p[k];
  return load(values);
}

GSV_INLINE void store_some(float* p, F16 a, int n) {
  if (n >= 16) return store(p, a);
  float values[16];
  store(values, a);
  for (int k = 0; k < n; ++k) p[k] = values[k];
}

#define GSV_BINARY(T, OP)                  \
  GSV_INLINE T operator OP(T a, T b) {     \
    T r;                                   \
    GSV_EACH(r.v[i] = a.v[i] OP b.v[i]);    \
    return r;                              \
  }
GSV_BINARY(F16, +)
GSV_BINARY(F16, -)
GSV_BINARY(F16, *)
GSV_BINARY(F16, /)
GSV_BINARY(I16, +)
GSV_BINARY(I16, *)
GSV_BINARY(I16, ^)
GSV_BINARY(I16, |)
GSV_BINARY(I16, &)
#undef GSV_BINARY

GSV_INLINE I16 min(I16 a, I16 b) {
  I16 r;
  GSV_EACH(r.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
GSV_INLINE I16 shift_left(I16 a, int bits) {
  I16 r;
  GSV_EACH(r.v[i] = a.v[i] << bits);
  return r;
}
GSV_INLINE I16 shift_right(I16 a, int bits) {
  I16 r;
  GSV_EACH(r.v[i] = a.v[i] >> bits);
  return r;
}

// max and min return b when a is NaN, so a bound given as b always holds.
GSV_INLINE F16 max(F16 a, F16 b) {
  F16 r;
  GSV_EACH(r.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
GSV_INLINE F16 min(F16 a, F16 b) {
  F16 r;
  GSV_EACH(r.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
// a where gate > 0, else 0 (also where gate is NaN)
GSV_INLINE F16 where_positive(F16 gate, F16 a) {
  F16 r;
  GSV_EACH(r.v[i] = gate.v[i] > 0 ? a.v[i] : NativeF{});
  return r;
}
// a where gate > 0, else b
GSV_INLINE F16 choose_positive(F16 gate, F16 a, F16 b) {
  F16 r;
  GSV_EACH(r.v[i] = gate.v[i] > 0 ? a.v[i] : b.v[i]);
  return r;
}
GSV_INLINE I16 truncate(F16 a) {
  I16 r;
  GSV_EACH(r.v[i] = __builtin_convertvector(a.v[i], NativeI));
  return r;
}
GSV_INLINE F16 to_float(I16 a) {
  F16 r;
  GSV_EACH(r.v[i] = __builtin_convertvector(a.v[i], NativeF));
  return r;
}
// Smallest integer >= a, for 0 <= a < 2^31
GSV_INLINE I16 ceil_positive(F16 a) {
  I16 n = truncate(a), r;
  GSV_EACH(r.v[i] = n.v[i] - (a.v[i] > __builtin_convertvector(n.v[i], NativeF)));
  return r;
}
GSV_INLINE F16 sqrt(F16 a) {
  F16 r;
#if defined(__AVX512DQ__)
  r.v[0] = (NativeF)_mm512_sqrt_ps((__m512)a.v[0]);
#elif defined(__AVX2__)
  GSV_EACH(r.v[i] = (NativeF)_mm256_sqrt_ps((__m256)a.v[i]));
#else
  GSV_EACH(for (int k = 0; k < kLanes; ++k) r.v[i][k] = __builtin_sqrtf(a.v[i][k]));
#endif
  return r;
}

GSV_INLINE float sum(F16 a) {
#if defined(__AVX512DQ__)
  return _mm512_reduce_add_ps((__m512)a.v[0]);
#else
  NativeF s = a.v[0];
  for (int i = 1; i < kParts; ++i) s += a.v[i];
  float r = 0;
  for (int k = 0; k < kLanes / 2; ++k) r += s[k] + s[k + kLanes / 2];
  return r;
#endif
}

// 2^f for f in [0, 1): minimax of degree 5, relative error 8e-8.
GSV_INLINE F16 exp2_fraction(F16 f) {
  F16 p = splat(1.8756131175905466e-3f);
  p = p * f + splat(8.994579315185547e-3f);
  p = p * f + splat(5.582127720117569e-2f);
  p = p * f + splat(2.4015571177005768e-1f);
  p = p * f + splat(6.931527256965637e-1f);
  return p * f + splat(9.999999403953552e-1f);
}
// 2^x. Anything below x = -126, and NaN, gives NaN or a value below 2^-125.
GSV_INLINE F16 exp2(F16 x) {
#if defined(__AVX512DQ__)
  F16 f;
  f.v[0] = (NativeF)_mm512_reduce_ps((__m512)x.v[0], _MM_FROUND_TO_NEG_INF);
  F16 p = exp2_fraction(f);
  p.v[0] = (NativeF)_mm512_scalef_ps((__m512)p.v[0], (__m512)x.v[0]);
  return p;
#else
  x = max(x, splat(-126.f));
  const I16 n = truncate(x + splat(127.f));  // floor(x) + 127, up to rounding, which f absorbs
  F16 p = exp2_fraction(x - (to_float(n) - splat(127.f)));
  GSV_EACH(p.v[i] = (NativeF)((NativeI)p.v[i] + ((n.v[i] - 127) << 23)));
  return p;
#endif
}

// log2(x) for normal x > 0, relative error 2e-7 away from x = 1: x = 2^n m with m in [sqrt(1/2), sqrt(2)) and the series
// of log((1 + s) / (1 - s)).
GSV_INLINE F16 log2(F16 x) {
  F16 n, m;
  GSV_EACH(const NativeI bits = (NativeI)x.v[i] - 0x3f3504f3; const NativeI exponent = bits >> 23;
           n.v[i] = __builtin_convertvector(exponent, NativeF);
           m.v[i] = (NativeF)((bits & 0x7fffff) + 0x3f3504f3));
  const F16 s = (m - splat(1.f)) / (m + splat(1.f)), t = s * s;
  F16 p = splat(0.3205989f);
  p = p * t + splat(0.41219859f);
  p = p * t + splat(0.57707802f);
  p = p * t + splat(0.96179669f);
  p = p * t + splat(2.8853901f);
  return p * s + n;
}

// Lane k holds k % kBlock or k / kBlock: the pixel's place in its block.
GSV_INLINE F16 lane_column() {
  const float k[16] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  return load(k);
}
GSV_INLINE F16 lane_row() {
  const float k[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  return load(k);
}
GSV_INLINE F16 lane_index() {
  const float k[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(k);
}

}  // namespace GSV_ISA
}  // namespace gsv
