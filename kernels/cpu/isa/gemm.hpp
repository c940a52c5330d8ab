// SPDX-License-Identifier: MIT
// Small matrix products held in registers: C[m][n] = sum over r of a(m, r) * B[r][n], where B's rows are contiguous.
#pragma once
#include "../vec.hpp"

#ifdef __clang__
#define GSV_UNROLL _Pragma("unroll")
#else
#define GSV_UNROLL _Pragma("GCC unroll 16")
#endif

namespace gsv {
namespace GSV_ISA {

// Rows of C per tile, and F16 per row: together with a row of B they fill the registers.
#if defined(__AVX512DQ__)
constexpr int kTileRows = 8, kTileVectors = 3;
#elif defined(__AVX2__)
constexpr int kTileRows = 4, kTileVectors = 1;
#else
constexpr int kTileRows = 2, kTileVectors = 1;
#endif

// a(m, r) = a[m * AM + r * ar]. Calls done(m, n, C[m][n]) for every element of the M x V tile.
template <int M, int V, int AM, class Done>
GSV_INLINE void gemm_tile(const float* a, int64_t ar, const float* b, int64_t br, int count, const Done& done) {
  F16 c[M][V];
  GSV_UNROLL for (int m = 0; m < M; ++m)
    GSV_UNROLL for (int v = 0; v < V; ++v) c[m][v] = splat(0.f);
  for (int r = 0; r < count; ++r, a += ar, b += br) {
    F16 row[V];
    GSV_UNROLL for (int v = 0; v < V; ++v) row[v] = load(b + 16 * v);
    GSV_UNROLL for (int m = 0; m < M; ++m) {
      const F16 x = splat(a[m * AM]);
      GSV_UNROLL for (int v = 0; v < V; ++v) c[m][v] = c[m][v] + x * row[v];
    }
  }
  GSV_UNROLL for (int m = 0; m < M; ++m)
    GSV_UNROLL for (int v = 0; v < V; ++v) done(m, v, c[m][v]);
}

// Rows [m, m + kTileRows) of C times `vectors` F16 of columns; done(m, v, value) gets positions within these rows.
template <int V, int AM, class Done>
GSV_INLINE void gemm_rows(const float* a, int64_t ar, const float* b, int64_t br, int count, int vectors,
                          const Done& done) {
  int v = 0;
  for (; v + V <= vectors; v += V)
    gemm_tile<kTileRows, V, AM>(a, ar, b + 16 * v, br, count, [&](int m, int w, F16 x) { done(m, v + w, x); });
  if (V > 1)
    for (; v < vectors; ++v)
      gemm_tile<kTileRows, 1, AM>(a, ar, b + 16 * v, br, count, [&](int m, int w, F16 x) { done(m, v + w, x); });
}

// Transposes rows x columns floats, both multiples of 4.
GSV_INLINE void transpose(const float* in, int64_t in_stride, int rows, int columns, float* out, int64_t out_stride) {
  for (int i = 0; i < rows; i += 4)
    for (int j = 0; j < columns; j += 4) {
      Float4 r[4];
      for (int k = 0; k < 4; ++k) __builtin_memcpy(&r[k], in + (i + k) * in_stride + j, sizeof r[k]);
      const Float4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
      const Float4 c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
      r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
      r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
      r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
      r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
      for (int k = 0; k < 4; ++k) __builtin_memcpy(out + (j + k) * out_stride + i, &r[k], sizeof r[k]);
    }
}

}  // namespace GSV_ISA
}  // namespace gsv
