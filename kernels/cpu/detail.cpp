// SPDX-License-Identifier: MIT
#include "detail.hpp"

#include <cmath>

#include "pool.hpp"
#include "scratch.hpp"

namespace gsv {
namespace {

constexpr int32_t kRows = 8;      // per task
constexpr double kFar = 1 << 22;  // beyond every picture; floats hold the whole numbers up to four times that

struct Workspace {
  Buffer<float> numbers;
  size_t bytes() const { return numbers.bytes(); }
};

int64_t padded(int32_t count) { return (static_cast<int64_t>(count) + 15) / 16 * 16; }

// Where pixels lie in the detail if nothing moves. Computed in double precision and split there, so that a float holds
// the fraction with all its digits however wide the picture is.
void set_up(double ratio, double corner, int32_t count, float* start, float* least) {
  for (int64_t i = 0; i < padded(count); ++i) {
    const double at = (i + 0.5 + corner) * ratio - 0.5;
    double whole = std::floor(at);
    whole = whole > -kFar ? (whole < kFar ? whole : kFar) : -kFar;  // also if it is not a number, which `start` keeps
    start[i] = static_cast<float>(at - whole);
    least[i] = static_cast<float>(-whole);
  }
}

}  // namespace

void blend_detail(const Kernels& k, DetailBlend job, const Picture& frame, const DetailPlace& place, int threads) {
  Lease<Workspace> work;
  const int64_t columns = padded(frame.width), rows = padded(frame.height);
  float* numbers = work->numbers.resize(static_cast<size_t>(2 * (columns + rows)));
  float *column_least = numbers + columns, *row_start = column_least + columns, *row_least = row_start + rows;
  set_up(place.ratio[0], place.corner[0], frame.width, numbers, column_least);
  set_up(place.ratio[1], place.corner[1], frame.height, row_start, row_least);
  job.width = frame.width;
  job.plane = static_cast<int64_t>(frame.height) * frame.width;
  job.ratio_x = static_cast<float>(place.ratio[0]), job.ratio_y = static_cast<float>(place.ratio[1]);
  job.column_start = numbers, job.column_least = column_least;
  job.row_start = row_start, job.row_least = row_least;
  parallel_for((frame.height + kRows - 1) / kRows, thread_count(threads), [&](int64_t task, int) {
    const int32_t first = static_cast<int32_t>(task) * kRows;
    k.blend_detail(job, first, frame.height - first < kRows ? frame.height : first + kRows);
  });
}

}  // namespace gsv
