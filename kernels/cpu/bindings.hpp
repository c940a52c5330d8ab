// SPDX-License-Identifier: MIT
// What the binding files share.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "dispatch.hpp"

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

void bind_field(nb::module_& m);

}  // namespace gsv
