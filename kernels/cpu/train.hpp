// SPDX-License-Identifier: MIT
// Drivers of what only training needs, apart from the gradients of drawing and of the field.
#pragma once
#include <vector>

#include "table.hpp"

namespace gsv {

constexpr int kMostComponents = kMostColumns;

// A mixture per column of x: rows of [components][kMixtureParts]
struct MixtureParameters {
  int32_t components;
  const float* mean;
  const float* log_scale;
  const float* logit;
};
struct MixtureGradients {
  float* mean;
  float* log_scale;
  float* logit;
};

// Bits of x [n][components] in steps of `step`, [components] or, if `step_per_row`, [n][components]; their gradients to
// dx and `grads`.
double mixture_bits(const Kernels& k, const MixtureParameters& mixture, const float* x, int64_t n, const float* step,
                    bool step_per_row, float* dx, const MixtureGradients& grads, int threads);

struct QuantiserArray {
  const float* x;
  float* out;
  int64_t count;
  const float* step;  // [columns], or [count] if columns is 0
  int32_t columns;
  int32_t limit;      // if not 0, one step for all instead: the largest magnitude over this
};

// Rounds arrays to their steps, or adds noise of one step where there is a seed of two words.
void quantise(const Kernels& k, const std::vector<QuantiserArray>& arrays, const uint32_t* seed, int threads);

struct AdamArray {
  float* param;
  const float* grad;
  float* m;
  float* v;
  int64_t count;
  double rate;
};
struct AdamSettings {
  double beta1, beta2, epsilon;
  int64_t t;  // number of the step, from 1
};

void adam_step(const Kernels& k, const std::vector<AdamArray>& arrays, const AdamSettings& settings, int threads);

}  // namespace gsv
