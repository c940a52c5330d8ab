// SPDX-License-Identifier: MIT
// Driver of the filter behind the picture.
#pragma once
#include "table.hpp"

namespace gsv {

// `job` with its arrays, size and weights; the rest is filled in here. The arrays may not overlap.
void filter_picture(const Kernels& k, PictureFilter job, int threads);

}  // namespace gsv
