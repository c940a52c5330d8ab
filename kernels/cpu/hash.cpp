// SPDX-License-Identifier: MIT
#include "hash.hpp"

#include "pool.hpp"

namespace gsv {
namespace {

constexpr int64_t kChunk = 1024;  // points per task
constexpr uint32_t kPrimes[3] = {1u, 2654435761u, 805459861u};

HashGrid grid_of(const HashGeometry& g, const std::vector<HashLevel>& levels, const float* table) {
  return {g.dims, g.features, static_cast<int32_t>(levels.size()), levels.data(), table};
}

bool power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

}  // namespace

bool HashGeometry::dense(size_t level) const {
  int64_t vertices = 1;
  for (int d = 0; d < dims; ++d) vertices *= resolutions[level];
  return vertices <= entries[level];
}

bool HashGeometry::valid() const {
  if (dims != 2 && dims != 3) return false;
  if (features != 1 && features != 2 && features != 4 && features != 8) return false;
  if (scales.size() != resolutions.size() || entries.size() != resolutions.size()) return false;
  for (size_t l = 0; l < resolutions.size(); ++l) {
    if (resolutions[l] < 1 || resolutions[l] > 65535 || entries[l] < 1 || entries[l] > int64_t(1) << 30) return false;
    if (!dense(l) && !power_of_two(entries[l])) return false;
  }
  return true;
}

int64_t HashGeometry::total_entries() const {
  int64_t total = 0;
  for (int64_t n : entries) total += n;
  return total;
}

std::vector<HashLevel> HashGeometry::levels() const {
  std::vector<HashLevel> out;
  int64_t offset = 0;
  for (size_t i = 0; i < resolutions.size(); ++i) {
    HashLevel l = {};
    l.resolution = resolutions[i];
    l.scale = scales[i];
    l.dense = dense(i);
    uint32_t stride = 1;
    for (int d = 0; d < dims; ++d, stride *= static_cast<uint32_t>(resolutions[i]))
      l.multiplier[d] = static_cast<int32_t>(l.dense ? stride : kPrimes[d]);
    l.mask = l.dense ? -1 : static_cast<int32_t>(entries[i] - 1);
    l.offset = offset;
    offset += entries[i];
    out.push_back(l);
  }
  return out;
}

void hash_encode(const Kernels& k, const HashGeometry& geometry, const float* coords, int64_t n, const float* table,
                 float* out, int threads) {
  const std::vector<HashLevel> levels = geometry.levels();
  const HashGrid grid = grid_of(geometry, levels, table);
  const int64_t width = geometry.width();
  parallel_for((n + kChunk - 1) / kChunk, thread_count(threads), [&](int64_t chunk, int) {
    const int64_t begin = chunk * kChunk, count = n - begin < kChunk ? n - begin : kChunk;
    k.hash_encode(grid, coords + begin * grid.dims, count, out + begin * width, width);
  });
}

// A level belongs to one thread, which takes the points in order: the sums do not depend on the number of threads.
void hash_encode_backward(const Kernels& k, const HashGeometry& geometry, const float* coords, int64_t n,
                          const float* table, const float* grad, float* dtable, float* dcoords, int threads) {
  const std::vector<HashLevel> levels = geometry.levels();
  const HashGrid grid = grid_of(geometry, levels, table);
  const int64_t width = geometry.width(), chunks = (n + kChunk - 1) / kChunk;
  parallel_for(grid.levels + chunks, thread_count(threads), [&](int64_t task, int) {
    if (task < grid.levels) {
      const int level = static_cast<int>(task);
      float* first = dtable + levels[level].offset * grid.features;
      for (int64_t i = 0; i < geometry.entries[level] * grid.features; ++i) first[i] = 0;
      k.hash_table_grad(grid, level, coords, n, grad, width, dtable);
    } else {
      const int64_t begin = (task - grid.levels) * kChunk, count = n - begin < kChunk ? n - begin : kChunk;
      k.hash_coord_grad(grid, coords + begin * grid.dims, count, grad + begin * width, width,
                        dcoords + begin * grid.dims);
    }
  });
}

}  // namespace gsv
