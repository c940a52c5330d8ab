// SPDX-License-Identifier: MIT
#include <cmath>

#include "pool.hpp"
#include "train.hpp"

namespace gsv {
namespace {

constexpr int64_t kPiece = 1 << 13;  // numbers per task

AdamStep make_step(const AdamSettings& s, double rate) {
  AdamStep step;
  step.rate = static_cast<float>(rate / (1 - std::pow(s.beta1, s.t)));
  step.root = static_cast<float>(1 / std::sqrt(1 - std::pow(s.beta2, s.t)));
  step.keep1 = static_cast<float>(s.beta1);
  step.add1 = static_cast<float>(1 - s.beta1);
  step.keep2 = static_cast<float>(s.beta2);
  step.add2 = static_cast<float>(1 - s.beta2);
  step.epsilon = static_cast<float>(s.epsilon);
  return step;
}

struct Piece {
  size_t array;
  int64_t begin, count;
};

}  // namespace

void adam_step(const Kernels& k, const std::vector<AdamArray>& arrays, const AdamSettings& settings, int threads) {
  std::vector<AdamStep> steps;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < arrays.size(); ++i) {
    steps.push_back(make_step(settings, arrays[i].rate));
    for (int64_t at = 0; at < arrays[i].count; at += kPiece)
      pieces.push_back({i, at, arrays[i].count - at < kPiece ? arrays[i].count - at : kPiece});
  }
  const auto update = [&](int64_t task, int) {
    const Piece& p = pieces[task];
    const AdamArray& a = arrays[p.array];
    k.adam(steps[p.array], a.param + p.begin, a.grad + p.begin, a.m + p.begin, a.v + p.begin, p.count);
  };
  parallel_for(static_cast<int64_t>(pieces.size()), thread_count(threads), update);
}

}  // namespace gsv
