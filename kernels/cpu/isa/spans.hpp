// SPDX-License-Identifier: MIT
// Which blocks of a band a Gaussian can touch.
#pragma once
#include "../vec.hpp"

namespace gsv {
namespace GSV_ISA {

// Per strip of the band: blocks [begin, end) that meet the ellipse. All strips are computed at once, one per lane.
struct Spans {
  int32_t begin[16];
  int32_t end[16];
};

// dx of the ellipse's boundary in row dy, without the sign of the root
GSV_INLINE F16 half_width(const Splat& s, F16 dy) {
  return sqrt(max(splat(s.width0) - splat(s.width1) * dy * dy, splat(0.f)));
}

// The weight is zero outside the ellipse, so a span may be too wide but not too narrow: `margin` covers rounding.
GSV_INLINE Spans block_spans(const Splat& s, int band_y0, int width) {
  const float margin = 1.f / 16;
  const F16 top = lane_index() * splat((float)kBlock) + splat((float)band_y0 + 0.5f - s.cy);
  const F16 lowest = max(top, splat(-s.extent_y));
  const F16 highest = min(top + splat(kBlock - 1.f), splat(s.extent_y));
  // The boundary is widest at +-right_dy; the nearest row of the strip is its widest row.
  const F16 dy_right = min(max(splat(s.right_dy), lowest), highest);
  const F16 dy_left = min(max(splat(-s.right_dy), lowest), highest);
  const F16 right = splat(s.slope) * dy_right + half_width(s, dy_right) + splat(s.cx - 0.5f + margin);
  const F16 left = splat(s.slope) * dy_left - half_width(s, dy_left) + splat(s.cx - 0.5f - margin);
  const F16 zero = splat(0.f), edge = splat((float)width);
  const I16 first = ceil_positive(min(max(left, zero), edge));
  const I16 past = truncate(min(max(right + splat(1.f), zero), edge));
  Spans r;
  store(r.begin, shift_right(first, 2));
  store(r.end, shift_right(past + splat(kBlock - 1), 2));
  return r;
}

// Strips [first, last] of the band that the Gaussian's rows meet.
GSV_INLINE int first_strip(const Splat& s, const Band& b) { return s.y0 > b.y0 ? (s.y0 - b.y0) / kBlock : 0; }
GSV_INLINE int last_strip(const Splat& s, const Band& b) {
  const int rows = s.y1 - b.y0 < b.rows ? s.y1 - b.y0 : b.rows;
  return (rows - 1) / kBlock;
}

}  // namespace GSV_ISA
}  // namespace gsv
