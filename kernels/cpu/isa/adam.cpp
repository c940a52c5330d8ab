// SPDX-License-Identifier: MIT
#include "../vec.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

GSV_INLINE void adam16(const AdamStep& s, float* p, const float* grad, float* m, float* v) {
  const F16 g = load(grad);
  const F16 m1 = splat(s.keep1) * load(m) + splat(s.add1) * g;
  const F16 v1 = splat(s.keep2) * load(v) + splat(s.add2) * g * g;
  store(m, m1);
  store(v, v1);
  store(p, load(p) - splat(s.rate) * m1 / (sqrt(v1) * splat(s.root) + splat(s.epsilon)));
}

void adam(const AdamStep& s, float* p, const float* grad, float* m, float* v, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) adam16(s, p + i, grad + i, m + i, v + i);
  if (i == n) return;
  float tail[4][16] = {};
  for (int k = 0; i + k < n; ++k) {
    tail[0][k] = p[i + k];
    tail[1][k] = grad[i + k];
    tail[2][k] = m[i + k];
    tail[3][k] = v[i + k];
  }
  adam16(s, tail[0], tail[1], tail[2], tail[3]);
  for (int k = 0; i + k < n; ++k) {
    p[i + k] = tail[0][k];
    m[i + k] = tail[2][k];
    v[i + k] = tail[3][k];
  }
}

}  // namespace GSV_ISA
}  // namespace gsv
