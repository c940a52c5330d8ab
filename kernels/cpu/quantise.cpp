// SPDX-License-Identifier: MIT
#include <cmath>

#include "pool.hpp"
#include "train.hpp"

namespace gsv {
namespace {

constexpr int64_t kPiece = 16 * 840;  // values per task: every number of columns up to eight divides it evenly
constexpr double kLeastRange = 1e-8;

// Step of a symmetric quantiser that just reaches the largest magnitude
float symmetric_step(const QuantiserArray& a) {
  float most = 0;
  for (int64_t i = 0; i < a.count; ++i) most = std::fabs(a.x[i]) > most ? std::fabs(a.x[i]) : most;
  return static_cast<float>((most > kLeastRange ? most : kLeastRange) / a.limit);
}

struct Piece {
  size_t array;
  int64_t begin, count;
};

}  // namespace

void quantise(const Kernels& k, const std::vector<QuantiserArray>& arrays, const uint32_t* seed, int threads) {
  std::vector<Quantiser> quantisers(arrays.size());
  std::vector<float> steps(arrays.size());
  std::vector<Piece> pieces;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const QuantiserArray& a = arrays[i];
    if (a.limit) steps[i] = symmetric_step(a);
    quantisers[i] = {a.limit ? &steps[i] : a.step, a.limit ? 1 : a.columns, seed != nullptr, {}};
    // Every array has numbers of its own
    if (seed) quantisers[i].seed[0] = seed[0], quantisers[i].seed[1] = seed[1] + 0x9e3779b9u * static_cast<uint32_t>(i);
    for (int64_t at = 0; at < a.count; at += kPiece)
      pieces.push_back({i, at, a.count - at < kPiece ? a.count - at : kPiece});
  }
  parallel_for(static_cast<int64_t>(pieces.size()), thread_count(threads), [&](int64_t task, int) {
    const Piece& p = pieces[task];
    k.quantise(quantisers[p.array], arrays[p.array].x, p.begin, p.count, arrays[p.array].out);
  });
}

}  // namespace gsv
