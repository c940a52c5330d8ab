// SPDX-License-Identifier: MIT
// Drivers of placing moving Gaussians at a time.
#pragma once
#include <utility>

#include "table.hpp"

namespace gsv {

void place(const Kernels& k, const Placing& p, const PlacedArrays& out, int threads);
// `all` is the number of rows of the parameters, of which p.count take part.
void place_backward(const Kernels& k, const Placing& p, int64_t all, const PlacedArrays& grad,
                    const PlaceGradients& out, int threads);

}  // namespace gsv
