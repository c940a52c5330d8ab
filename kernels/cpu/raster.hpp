// SPDX-License-Identifier: MIT
// Drivers of the rasteriser: prepare, sort into bands, run the bands on threads.
#pragma once
#include "table.hpp"

namespace gsv {

struct Scene {
  int64_t count;
  const float* mean;     // [count][2]
  const float* conic;    // [count][3]
  const float* feature;  // [count][channels]
  int32_t channels;
  int32_t height, width;
};

void rasterize(const Kernels& k, const Scene& scene, float* out, int threads);
void rasterize_backward(const Kernels& k, const Scene& scene, const float* grad, float* dmean, float* dconic,
                        float* dfeature, int threads);
void render_rgb8(const Kernels& k, const Scene& scene, const float* background, float epsilon, uint8_t* out,
                 int threads);
// Draws, compares and goes back, band by band, so that no picture is ever stored. `target.samples` is the whole frame.
// found: [kLossSums]
void splat_loss(const Kernels& k, const Scene& scene, const Target& target, double* found, float* dmean, float* dconic,
                float* dfeature, int threads);
int64_t covered_pixels(const Scene& scene);

}  // namespace gsv
