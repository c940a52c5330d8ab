// SPDX-License-Identifier: MIT
// Drivers of the hash encoding, and the description of a grid that owns its levels.
#pragma once
#include <vector>

#include "table.hpp"

namespace gsv {

// As kernels/encoding.py's HashGeometry, which has checked it: every level is dense (resolution^dims <= entries)
// or has a power of two of entries.
struct HashGeometry {
  int dims = 2;
  int features = 1;
  std::vector<int32_t> resolutions;
  std::vector<float> scales;
  std::vector<int64_t> entries;

  int64_t total_entries() const;
  int width() const { return static_cast<int>(resolutions.size()) * features; }
  std::vector<HashLevel> levels() const;
  bool dense(size_t level) const;
  bool valid() const;
};

void hash_encode(const Kernels& k, const HashGeometry& geometry, const float* coords, int64_t n, const float* table,
                 float* out, int threads);
void hash_encode_backward(const Kernels& k, const HashGeometry& geometry, const float* coords, int64_t n,
                          const float* table, const float* grad, float* dtable, float* dcoords, int threads);

}  // namespace gsv
