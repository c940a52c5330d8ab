// SPDX-License-Identifier: MIT
// The field's network for one block of points: forward with everything in the first two caches, and backward.
#include "gemm.hpp"
#include "kernels.hpp"

namespace gsv {
namespace GSV_ISA {

constexpr int kP = kFieldPoints;
constexpr int kPointVectors = kP / 16;

// out[m][p] = act(bias[m] + sum over r of w(m, r) x[r][p]), w packed
template <bool Relu>
GSV_INLINE void layer(const float* packed, const float* bias, int rows, int count, const float* x, float* out) {
  for (int m0 = 0; m0 < rows; m0 += kTileRows)
    gemm_rows<kTileVectors, 1>(packed + (int64_t)m0 * count, kTileRows, x, kP, count, kPointVectors,
                               [&](int m, int v, F16 sum) {
                                 const F16 y = sum + splat(bias[m0 + m]);
                                 store(out + (m0 + m) * kP + 16 * v, Relu ? max(y, splat(0.f)) : y);
                               });
}

// out[m][p] = sum over r of w(m, r) d[r][p], where the activation h[m][p] was positive, else 0
GSV_INLINE void layer_back(const float* packed, int rows, int count, const float* d, const float* h, float* out) {
  for (int m0 = 0; m0 < rows; m0 += kTileRows)
    gemm_rows<kTileVectors, 1>(packed + (int64_t)m0 * count, kTileRows, d, kP, count, kPointVectors,
                               [&](int m, int v, F16 sum) {
                                 const int64_t at = (m0 + m) * kP + 16 * v;
                                 store(out + at, where_positive(load(h + at), sum));
                               });
}

// sums[m][k] += sum over points of d[m][p] xt[p][k]
GSV_INLINE void outer(const float* d, int rows, const float* xt, int columns, float* sums) {
  constexpr int kV = kTileVectors > 2 ? 2 : 1;
  for (int m0 = 0; m0 < rows; m0 += kTileRows)
    gemm_rows<kV, kP>(d + (int64_t)m0 * kP, 1, xt, columns, kP, columns / 16, [&](int m, int v, F16 sum) {
      float* at = sums + (int64_t)(m0 + m) * columns + 16 * v;
      store(at, load(at) + sum);
    });
}

// sums[m][lane] += the points' gradients, lane by lane
GSV_INLINE void bias_sums(const float* d, int rows, float* sums) {
  for (int m = 0; m < rows; ++m) {
    F16 total = load(sums + m * 16);
    for (int v = 0; v < kPointVectors; ++v) total = total + load(d + m * kP + 16 * v);
    store(sums + m * 16, total);
  }
}

// dxt[p][k] = sum over hidden units of d[j][p] w[j][k]
GSV_INLINE void input_grad(const float* d, int hidden, const float* w, int columns, float* dxt) {
  for (int p0 = 0; p0 < kP; p0 += kTileRows)
    gemm_rows<kTileVectors, 1>(d + p0, kP, w, columns, hidden, columns / 16, [&](int m, int v, F16 sum) {
      store(dxt + (int64_t)(p0 + m) * columns + 16 * v, sum);
    });
}

void field_transpose(const FieldNet& net, const FieldBlock& b, int first) {
  transpose(b.xt + first, net.inputs_padded, kP, net.inputs_padded - first, b.x + (int64_t)first * kP, kP);
}

void field_forward(const FieldNet& net, const FieldBlock& b) {
  layer<true>(net.w1_packed, net.bias1, net.hidden_padded, net.inputs, b.x, b.h1);
  layer<true>(net.w2_packed, net.bias2, net.hidden_padded, net.hidden, b.h1, b.h2);
  layer<false>(net.head_packed, net.bias_head, kHeadRows, net.hidden, b.h2, b.out);
}

void field_backward(const FieldNet& net, const FieldBlock& b, const FieldSums& sums) {
  float dout_t[kP * 16] = {};  // [point][head]
  transpose(b.out, kP, kHeadRows, kP, dout_t, 16);
  outer(b.h2, net.hidden_padded, dout_t, 16, sums.head);
  bias_sums(b.out, kHeadRows, sums.bias_head);
  layer_back(net.headt_packed, net.hidden_padded, kHeadRows, b.out, b.h2, b.d2);

  transpose(b.h1, kP, net.hidden_padded, kP, b.ht, net.hidden_padded);
  outer(b.d2, net.hidden_padded, b.ht, net.hidden_padded, sums.w2);
  bias_sums(b.d2, net.hidden_padded, sums.bias2);
  layer_back(net.w2t_packed, net.hidden_padded, net.hidden, b.d2, b.h1, b.d1);

  outer(b.d1, net.hidden_padded, b.xt, net.inputs_padded, sums.w1);
  bias_sums(b.d1, net.hidden_padded, sums.bias1);
  input_grad(b.d1, net.hidden, net.w1, net.inputs_padded, b.xt);
}

}  // namespace GSV_ISA
}  // namespace gsv
