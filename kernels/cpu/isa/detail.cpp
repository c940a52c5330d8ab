// SPDX-License-Identifier: MIT
// Normalised blending plus a detail picture, taken from where the Gaussians of a pixel were. Sixteen pixels of a row at
// a time: positions in vectors, then the four pixels around each position one after the other, three channels at once.
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

constexpr int kGroups = 4;  // of sixteen pixels, that go through each step together

// What lies around sixteen positions along one axis
struct Around {
  int32_t first[16], second[16];  // pixels of the detail, all inside it
  float behind[16];               // how far the position lies behind the first
};
struct Places {
  Around x, y;
};

GSV_INLINE F16 floor(F16 a) {
  const F16 whole = to_float(truncate(a));
  return choose_positive(whole - a, whole - splat(1.f), whole);
}

// Positions count from the whole number that `start` was split from, -least, and are held in [0, last] before they
// become numbers of pixels. `max` takes its second argument where the first is not a number.
GSV_INLINE void find_around(F16 start, F16 least, F16 shift, int32_t last, Around& found) {
  const F16 at = min(max(start - shift, least), least + splat((float)last));
  const F16 whole = floor(at);
  const I16 first = truncate(whole - least);
  store(found.first, first);
  store(found.second, min(first + splat(int32_t{1}), splat(last)));
  store(found.behind, at - whole);
}

// Three floats, no byte more: a pixel may be the last of its array
GSV_INLINE Float4 load_pixel(const float* p) { return Float4{p[0], p[1], p[2], 0}; }

// Weights as the definition has them: a difference of pixels would make a NaN of what is infinite next to a number
GSV_INLINE Float4 mix(Float4 a, Float4 b, float share) { return a * (1 - share) + b * share; }

GSV_INLINE const float* pixel_at(const DetailBlend& job, int32_t row, int32_t column) {
  return job.detail + ((int64_t)row * job.columns + column) * 3;
}

// `at`: the group's first pixel in a plane of the frame. Asks for the pixels of the detail, which no hardware foresees.
GSV_INLINE void find_places(const DetailBlend& job, int32_t row, int32_t column, int64_t at, int n, Places& found) {
  const F16 weight = load_some(job.drawn + 3 * job.plane + at, n) + splat(job.epsilon);
  const F16 right = load_some(job.moved + at, n) / weight * splat(job.ratio_x);
  const F16 down = load_some(job.moved + job.plane + at, n) / weight * splat(job.ratio_y);
  find_around(load(job.column_start + column), load(job.column_least + column), right, job.columns - 1, found.x);
  find_around(splat(job.row_start[row]), splat(job.row_least[row]), down, job.rows - 1, found.y);
  for (int k = 0; k < 16; k += 5) {  // a line of the cache is five pixels
    __builtin_prefetch(pixel_at(job, found.y.first[k], found.x.first[k]));
    __builtin_prefetch(pixel_at(job, found.y.second[k], found.x.first[k]));
  }
}

GSV_INLINE void sample(const DetailBlend& job, const Places& places, float (*found)[16]) {
  const Around &x = places.x, &y = places.y;
  for (int k = 0; k < 16; ++k) {
    const float *above = pixel_at(job, y.first[k], 0), *below = pixel_at(job, y.second[k], 0);
    const int64_t left = (int64_t)x.first[k] * 3, right = (int64_t)x.second[k] * 3;
    const Float4 upper = mix(load_pixel(above + left), load_pixel(above + right), x.behind[k]);
    const Float4 lower = mix(load_pixel(below + left), load_pixel(below + right), x.behind[k]);
    const Float4 pixel = mix(upper, lower, y.behind[k]);
    for (int c = 0; c < 3; ++c) found[c][k] = pixel[c];
  }
}

// Every pixel is read before it is written: `out` may be part of `drawn`.
GSV_INLINE void blend_group(const DetailBlend& job, int64_t at, int n, const float (*found)[16]) {
  const F16 weight = load_some(job.drawn + 3 * job.plane + at, n) + splat(job.epsilon);
  F16 colour[3];
  for (int c = 0; c < 3; ++c)
    colour[c] = (load_some(job.drawn + c * job.plane + at, n) + splat(job.background[c])) / weight + load(found[c]);
  for (int c = 0; c < 3; ++c) store_some(job.out + c * job.plane + at, colour[c], n);
}

void blend_detail(const DetailBlend& job, int32_t first, int32_t end) {
  Places places[kGroups];
  float found[kGroups][3][16];
  for (int32_t row = first; row < end; ++row)
    for (int32_t column = 0; column < job.width; column += 16 * kGroups) {
      const int64_t at = (int64_t)row * job.width + column;
      const int n = job.width - column < 16 * kGroups ? job.width - column : 16 * kGroups;
      for (int k = 0; k < n; k += 16) find_places(job, row, column + k, at + k, n - k, places[k / 16]);
      for (int k = 0; k < n; k += 16) sample(job, places[k / 16], found[k / 16]);
      for (int k = 0; k < n; k += 16) blend_group(job, at + k, n - k, found[k / 16]);
    }
}

}  // namespace GSV_ISA
}  // namespace gsv
