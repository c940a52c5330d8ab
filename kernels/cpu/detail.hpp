// SPDX-License-Identifier: MIT
// Driver of detail that moves with the Gaussians.
#pragma once
#include "table.hpp"

namespace gsv {

struct Picture {
  int32_t height, width;
};

// Along x and y: pixels of the detail per pixel of the frame, and where the frame begins, in pixels of the frame
struct DetailPlace {
  double ratio[2];
  double corner[2];
};

// `job` with its arrays, size of the detail, background and epsilon; the rest is filled in here.
void blend_detail(const Kernels& k, DetailBlend job, const Picture& frame, const DetailPlace& place, int threads);

}  // namespace gsv
