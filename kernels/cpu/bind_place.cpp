// SPDX-License-Identifier: MIT
// Bindings of placing: parameters come as a list of arrays, empty where a model has no such parameter.
#include "bindings.hpp"
#include "place.hpp"

namespace gsv {
namespace {

// mean, shape, colour, motion, drift, window, field_mean, field_colour; each flat
constexpr size_t kArrays = 8;
template <class T>
using Flat = std::vector<Array<T, 1>>;
using Indices = Array<const int64_t, 1>;

template <class T>
void require_flat(const Flat<T>& arrays, int64_t all, int64_t count, int degree) {
  require(arrays.size() == kArrays, "eight arrays expected");
  const size_t columns[kArrays] = {2, 3, 3, 2 * static_cast<size_t>(degree), 3, 2, 2, 3};
  for (size_t i = 0; i < kArrays; ++i) {
    const size_t n = arrays[i].shape(0), rows = static_cast<size_t>(i < 6 ? all : count);
    require(n == rows * columns[i] || (i >= 4 && n == 0), "an array has the wrong size");
  }
}

struct Settings {
  float index, edge, mean_scale, colour_scale;
  std::vector<float> matrix;
  bool log_shape, window, drift, field;
  int degree, channels;
};

void set_up(Placing& p, const Settings& s) {
  require(s.matrix.size() == 9 && (s.channels == 3 || s.channels == 4) && s.degree >= 0 && s.degree <= 8 && s.edge > 0,
          "settings out of range");
  for (int i = 0; i < 9; ++i) p.matrix[i] = s.matrix[i];
  p.index = s.index, p.edge = s.edge, p.mean_scale = s.mean_scale, p.colour_scale = s.colour_scale;
  p.log_shape = s.log_shape, p.degree = s.degree, p.channels = s.channels;
}

Placing make_placing(const Settings& s, const Flat<const float>& a, int64_t all, const Indices& active, bool chosen,
                     const Array<const float, 1>& tau) {
  Placing p = {};
  set_up(p, s);
  p.count = chosen ? static_cast<int64_t>(active.shape(0)) : all;
  require_flat(a, all, p.count, s.degree);
  p.tau_count = static_cast<int64_t>(tau.shape(0));
  require(p.tau_count == 1 || p.tau_count == p.count, "wrong number of times");
  if (chosen) {
    p.active = active.data();
    for (int64_t i = 0; i < p.count; ++i)  // ascending: every row is written by one task
      require(p.active[i] >= 0 && p.active[i] < all && (i == 0 || p.active[i] > p.active[i - 1]), "indices out of order");
  }
  p.tau = tau.data();
  p.mean = a[0].data(), p.shape = a[1].data(), p.colour = a[2].data(), p.motion = a[3].data();
  p.drift = s.drift ? a[4].data() : nullptr;
  p.window = s.window ? a[5].data() : nullptr;
  p.field_mean = s.field ? a[6].data() : nullptr;
  p.field_colour = s.field ? a[7].data() : nullptr;
  require(a[4].shape(0) == static_cast<size_t>(s.drift ? 3 * all : 0) &&
              a[5].shape(0) == static_cast<size_t>(s.window ? 2 * all : 0) &&
              a[6].shape(0) == static_cast<size_t>(s.field ? 2 * p.count : 0) &&
              a[7].shape(0) == static_cast<size_t>(s.field ? 3 * p.count : 0),
          "a parameter is missing");
  return p;
}

PlacedArrays require_placed(const Placing& p, const Array<float, 2>& mean, const Array<float, 2>& conic,
                            const Array<float, 2>& feature) {
  const size_t n = static_cast<size_t>(p.count);
  require(mean.shape(0) == n && mean.shape(1) == 2 && conic.shape(0) == n && conic.shape(1) == 3 &&
              feature.shape(0) == n && feature.shape(1) == static_cast<size_t>(p.channels),
          "wrong shapes of placed Gaussians");
  return {mean.data(), conic.data(), feature.data()};
}

void py_place(const std::string& isa, const Settings& s, Flat<const float> arrays, int64_t all, Indices active,
              bool chosen, Array<const float, 1> tau, Array<float, 2> mean, Array<float, 2> conic,
              Array<float, 2> feature, int threads) {
  const Kernels& k = kernels_for(isa);
  const Placing p = make_placing(s, arrays, all, active, chosen, tau);
  const PlacedArrays out = require_placed(p, mean, conic, feature);
  nb::gil_scoped_release release;
  place(k, p, out, threads);
}

void py_place_backward(const std::string& isa, const Settings& s, Flat<const float> arrays, int64_t all,
                       Indices active, bool chosen, Array<const float, 1> tau, Array<float, 2> mean,
                       Array<float, 2> conic, Array<float, 2> feature, Flat<float> grads, int threads) {
  const Kernels& k = kernels_for(isa);
  const Placing p = make_placing(s, arrays, all, active, chosen, tau);
  const PlacedArrays grad = require_placed(p, mean, conic, feature);
  require(grads.size() == kArrays, "eight arrays expected");
  for (size_t i = 0; i < kArrays; ++i) require(grads[i].shape(0) == arrays[i].shape(0), "wrong gradient shapes");
  const auto at = [&](size_t i) { return grads[i].shape(0) ? grads[i].data() : nullptr; };
  nb::gil_scoped_release release;
  place_backward(k, p, all, grad, {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)}, threads);
}

int64_t py_active_windows(const std::string& isa, Array<const float, 2> window, float index, float edge,
                          Array<int64_t, 1> active) {
  const Kernels& k = kernels_for(isa);
  require(window.shape(1) == 2 && active.shape(0) == window.shape(0) && edge > 0, "wrong shapes");
  Placing p = {};
  p.window = window.data(), p.index = index, p.edge = edge;
  nb::gil_scoped_release release;
  return k.active_windows(p, static_cast<int64_t>(window.shape(0)), active.data());
}

}  // namespace

void bind_place(nb::module_& m) {
  nb::class_<Settings>(m, "PlaceSettings")
      .def("__init__", [](Settings* s, float index, float edge, float mean_scale, float colour_scale,
                          std::vector<float> matrix, bool log_shape, bool window, bool drift, bool field, int degree,
                          int channels) {
        new (s) Settings{index, edge, mean_scale, colour_scale, std::move(matrix), log_shape,
                         window, drift, field, degree, channels};
      });
  m.def("place", &py_place);
  m.def("place_backward", &py_place_backward);
  m.def("active_windows", &py_active_windows);
}

}  // namespace gsv
