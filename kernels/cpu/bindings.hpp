// SPDX-License-Identifier: MIT
// What the binding files share.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "raster.hpp"

namespace gsv {

namespace nb = nanobind;

template <class T, int D>
using Array = nb::ndarray<T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;

inline void require(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

inline const Kernels& kernels_for(const std::string& isa) {
  const Kernels* k = find_kernels(isa);
  require(k != nullptr, "unknown instruction set");
  return *k;
}

inline Scene make_scene(const Array<const float, 2>& mean, const Array<const float, 2>& conic,
                 const Array<const float, 2>& feature, int64_t height, int64_t width) {
  const size_t n = mean.shape(0), channels = feature.shape(1);
  require(mean.shape(1) == 2 && conic.shape(1) == 3 && (channels == 3 || channels == 4), "wrong number of columns");
  require(conic.shape(0) == n && feature.shape(0) == n, "arrays differ in length");
  require(n < (size_t(1) << 31), "too many Gaussians");
  require(height > 0 && width > 0 && height <= 65535 && width <= 65535, "frame size out of range");
  return {static_cast<int64_t>(n), mean.data(), conic.data(), feature.data(), static_cast<int32_t>(channels),
          static_cast<int32_t>(height), static_cast<int32_t>(width)};
}

inline void require_gradients(const Scene& scene, const Array<float, 2>& dmean, const Array<float, 2>& dconic,
                              const Array<float, 2>& dfeature) {
  const size_t n = static_cast<size_t>(scene.count);
  require(dmean.shape(0) == n && dmean.shape(1) == 2 && dconic.shape(0) == n && dconic.shape(1) == 3 &&
              dfeature.shape(0) == n && dfeature.shape(1) == static_cast<size_t>(scene.channels),
          "wrong gradient shapes");
}

void bind_field(nb::module_& m);
void bind_train(nb::module_& m);
void bind_place(nb::module_& m);

}  // namespace gsv
