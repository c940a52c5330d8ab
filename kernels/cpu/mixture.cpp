// SPDX-License-Identifier: MIT
#include <cmath>

#include "pool.hpp"
#include "scratch.hpp"
#include "train.hpp"

namespace gsv {
namespace {

constexpr int64_t kRows = 1024;  // per task, a multiple of 16; fixed, so that sums do not depend on the threads
constexpr double kLog2E = 1.4426950408889634;

struct Workspace {
  Buffer<float> sums;
  size_t bytes() const { return sums.bytes(); }
};

// The parameters, once for each lane of a group of sixteen rows
class Lanes {
 public:
  Lanes(const MixtureParameters& p, const float* step) : columns_(p.components) {
    for (int c = 0; c < columns_; ++c) set_shares(p.logit + c * kMixtureParts, c);
    for (int lane = 0; lane < 16 * columns_; ++lane) {
      const int c = lane % columns_;
      if (step) width_[lane] = step[c];
      for (int k = 0; k < kMixtureParts; ++k) {
        const int at = (lane / 16 * kMixtureParts + k) * 16 + lane % 16;
        mean_[at] = p.mean[c * kMixtureParts + k];
        inverse_[at] = std::exp(-p.log_scale[c * kMixtureParts + k]);
        share_[at] = static_cast<float>(shares_[c][k]);
      }
    }
    mixture_ = {columns_, mean_, inverse_, share_, step ? width_ : nullptr};
  }
  const Mixture& mixture() const { return mixture_; }
  double share(int c, int k) const { return shares_[c][k]; }

 private:
  void set_shares(const float* logit, int c) {
    double total = 0, most = logit[0];
    for (int k = 1; k < kMixtureParts; ++k) most = logit[k] > most ? logit[k] : most;
    for (int k = 0; k < kMixtureParts; ++k) total += shares_[c][k] = std::exp(logit[k] - most);
    for (int k = 0; k < kMixtureParts; ++k) shares_[c][k] /= total;
  }

  static constexpr int kLanes = 16 * kMostComponents;
  int columns_;
  double shares_[kMostComponents][kMixtureParts];
  float mean_[kLanes * kMixtureParts], inverse_[kLanes * kMixtureParts], share_[kLanes * kMixtureParts];
  float width_[kLanes];
  Mixture mixture_;
};

using ColumnSums = double[kMostComponents][kMixtureSums];

void fold(const float* sums, int columns, ColumnSums& total) {
  for (int j = 0; j < columns; ++j)
    for (int s = 0; s < kMixtureSums; ++s)
      for (int lane = 0; lane < 16; ++lane)
        total[(16 * j + lane) % columns][s] += sums[(j * kMixtureSums + s) * 16 + lane];
}

void write_gradients(const Lanes& lanes, int columns, const ColumnSums& total, const MixtureGradients& grads) {
  for (int c = 0; c < columns; ++c) {
    const double* by_mean = total[c] + 1;
    const double* by_scale = by_mean + kMixtureParts;
    const double* claim = by_scale + kMixtureParts;
    const double claims = claim[0] + claim[1] + claim[2];
    for (int k = 0; k < kMixtureParts; ++k) {
      const int at = c * kMixtureParts + k;
      grads.mean[at] = static_cast<float>(kLog2E * by_mean[k]);
      grads.log_scale[at] = static_cast<float>(kLog2E * by_scale[k]);
      grads.logit[at] = static_cast<float>(kLog2E * (lanes.share(c, k) * claims - claim[k]));
    }
  }
}

}  // namespace

double mixture_bits(const Kernels& k, const MixtureParameters& p, const float* x, int64_t n, const float* step,
                    bool step_per_row, float* dx, const MixtureGradients& grads, int threads) {
  const int columns = p.components;
  const Lanes lanes(p, step_per_row ? nullptr : step);
  const int64_t tasks = (n + kRows - 1) / kRows, size = int64_t(columns) * kMixtureSums * 16;
  Lease<Workspace> work;
  float* sums = work->sums.resize(tasks * size);
  parallel_for(tasks, thread_count(threads), [&](int64_t task, int) {
    const int64_t at = task * kRows * columns;
    const int64_t rows = n - task * kRows < kRows ? n - task * kRows : kRows;
    k.mixture_bits(lanes.mixture(), x + at, step_per_row ? step + at : nullptr, rows, dx + at, sums + task * size);
  });
  ColumnSums total = {};
  for (int64_t task = 0; task < tasks; ++task) fold(sums + task * size, columns, total);
  write_gradients(lanes, columns, total, grads);
  double bits = 0;
  for (int c = 0; c < columns; ++c) bits += total[c][0];
  return bits;
}

}  // namespace gsv
