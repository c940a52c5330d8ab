// SPDX-License-Identifier: MIT
// Compares a band's drawn sums with the target while they are in the cache, and leaves the gradient in their place.
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

// A block of samples, four rows of four, as floats
GSV_INLINE F16 load_block(const uint8_t* p, int64_t stride) {
#if defined(__AVX2__)
  int32_t row[kBlock];
  for (int y = 0; y < kBlock; ++y) __builtin_memcpy(row + y, p + y * stride, sizeof row[0]);
  const __m128i all = _mm_setr_epi32(row[0], row[1], row[2], row[3]);
  I16 r;
#if defined(__AVX512DQ__)
  r.v[0] = (NativeI)_mm512_cvtepu8_epi32(all);
#else
  r.v[0] = (NativeI)_mm256_cvtepu8_epi32(all);
  r.v[1] = (NativeI)_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(all, all));
#endif
  return to_float(r);
#else
  float r[kBlockPixels];
  for (int k = 0; k < kBlockPixels; ++k) r[k] = p[k / kBlock * stride + k % kBlock];
  return load(r);
#endif
}
GSV_INLINE F16 load_block(const uint16_t* p, int64_t stride) {
#if defined(__AVX2__)
  long long row[kBlock];
  for (int y = 0; y < kBlock; ++y) __builtin_memcpy(row + y, p + y * stride, sizeof row[0]);
  I16 r;
#if defined(__AVX512DQ__)
  r.v[0] = (NativeI)_mm512_cvtepu16_epi32(_mm256_setr_epi64x(row[0], row[1], row[2], row[3]));
#else
  r.v[0] = (NativeI)_mm256_cvtepu16_epi32(_mm_set_epi64x(row[1], row[0]));
  r.v[1] = (NativeI)_mm256_cvtepu16_epi32(_mm_set_epi64x(row[3], row[2]));
#endif
  return to_float(r);
#else
  float r[kBlockPixels];
  for (int k = 0; k < kBlockPixels; ++k) r[k] = p[k / kBlock * stride + k % kBlock];
  return load(r);
#endif
}

struct BlockSums {
  F16 error, background[3];
};

// The block's sums at p become gradients; `inside` is 1 where a pixel lies in the frame, 0 elsewhere.
template <int C>
GSV_INLINE void compare(const Target& t, const F16* wanted, F16 inside, float* p, BlockSums& total) {
  const F16 weight = C == 4 ? splat(1.f) / (load(p + 3 * kBlockPixels) + splat(t.epsilon)) : splat(1.f);
  F16 dot = splat(0.f);
  for (int c = 0; c < 3; ++c) {
    F16 v = load(p + c * kBlockPixels);
    if (C == 4) v = (v + splat(t.epsilon * t.background[c])) * weight;
    const F16 difference = (v - wanted[c] * splat(t.scale)) * inside;
    total.error = total.error + difference * difference;
    const F16 g = C == 4 ? difference * weight : difference;
    store(p + c * kBlockPixels, g);
    total.background[c] = total.background[c] + g;
    dot = dot + g * v;
  }
  if (C == 4) store(p + 3 * kBlockPixels, splat(0.f) - dot);
}

// A block that sticks out of the frame: `columns` x `rows` of it lie inside.
template <class T, int C>
static void compare_edge(const Target& t, const T* in, int64_t stride, int columns, int rows, float* p,
                         BlockSums& total) {
  float inside[kBlockPixels] = {}, samples[3][kBlockPixels] = {};
  for (int y = 0; y < rows; ++y)
    for (int x = 0; x < columns; ++x) {
      inside[y * kBlock + x] = 1;
      for (int c = 0; c < 3; ++c) samples[c][y * kBlock + x] = in[c * t.plane + y * stride + x];
    }
  const F16 wanted[3] = {load(samples[0]), load(samples[1]), load(samples[2])};
  compare<C>(t, wanted, load(inside), p, total);
}

template <class T, int C>
static void compare_strip(const Band& b, const Target& t, const T* in, int rows, float* p, double* found) {
  const F16 zero = splat(0.f);
  BlockSums total = {zero, {zero, zero, zero}};
  for (int x = 0; x < b.width; x += kBlock, in += kBlock, p += C * kBlockPixels) {
    if (rows == kBlock && x + kBlock <= b.width) {
      F16 wanted[3];
      for (int c = 0; c < 3; ++c) wanted[c] = load_block(in + c * t.plane, b.width);
      compare<C>(t, wanted, splat(1.f), p, total);
    } else {
      compare_edge<T, C>(t, in, b.width, b.width - x < kBlock ? b.width - x : kBlock, rows, p, total);
    }
  }
  found[0] += sum(total.error);
  if (C == 4)
    for (int c = 0; c < 3; ++c) found[1 + c] += t.epsilon * sum(total.background[c]);
}

template <class T, int C>
static void compare_band(const Band& b, const Target& t, double* found) {
  for (int s = 0; s < kLossSums; ++s) found[s] = 0;
  const T* in = static_cast<const T*>(t.samples);
  for (int k = 0; k * kBlock < b.rows; ++k) {
    const int rows = b.rows - k * kBlock < kBlock ? b.rows - k * kBlock : kBlock;
    float* p = b.buffer + (int64_t)k * b.blocks * C * kBlockPixels;
    compare_strip<T, C>(b, t, in + (int64_t)k * kBlock * b.width, rows, p, found);
  }
}

void blend_loss(const Band& b, const Target& t, double* found) {
  if (t.bytes == 1)
    b.channels == 3 ? compare_band<uint8_t, 3>(b, t, found) : compare_band<uint8_t, 4>(b, t, found);
  else
    b.channels == 3 ? compare_band<uint16_t, 3>(b, t, found) : compare_band<uint16_t, 4>(b, t, found);
}

}  // namespace GSV_ISA
}  // namespace gsv
