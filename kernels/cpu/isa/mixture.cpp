// SPDX-License-Identifier: MIT
// Bits of values under mixtures of logistics, and their gradients.
//
// The mass of a step of width 2h around z is S(z/s + h/s) - S(z/s - h/s) with the logistic function S. That difference
// loses everything to cancellation in the tails and for narrow steps; with a = |z|/s and e = exp(-2h/s) it equals the
// product (1 - e) S(h/s - a) S(h/s + a), which does not. With A = exp(a - h/s): S(h/s - a) = 1 / (1 + A) and
// S(h/s + a) = A / (A + e).
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

constexpr float kLog2E = 1.44269504f;
constexpr float kLeast = 1e-7f;     // probability below which a value costs no more
constexpr float kMostLog2 = 60.f;   // of A: the mass there is far below kLeast

struct Parts {
  F16 mean[kMixtureParts], inverse[kMixtureParts], share[kMixtureParts];
};
struct MixtureSums {
  F16 bits, mean[kMixtureParts], scale[kMixtureParts], share[kMixtureParts];
};

// 1 - exp(-t) for t >= 0, of which `exponential` is exp(-t)
GSV_INLINE F16 one_minus_exp(F16 t, F16 exponential) {
  F16 p = splat(-1.f / 120);
  p = p * t + splat(1.f / 24);
  p = p * t + splat(-1.f / 6);
  p = p * t + splat(0.5f);
  p = (splat(1.f) - p * t) * t;
  // Below 1/8 the series' next term is less than 3e-8 of the whole
  return choose_positive(splat(0.125f) - t, p, splat(1.f) - exponential);
}

// What one part of a mixture adds: its weighted mass, and the derivatives of the mass's logarithm
struct Mass {
  F16 mass, by_x, by_scale;
};

// What depends on the width of the step and the scale only: h/s, e, 1 - e and (h/s) 2e / (1 - e), which stays finite, 1,
// for narrow steps
struct Width {
  F16 h, e, rest, narrow;
};

GSV_INLINE Width width_of(F16 width, F16 inverse) {
  Width w;
  w.h = width * splat(0.5f) * inverse;
  w.e = exp2(max(w.h * splat(-2 * kLog2E), splat(-120.f)));
  w.rest = one_minus_exp(w.h + w.h, w.e);
  w.narrow = w.h * (w.e + w.e) / max(w.rest, splat(1e-30f));
  return w;
}

GSV_INLINE Mass mass_of(F16 z, const Width& w, F16 inverse, F16 share) {
  const F16 one = splat(1.f), zero = splat(0.f);
  const F16 size = max(z, zero - z) * inverse;
  const F16 up = exp2(min(max((size - w.h) * splat(kLog2E), splat(-60.f)), splat(kMostLog2)));
  // One division for 1 / (1 + A) and 1 / (A + e); A stays below 2^60, so that the product is finite
  const F16 a = one + up, b = up + w.e, both = one / (a * b);
  const F16 tail = up * b * both, far = w.e * a * both;  // S(a - h/s) and S(-a - h/s)
  Mass m;
  m.mass = share * w.rest * up * both;
  const F16 slope = far - tail;  // by a
  m.by_x = choose_positive(z, slope, zero - slope) * inverse;
  m.by_scale = zero - (size * slope + w.h * (tail + far) + w.narrow);  // by log s, both a and h/s shrink
  return m;
}

GSV_INLINE void mixture16(const Parts& parts, const Width* widths, F16 x, F16 inside, float* dx, MixtureSums& total) {
  const F16 zero = splat(0.f);
  Mass m[kMixtureParts];
  F16 all = zero;
  for (int k = 0; k < kMixtureParts; ++k) {
    m[k] = mass_of(x - parts.mean[k], widths[k], parts.inverse[k], parts.share[k]);
    all = all + m[k].mass;
  }
  const F16 known = max(all, splat(kLeast));
  const F16 open = where_positive(all - splat(kLeast), inside);  // elsewhere the bits are constant
  const F16 reciprocal = open / known;
  F16 slope = zero;
  for (int k = 0; k < kMixtureParts; ++k) {
    const F16 claim = m[k].mass * reciprocal;
    const F16 by_x = claim * m[k].by_x;
    slope = slope + by_x;
    total.mean[k] = total.mean[k] + by_x;
    total.scale[k] = total.scale[k] - claim * m[k].by_scale;
    total.share[k] = total.share[k] + claim;
  }
  total.bits = total.bits - log2(known) * inside;
  store(dx, slope * splat(-kLog2E));
}

GSV_INLINE void set_widths(const Parts& parts, F16 step, Width* widths) {
  for (int k = 0; k < kMixtureParts; ++k) widths[k] = width_of(step, parts.inverse[k]);
}

static void mixture_column(const Mixture& mixture, int j, const float* x, const float* step, int64_t n, float* dx,
                           float* sums) {
  const int columns = mixture.components, group = 16 * columns;
  Parts parts;
  for (int k = 0; k < kMixtureParts; ++k) {
    const int at = (j * kMixtureParts + k) * 16;
    parts.mean[k] = load(mixture.mean + at);
    parts.inverse[k] = load(mixture.inverse + at);
    parts.share[k] = load(mixture.share + at);
  }
  const F16 zero = splat(0.f);
  MixtureSums total = {zero, {zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}};
  const int64_t end = n * columns;
  int64_t i = 16 * j;
  Width widths[kMixtureParts];
  if (mixture.width) set_widths(parts, load(mixture.width + 16 * j), widths);
  for (; i + 16 <= end; i += group) {
    if (!mixture.width) set_widths(parts, load(step + i), widths);
    mixture16(parts, widths, load(x + i), splat(1.f), dx + i, total);
  }
  if (i < end) {
    float rows[16] = {}, steps[16], inside[16] = {}, found[16];
    for (int k = 0; k < 16; ++k) {
      const bool here = i + k < end;
      inside[k] = here;
      if (here) rows[k] = x[i + k];
      steps[k] = mixture.width ? mixture.width[16 * j + k] : here ? step[i + k] : 1.f;
    }
    set_widths(parts, load(steps), widths);
    mixture16(parts, widths, load(rows), load(inside), found, total);
    for (int k = 0; i + k < end; ++k) dx[i + k] = found[k];
  }
  store(sums, total.bits);
  for (int k = 0; k < kMixtureParts; ++k) {
    store(sums + (1 + k) * 16, total.mean[k]);
    store(sums + (1 + kMixtureParts + k) * 16, total.scale[k]);
    store(sums + (1 + 2 * kMixtureParts + k) * 16, total.share[k]);
  }
}

void mixture_bits(const Mixture& mixture, const float* x, const float* step, int64_t n, float* dx, float* sums) {
  for (int j = 0; j < mixture.components; ++j)
    mixture_column(mixture, j, x, step, n, dx, sums + j * kMixtureSums * 16);
}

}  // namespace GSV_ISA
}  // namespace gsv
