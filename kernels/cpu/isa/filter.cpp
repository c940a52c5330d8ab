// SPDX-License-Identifier: MIT
// The filter behind the picture. A tile of it, with kFilterReach pixels on each side, becomes three planes of YCC that
// stay in the cache; each sixteen pixels of a row then take their neighbours from there and go back to RGB.
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

constexpr float kThird = 0.57735027f, kHalf = 0.70710678f, kSixth = 0.40824829f;  // square roots of these fractions

// Sixteen numbers of a row from column x on; beyond its ends lies its edge
GSV_INLINE F16 load_beyond(const float* row, int32_t x, int32_t width) {
  if (x >= 0 && x + 16 <= width) return load(row + x);
  float values[16];
  for (int32_t k = 0; k < 16; ++k) values[k] = row[x + k < 0 ? 0 : x + k < width ? x + k : width - 1];
  return load(values);
}

// `max` takes its second argument where the first is not a number
GSV_INLINE F16 clamp(F16 a) { return min(max(a, splat(0.f)), splat(1.f)); }

// A row of the picture from column x on, `count` pixels and some more, to a row of the planes
GSV_INLINE void convert_row(const PictureFilter& job, int32_t row, int32_t x, int32_t count, float* planes) {
  const int64_t plane = (int64_t)job.height * job.width;
  const float* red = job.picture + (int64_t)row * job.width;
  for (int32_t i = 0; i < count; i += 16) {
    const F16 r = clamp(load_beyond(red, x + i, job.width));
    const F16 g = clamp(load_beyond(red + plane, x + i, job.width));
    const F16 b = clamp(load_beyond(red + 2 * plane, x + i, job.width));
    store(planes + i, (r + g + b) * splat(kThird));
    store(planes + kFilterPlane + i, (r - b) * splat(kHalf));
    store(planes + 2 * kFilterPlane + i, (r - g - g + b) * splat(kSixth));
  }
}

GSV_INLINE F16 filtered(const float* pixel, float own, const float* weight) {
  F16 found = load(pixel) * splat(own);
  for (int k = 0; k < kFilterTaps; ++k) {
    const int away = kFilterOffsets[k][0] * kFilterStride + kFilterOffsets[k][1];
    found = found + (load(pixel + away) + load(pixel - away)) * splat(weight[k]);
  }
  return found;
}

// n pixels of a row, from the planes to `out`, the first of them in plane 0 of the result
GSV_INLINE void filter_row(const PictureFilter& job, const float* planes, int32_t n, float* out) {
  const int64_t plane = (int64_t)job.height * job.width;
  for (int32_t i = 0; i < n; i += 16) {
    F16 found[3];
    for (int c = 0; c < 3; ++c) found[c] = filtered(planes + c * kFilterPlane + i, job.own[c], job.weight[c]);
    const F16 y = found[0] * splat(kThird), u = found[1] * splat(kHalf), v = found[2] * splat(kSixth);
    store_some(out + i, y + u + v, n - i);
    store_some(out + plane + i, y - v - v, n - i);
    store_some(out + 2 * plane + i, y - u + v, n - i);
  }
}

void filter_picture(const PictureFilter& job, int32_t first, int32_t end, float* planes) {
  for (int32_t x = 0; x < job.width; x += kFilterColumns) {
    const int32_t n = job.width - x < kFilterColumns ? job.width - x : kFilterColumns;
    const int32_t count = (n + 15) / 16 * 16 + 2 * kFilterReach;  // also what surrounds the last sixteen
    for (int32_t y = first - kFilterReach; y < end + kFilterReach; ++y) {
      const int32_t row = y < 0 ? 0 : y < job.height ? y : job.height - 1;
      convert_row(job, row, x - kFilterReach, count, planes + (y - first + kFilterReach) * kFilterStride);
    }
    for (int32_t y = first; y < end; ++y)
      filter_row(job, planes + (y - first + kFilterReach) * kFilterStride + kFilterReach, n,
                 job.out + (int64_t)y * job.width + x);
  }
}

}  // namespace GSV_ISA
}  // namespace gsv
