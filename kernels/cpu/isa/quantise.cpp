// SPDX-License-Identifier: MIT
// What decoding makes of values: rounded to steps, or with noise of one step in place of rounding.
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

// Nearest integer, ties to even: from 2^23 on a float has no digits after the point.
GSV_INLINE F16 round_even(F16 x) {
  const F16 large = splat(8388608.f);
  const F16 near = choose_positive(x, (x + large) - large, (x - large) + large);
  return choose_positive(large - max(x, splat(0.f) - x), near, x);
}

GSV_INLINE I16 shift_logical(I16 a, int bits) { return shift_right(a, bits) & splat((int32_t)(0xffffffffu >> bits)); }

// Uniform in [-1/2, 1/2), from the number of the value and two words of seed: three rounds with the multipliers of
// `lowbias32` (Wellons), so that two are left for the second word
GSV_INLINE F16 noise16(uint32_t number, const uint32_t* seed) {
  I16 h = truncate(lane_index()) + splat((int32_t)(number + seed[0]));
  h = (h ^ shift_logical(h, 16)) * splat((int32_t)0x7feb352d) + splat((int32_t)seed[1]);
  h = (h ^ shift_logical(h, 15)) * splat((int32_t)0x846ca68b);
  h = (h ^ shift_logical(h, 16)) * splat((int32_t)0x7feb352d);
  h = h ^ shift_logical(h, 15);
  return to_float(shift_logical(h, 8)) * splat(1.f / 16777216) - splat(0.5f);
}

GSV_INLINE F16 quantise16(const Quantiser& q, F16 x, F16 step, int64_t number) {
  if (q.noise) return x + noise16((uint32_t)number, q.seed) * step;
  return round_even(x / step) * step;
}

void quantise(const Quantiser& q, const float* x, int64_t first, int64_t n, float* out) {
  F16 lanes[kMostColumns];
  for (int j = 0; j < q.columns; ++j) {
    float steps[16];
    for (int lane = 0; lane < 16; ++lane) steps[lane] = q.step[(16 * j + lane) % q.columns];
    lanes[j] = load(steps);
  }
  int j = 0;
  int64_t i = first;
  for (; i + 16 <= first + n; i += 16) {
    const F16 step = q.columns ? lanes[j] : load(q.step + i);
    store(out + i, quantise16(q, load(x + i), step, i));
    if (++j >= q.columns) j = 0;
  }
  if (i == first + n) return;
  float values[16] = {}, steps[16], found[16];
  for (int k = 0; k < 16; ++k) steps[k] = 1;
  for (int k = 0; i + k < first + n; ++k) {
    values[k] = x[i + k];
    if (!q.columns) steps[k] = q.step[i + k];
  }
  store(found, quantise16(q, load(values), q.columns ? lanes[j] : load(steps), i));
  for (int k = 0; i + k < first + n; ++k) out[i + k] = found[k];
}

}  // namespace GSV_ISA
}  // namespace gsv
