// SPDX-License-Identifier: MIT
// Gradient of one band: for each of its Gaussians, the sums over the band's pixels that raster.cpp combines.
#include "kernels.hpp"
#include "spans.hpp"

namespace gsv {
namespace GSV_ISA {

// One row of one channel into blocks; pixels outside the frame become zero.
GSV_INLINE void load_row(const float* in, int64_t block_floats, int width, float* p) {
  int x = 0;
  for (; x + kBlock <= width; x += kBlock, p += block_floats) __builtin_memcpy(p, in + x, kBlock * sizeof(float));
  if (x < width)
    for (int k = 0; k < kBlock; ++k) p[k] = x + k < width ? in[x + k] : 0.f;
}

void load_planar(const Band& b, const float* in, int64_t plane) {
  const int64_t block_floats = b.channels * kBlockPixels;
  const int padded = (b.rows + kBlock - 1) / kBlock * kBlock;
  for (int c = 0; c < b.channels; ++c)
    for (int y = 0; y < padded; ++y) {
      float* p = b.buffer + (y / kBlock) * b.blocks * block_floats + c * kBlockPixels + (y % kBlock) * kBlock;
      if (y < b.rows) {
        load_row(in + c * plane + (int64_t)y * b.width, block_floats, b.width, p);
      } else {
        for (int x = 0; x < b.blocks; ++x, p += block_floats) __builtin_memset(p, 0, kBlock * sizeof(float));
      }
    }
}

// q = grad . feature * exp(-sigma) inside the support; sums of q times u and moments of d, and of weight * grad.
template <int C>
struct Sums {
  F16 u, y, xx, xy, yy;
  F16 feature[C];
};

template <int C>
GSV_INLINE void grad_strip(const Splat& s, float dy0, int begin, int end, const float* p, Sums<C>& total) {
  const F16 dy = lane_row() + splat(dy0);
  const F16 constant = splat(s.qy) * dy * dy, shift = splat(s.slope) * dy;
  const F16 qu = splat(s.qu), low = splat(kFloor), zero = splat(0.f), step = splat((float)kBlock);
  F16 u = lane_column() + splat((float)(begin * kBlock) + 0.5f - s.cx) - shift;
  F16 sum0 = zero, sum1 = zero, sum2 = zero;  // of q, q*u, q*u*u
  for (int b = begin; b < end; ++b) {
    const F16 e = exp2(qu * u * u + constant);
    const F16 above = e - low;
    const F16 w = max(above, zero);
    F16 dot = load(p) * splat(s.feature[0]);
    total.feature[0] = total.feature[0] + w * load(p);
    for (int c = 1; c < C; ++c) {
      const F16 g = load(p + c * kBlockPixels);
      total.feature[c] = total.feature[c] + w * g;
      dot = dot + g * splat(s.feature[c]);
    }
    const F16 q = where_positive(above, e * dot);
    const F16 q1 = q * u;
    sum0 = sum0 + q;
    sum1 = sum1 + q1;
    sum2 = sum2 + q1 * u;
    u = u + step;
    p += C * kBlockPixels;
  }
  const F16 sum_x = sum1 + shift * sum0, sum_y = sum0 * dy;  // dx = u + shift
  total.u = total.u + sum1;
  total.xx = total.xx + (sum2 + shift * (sum1 + sum_x));
  total.xy = total.xy + sum_x * dy;
  total.y = total.y + sum_y;
  total.yy = total.yy + sum_y * dy;
}

template <int C>
static void grad(const Band& b, const int64_t* slots, float* partials) {
  const int64_t strip_floats = (int64_t)b.blocks * C * kBlockPixels;
  for (int64_t n = 0; n < b.count; ++n) {
    if (n + 4 < b.count) __builtin_prefetch(&b.splats[b.ids[n + 4]]);
    const Splat& s = b.splats[b.ids[n]];
    const Spans spans = block_spans(s, b.y0, b.width);
    const F16 zero = splat(0.f);
    Sums<C> total = {zero, zero, zero, zero, zero, {}};
    const int last = last_strip(s, b);
    for (int k = first_strip(s, b); k <= last; ++k) {
      const float dy0 = (float)(b.y0 + k * kBlock) + 0.5f - s.cy;
      const float* p = b.buffer + k * strip_floats + (int64_t)spans.begin[k] * C * kBlockPixels;
      grad_strip<C>(s, dy0, spans.begin[k], spans.end[k], p, total);
    }
    float* out = partials + (slots[b.ids[n]] + (b.y0 - s.y0 / kBandHeight * kBandHeight) / kBandHeight) * kPartials;
    out[0] = sum(total.u);
    out[1] = sum(total.y);
    out[2] = sum(total.xx);
    out[3] = sum(total.xy);
    out[4] = sum(total.yy);
    for (int c = 0; c < C; ++c) out[5 + c] = sum(total.feature[c]);
  }
}

void grad_band(const Band& b, const int64_t* slots, float* partials) {
  b.channels == 3 ? grad<3>(b, slots, partials) : grad<4>(b, slots, partials);
}

}  // namespace GSV_ISA
}  // namespace gsv
