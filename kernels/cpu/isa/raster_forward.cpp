// SPDX-License-Identifier: MIT
// Draws one band of a frame into its buffer of blocks and stores the buffer as planes or as 8-bit RGB.
#include "kernels.hpp"
#include "spans.hpp"

namespace gsv {
namespace GSV_ISA {

template <int C>
GSV_INLINE void draw_strip(const Splat& s, float dy0, int begin, int end, float* p) {
  const F16 dy = lane_row() + splat(dy0);
  const F16 constant = splat(s.qy) * dy * dy;
  const F16 qu = splat(s.qu), low = splat(kFloor), zero = splat(0.f), step = splat((float)kBlock);
  F16 feature[C];
  for (int c = 0; c < C; ++c) feature[c] = splat(s.feature[c]);
  F16 u = lane_column() + splat((float)(begin * kBlock) + 0.5f - s.cx) - splat(s.slope) * dy;
  for (int b = begin; b < end; ++b) {
    const F16 w = max(exp2(qu * u * u + constant) - low, zero);
    for (int c = 0; c < C; ++c) store(p + c * kBlockPixels, load(p + c * kBlockPixels) + w * feature[c]);
    u = u + step;
    p += C * kBlockPixels;
  }
}

template <int C>
static void draw(const Band& b) {
  const int64_t strip_floats = (int64_t)b.blocks * C * kBlockPixels;
  __builtin_memset(b.buffer, 0, (size_t)(kBandStrips * strip_floats) * sizeof(float));
  for (int64_t n = 0; n < b.count; ++n) {
    if (n + 4 < b.count) __builtin_prefetch(&b.splats[b.ids[n + 4]]);
    const Splat& s = b.splats[b.ids[n]];
    const Spans spans = block_spans(s, b.y0, b.width);
    const int last = last_strip(s, b);
    for (int k = first_strip(s, b); k <= last; ++k) {
      const float dy0 = (float)(b.y0 + k * kBlock) + 0.5f - s.cy;
      float* p = b.buffer + k * strip_floats + (int64_t)spans.begin[k] * C * kBlockPixels;
      draw_strip<C>(s, dy0, spans.begin[k], spans.end[k], p);
    }
  }
}

void draw_band(const Band& b) { b.channels == 3 ? draw<3>(b) : draw<4>(b); }

// One row of one channel, block by block; the last block may stick out of the frame.
GSV_INLINE void store_row(const float* p, int64_t block_floats, int width, float* out) {
  int x = 0;
  for (; x + kBlock <= width; x += kBlock, p += block_floats) __builtin_memcpy(out + x, p, kBlock * sizeof(float));
  for (int k = 0; x + k < width; ++k) out[x + k] = p[k];
}

void store_planar(const Band& b, float* out, int64_t plane) {
  const int64_t block_floats = b.channels * kBlockPixels;
  for (int c = 0; c < b.channels; ++c)
    for (int y = 0; y < b.rows; ++y) {
      const float* p = b.buffer + (y / kBlock) * b.blocks * block_floats + c * kBlockPixels + (y % kBlock) * kBlock;
      store_row(p, block_floats, b.width, out + c * plane + (int64_t)y * b.width);
    }
}

// clamp to [0, 1], times 255, rounded half up; NaN becomes 0
GSV_INLINE I16 quantise(F16 x) {
  const F16 unit = min(max(x, splat(0.f)), splat(1.f));
  return truncate(unit * splat(255.f) + splat(0.5f));
}

// The block's pixels as rows of twelve bytes and four bytes of padding, from pixels held as 0x00BBGGRR
GSV_INLINE void pack_rows(I16 rgb, uint8_t* out) {
#if defined(__AVX2__)
  const __m128i order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
#if defined(__AVX512DQ__)
  rgb.v[0] = (NativeI)_mm512_shuffle_epi8((__m512i)rgb.v[0], _mm512_broadcast_i32x4(order));
#else
  GSV_EACH(rgb.v[i] = (NativeI)_mm256_shuffle_epi8((__m256i)rgb.v[i], _mm256_broadcastsi128_si256(order)));
#endif
  store((int32_t*)out, rgb);
#else
  uint32_t pixel[kBlockPixels];
  store((int32_t*)pixel, rgb);
  for (int p = 0; p < kBlockPixels; ++p)
    for (int c = 0; c < 3; ++c) out[p / kBlock * 16 + p % kBlock * 3 + c] = (uint8_t)(pixel[p] >> (8 * c));
#endif
}

GSV_INLINE void block_rows(const Band& b, const Rgb8& target, const float* p, uint8_t* rows) {
  I16 q[3];
  const F16 weight = b.channels == 4 ? splat(1.f) / (load(p + 3 * kBlockPixels) + splat(target.epsilon)) : splat(1.f);
  for (int c = 0; c < 3; ++c) {
    F16 v = load(p + c * kBlockPixels);
    if (b.channels == 4) v = (v + splat(target.background[c])) * weight;
    q[c] = quantise(v);
  }
  pack_rows(q[0] | shift_left(q[1], 8) | shift_left(q[2], 16), rows);
}

void store_rgb8(const Band& b, const Rgb8& target) {
  const int64_t block_floats = b.channels * kBlockPixels;
  for (int k = 0; k * kBlock < b.rows; ++k) {
    const int rows = b.rows - k * kBlock < kBlock ? b.rows - k * kBlock : kBlock;
    const float* p = b.buffer + k * b.blocks * block_floats;
    uint8_t* out = target.out + k * kBlock * target.stride;
    for (int x = 0; x < b.width; x += kBlock, p += block_floats, out += kBlock * 3) {
      uint8_t bytes[kBlock * 16] __attribute__((aligned(64)));
      block_rows(b, target, p, bytes);
      const int left = (b.width - x) * 3;
      // Sixteen bytes at once where the next block will write over the padding
      for (int y = 0; y < rows; ++y)
        if (left >= 16) __builtin_memcpy(out + y * target.stride, bytes + y * 16, 16);
        else __builtin_memcpy(out + y * target.stride, bytes + y * 16, left < 12 ? left : 12);
    }
  }
}

}  // namespace GSV_ISA
}  // namespace gsv
