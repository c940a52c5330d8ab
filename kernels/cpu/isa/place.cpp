// SPDX-License-Identifier: MIT
// From the parameters of moving Gaussians to what the rasteriser sums at one time, and the gradients back.
// Sixteen Gaussians at a time; their numbers lie apart in memory and are gathered lane by lane.
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

constexpr float kLog2E = 1.44269504f;
constexpr float kSlopeWidth = 0.27f;   // of the logistic whose slope stands for a ramp's
constexpr float kReach = 1.9f;         // of a soft window beyond its ramps, in widths
constexpr float kMostInverse = 50.f;   // 1 / the soft weight up to which a Gaussian takes part

GSV_INLINE F16 exp(F16 x) { return exp2(min(max(x * splat(kLog2E), splat(-120.f)), splat(60.f))); }

// Rows of sixteen Gaussians; unused lanes repeat the last.
struct Rows {
  int64_t all[16];   // in the parameters
  int64_t here[16];  // among those that take part
  int count;
};

GSV_INLINE Rows rows_of(const Placing& p, int64_t first, int64_t end) {
  Rows r;
  r.count = end - first < 16 ? (int)(end - first) : 16;
  for (int k = 0; k < 16; ++k) {
    r.here[k] = first + (k < r.count ? k : r.count - 1);
    r.all[k] = p.active ? p.active[r.here[k]] : r.here[k];
  }
  return r;
}
GSV_INLINE F16 gather(const float* p, const int64_t* rows, int stride, int column) {
  float v[16];
  for (int k = 0; k < 16; ++k) v[k] = p[rows[k] * stride + column];
  return load(v);
}
GSV_INLINE void scatter(float* p, const int64_t* rows, int count, int stride, int column, F16 a) {
  float v[16];
  store(v, a);
  for (int k = 0; k < count; ++k) p[rows[k] * stride + column] = v[k];
}

// (rise, fall) of a window in units of its edges
GSV_INLINE F16 rise_of(const Placing& p, F16 birth) { return (splat(p.index) - birth) * splat(1 / p.edge); }
GSV_INLINE F16 fall_of(const Placing& p, F16 death) { return (death - splat(p.index)) * splat(1 / p.edge); }
GSV_INLINE F16 ramp(F16 x) { return min(max(x + splat(0.5f), splat(0.f)), splat(1.f)); }
// A window must be able to grow from outside its ramp, where the ramp's own slope is zero.
GSV_INLINE F16 ramp_slope(F16 x) {
  const F16 e = exp(min(x, splat(0.f) - x) * splat(1 / kSlopeWidth)), one = splat(1.f);
  return e / ((one + e) * (one + e)) * splat(1 / kSlopeWidth);
}

int64_t active_windows(const Placing& p, int64_t count, int64_t* active) {
  int64_t found = 0;
  const F16 one = splat(1.f);
  for (int64_t i = 0; i < count; i += 16) {
    Placing every = p;
    every.active = nullptr;
    const Rows r = rows_of(every, i, count);
    const F16 rise = rise_of(p, gather(p.window, r.all, 2, 0)), fall = fall_of(p, gather(p.window, r.all, 2, 1));
    const F16 a = one + exp(rise * splat(-1 / kSlopeWidth) - splat(kReach));
    const F16 b = one + exp(fall * splat(-1 / kSlopeWidth) - splat(kReach));
    float inverse[16];
    store(inverse, a * b);
    for (int k = 0; k < r.count; ++k)
      if (inverse[k] < kMostInverse) active[found++] = i + k;
  }
  return found;
}

struct Placed {
  F16 colour[3], rgb[3], rise, fall, weight, tau;
};

// Colour, RGB and weight at the time
GSV_INLINE Placed colour_of(const Placing& p, const Rows& r) {
  Placed g;
  g.tau = p.tau_count > 1 ? gather(p.tau, r.here, 1, 0) : splat(p.tau[0]);
  for (int c = 0; c < 3; ++c) {
    g.colour[c] = gather(p.colour, r.all, 3, c);
    if (p.drift) g.colour[c] = g.colour[c] + gather(p.drift, r.all, 3, c) * g.tau;
    if (p.field_colour) g.colour[c] = g.colour[c] + gather(p.field_colour, r.here, 3, c) * splat(p.colour_scale);
  }
  for (int c = 0; c < 3; ++c)
    g.rgb[c] = g.colour[0] * splat(p.matrix[c]) + g.colour[1] * splat(p.matrix[3 + c]) +
               g.colour[2] * splat(p.matrix[6 + c]);
  g.rise = g.fall = g.weight = splat(1.f);
  if (p.window) {
    g.rise = rise_of(p, gather(p.window, r.all, 2, 0));
    g.fall = fall_of(p, gather(p.window, r.all, 2, 1));
    g.weight = ramp(g.rise) * ramp(g.fall);
  }
  return g;
}

// With L = [[l11, 0], [l21, l22]]: 1/l11, 1/l22 and l21/l22
struct Inverse {
  F16 first, second, ratio;
};
GSV_INLINE Inverse inverse_of(const Placing& p, const Rows& r) {
  const F16 s0 = gather(p.shape, r.all, 3, 0), s1 = gather(p.shape, r.all, 3, 1), s2 = gather(p.shape, r.all, 3, 2);
  const F16 one = splat(1.f), zero = splat(0.f);
  if (p.log_shape) return {exp(zero - s0), exp(zero - s2), s1};
  const F16 second = one / s2;
  return {one / s0, second, s1 * second};
}

