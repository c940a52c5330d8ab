// SPDX-License-Identifier: MIT
#include "place.hpp"

#include "pool.hpp"
#include "scratch.hpp"

namespace gsv {
namespace {

constexpr int64_t kPiece = 2048;  // Gaussians per task

template <class Body>
void each_piece(int64_t count, int threads, const Body& body) {
  parallel_for((count + kPiece - 1) / kPiece, thread_count(threads), [&](int64_t task, int) {
    const int64_t first = task * kPiece;
    body(first, count - first < kPiece ? count : first + kPiece);
  });
}

}  // namespace

void place(const Kernels& k, const Placing& p, const PlacedArrays& out, int threads) {
  each_piece(p.count, threads, [&](int64_t first, int64_t end) { k.place(p, first, end, out); });
}

void place_backward(const Kernels& k, const Placing& p, int64_t all, const PlacedArrays& grad,
                    const PlaceGradients& out, int threads) {
  const std::pair<float*, int64_t> arrays[] = {{out.mean, 2},  {out.shape, 3}, {out.colour, 3}, {out.motion, 2 * p.degree},
                                               {out.drift, 3}, {out.window, 2}};
  if (p.active)  // the others have no gradient
    for (const auto& [array, columns] : arrays)
      if (array) clear(array, all * columns);
  each_piece(p.count, threads, [&](int64_t first, int64_t end) { k.place_grad(p, first, end, grad, out); });
}

}  // namespace gsv
