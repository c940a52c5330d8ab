// SPDX-License-Identifier: MIT
#include "filter.hpp"

#include "pool.hpp"
#include "scratch.hpp"

namespace gsv {
namespace {

struct Workspace {
  Buffer<float> planes;
  size_t bytes() const { return planes.bytes(); }
};

}  // namespace

void filter_picture(const Kernels& k, PictureFilter job, int threads) {
  for (int c = 0; c < 3; ++c) {
    double around = 0;
    for (float weight : job.weight[c]) around += 2 * static_cast<double>(weight);
    job.own[c] = static_cast<float>(1 - around);
  }
  const int workers = thread_count(threads);
  Lease<Workspace> work;
  float* planes = work->planes.resize(static_cast<size_t>(workers) * 3 * kFilterPlane);
  parallel_for((job.height + kFilterRows - 1) / kFilterRows, workers, [&](int64_t task, int worker) {
    const int32_t first = static_cast<int32_t>(task) * kFilterRows;
    const int32_t end = job.height - first < kFilterRows ? job.height : first + kFilterRows;
    k.filter_picture(job, first, end, planes + static_cast<int64_t>(worker) * 3 * kFilterPlane);
  });
}

}  // namespace gsv