void place(const Placing& p, int64_t first, int64_t end, const PlacedArrays& out) {
  for (int64_t i = first; i < end; i += 16) {
    const Rows r = rows_of(p, i, end);
    const Placed g = colour_of(p, r);
    for (int k = 0; k < 2; ++k) {
      F16 mean = gather(p.mean, r.all, 2, k), power = g.tau;
      for (int d = 0; d < p.degree; ++d, power = power * g.tau)
        mean = mean + gather(p.motion, r.all, 2 * p.degree, 2 * d + k) * power;
      if (p.field_mean) mean = mean + gather(p.field_mean, r.here, 2, k) * splat(p.mean_scale);
      scatter(out.mean, r.here, r.count, 2, k, mean);
    }
    const Inverse v = inverse_of(p, r);
    scatter(out.conic, r.here, r.count, 3, 0, (splat(1.f) + v.ratio * v.ratio) * v.first * v.first);
    scatter(out.conic, r.here, r.count, 3, 1, splat(0.f) - v.ratio * v.first * v.second);
    scatter(out.conic, r.here, r.count, 3, 2, v.second * v.second);
    for (int c = 0; c < 3; ++c) scatter(out.feature, r.here, r.count, p.channels, c, g.rgb[c] * g.weight);
    if (p.channels == 4) scatter(out.feature, r.here, r.count, 4, 3, g.weight);
  }
}

GSV_INLINE void mean_back(const Placing& p, const Rows& r, F16 tau, const float* dmean, const PlaceGradients& out) {
  for (int k = 0; k < 2; ++k) {
    const F16 g = gather(dmean, r.here, 2, k);
    scatter(out.mean, r.all, r.count, 2, k, g);
    F16 power = tau;
    for (int d = 0; d < p.degree; ++d, power = power * tau)
      scatter(out.motion, r.all, r.count, 2 * p.degree, 2 * d + k, g * power);
    if (p.field_mean) scatter(out.field_mean, r.here, r.count, 2, k, g * splat(p.mean_scale));
  }
}

GSV_INLINE void shape_back(const Placing& p, const Rows& r, const float* dconic, const PlaceGradients& out) {
  const F16 a = gather(dconic, r.here, 3, 0), b = gather(dconic, r.here, 3, 1), c = gather(dconic, r.here, 3, 2);
  const F16 zero = splat(0.f), one = splat(1.f), two = splat(2.f);
  const Inverse v = inverse_of(p, r);
  F16 ratio = a * two * v.ratio * v.first * v.first - b * v.first * v.second;
  const F16 first = a * two * (one + v.ratio * v.ratio) * v.first - b * v.ratio * v.second;
  F16 second = c * two * v.second - b * v.ratio * v.first;
  F16 first_slope = v.first, second_slope = v.second;
  if (!p.log_shape) {
    second = second + ratio * v.ratio / v.second;  // l21 = ratio * l22
    ratio = ratio * v.second;
    first_slope = first_slope * v.first;
    second_slope = second_slope * v.second;
  }
  scatter(out.shape, r.all, r.count, 3, 0, zero - first * first_slope);
  scatter(out.shape, r.all, r.count, 3, 1, ratio);
  scatter(out.shape, r.all, r.count, 3, 2, zero - second * second_slope);
}

GSV_INLINE void colour_back(const Placing& p, const Rows& r, const Placed& g, const float* dfeature,
                            const PlaceGradients& out) {
  F16 d[3], weight = p.channels == 4 ? gather(dfeature, r.here, 4, 3) : splat(0.f);
  for (int c = 0; c < 3; ++c) {
    const F16 feature = gather(dfeature, r.here, p.channels, c);
    weight = weight + feature * g.rgb[c];
    d[c] = feature * g.weight;
  }
  for (int c = 0; c < 3; ++c) {
    const float* row = p.matrix + 3 * c;
    const F16 colour = d[0] * splat(row[0]) + d[1] * splat(row[1]) + d[2] * splat(row[2]);
    scatter(out.colour, r.all, r.count, 3, c, colour);
    if (p.drift) scatter(out.drift, r.all, r.count, 3, c, colour * g.tau);
    if (p.field_colour) scatter(out.field_colour, r.here, r.count, 3, c, colour * splat(p.colour_scale));
  }
  if (!p.window) return;
  const F16 scale = splat(1 / p.edge);
  const F16 birth = splat(0.f) - weight * ramp(g.fall) * ramp_slope(g.rise) * scale;
  scatter(out.window, r.all, r.count, 2, 0, birth);
  scatter(out.window, r.all, r.count, 2, 1, weight * ramp(g.rise) * ramp_slope(g.fall) * scale);
}

void place_grad(const Placing& p, int64_t first, int64_t end, const PlacedArrays& grad, const PlaceGradients& out) {
  for (int64_t i = first; i < end; i += 16) {
    const Rows r = rows_of(p, i, end);
    const Placed g = colour_of(p, r);
    mean_back(p, r, g.tau, grad.mean, out);
    shape_back(p, r, grad.conic, out);
    colour_back(p, r, g, grad.feature, out);
  }
}

}  // namespace GSV_ISA
}  // namespace gsv
