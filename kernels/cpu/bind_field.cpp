// SPDX-License-Identifier: MIT
// Bindings of the hash encoding and the field.
#include <mutex>

#include "bindings.hpp"
#include "field.hpp"

namespace gsv {
namespace {

HashGeometry make_geometry(int dims, int features, const std::vector<int32_t>& resolutions,
                           const std::vector<float>& scales, const std::vector<int64_t>& entries) {
  HashGeometry g;
  g.dims = dims;
  g.features = features;
  g.resolutions = resolutions;
  g.scales = scales;
  g.entries = entries;
  require(g.valid(), "invalid hash geometry");
  return g;
}

template <class T>
void require_hash_shapes(const HashGeometry& g, const Array<T, 2>& coords, const Array<T, 2>& table, size_t width) {
  require(coords.shape(1) == static_cast<size_t>(g.dims), "wrong number of coordinates");
  require(table.shape(0) == static_cast<size_t>(g.total_entries()) && table.shape(1) == static_cast<size_t>(g.features),
          "wrong table shape");
  require(width == static_cast<size_t>(g.width()), "wrong number of features");
}

void py_hash_encode(const std::string& isa, const HashGeometry& g, Array<const float, 2> coords,
                    Array<const float, 2> table, Array<float, 2> out, int threads) {
  const Kernels& k = kernels_for(isa);
  require_hash_shapes(g, coords, table, out.shape(1));
  require(out.shape(0) == coords.shape(0), "arrays differ in length");
  nb::gil_scoped_release release;
  hash_encode(k, g, coords.data(), coords.shape(0), table.data(), out.data(), threads);
}

void py_hash_encode_backward(const std::string& isa, const HashGeometry& g, Array<const float, 2> coords,
                             Array<const float, 2> table, Array<const float, 2> grad, Array<float, 2> dtable,
                             Array<float, 2> dcoords, int threads) {
  const Kernels& k = kernels_for(isa);
  require_hash_shapes(g, coords, table, grad.shape(1));
  require_hash_shapes(g, dcoords, dtable, grad.shape(1));
  require(grad.shape(0) == coords.shape(0) && dcoords.shape(0) == coords.shape(0), "arrays differ in length");
  nb::gil_scoped_release release;
  hash_encode_backward(k, g, coords.data(), coords.shape(0), table.data(), grad.data(), dtable.data(), dcoords.data(),
                       threads);
}

// table2, table3, w1, b1, w2, b2, w_mean, b_mean, w_colour, b_colour; each flat
constexpr size_t kTensors = 10;
template <class T>
using Tensors = std::vector<Array<T, 1>>;

template <class T>
void require_tensors(const FieldWeights& w, const Tensors<T>& tensors) {
  const size_t hidden = w.hidden, inputs = w.inputs();
  const size_t sizes[kTensors] = {static_cast<size_t>(w.grid2.total_entries() * w.grid2.features),
                                  static_cast<size_t>(w.grid3.total_entries() * w.grid3.features),
                                  hidden * inputs, hidden, hidden * hidden, hidden, 2 * hidden, 2, 3 * hidden, 3};
  require(tensors.size() == kTensors, "ten arrays expected");
  for (size_t i = 0; i < kTensors; ++i) require(tensors[i].shape(0) == sizes[i], "a field array has the wrong size");
}

FieldWeights make_weights(const HashGeometry& grid2, const HashGeometry& grid3, const std::vector<float>& input_scale,
                          int frequencies, int hidden, const Tensors<const float>& tensors) {
  require(grid2.dims == 2 && grid3.dims == 3, "the grids must have 2 and 3 dimensions");
  require(grid2.valid() && grid3.valid(), "invalid hash geometry");
  require(hidden >= 1 && hidden <= 4096 && frequencies >= 0 && frequencies <= 64, "field size out of range");
  require(grid2.width() <= 4096 && grid3.width() <= 4096, "too many features");
  require(input_scale.size() == 3, "three input scales expected");
  FieldWeights w = {};
  w.grid2 = grid2;
  w.grid3 = grid3;
  w.frequencies = frequencies;
  w.hidden = hidden;
  for (int i = 0; i < 3; ++i) w.input_scale[i] = input_scale[i];
  require_tensors(w, tensors);
  const float** targets[kTensors] = {&w.table2, &w.table3, &w.w1,     &w.b1,       &w.w2,
                                     &w.b2,     &w.w_mean, &w.b_mean, &w.w_colour, &w.b_colour};
  for (size_t i = 0; i < kTensors; ++i) *targets[i] = tensors[i].data();
  return w;
}

template <class T>
void require_points(const Array<const float, 2>& xy, const Array<T, 2>& mean, const Array<T, 2>& colour) {
  require(xy.shape(1) == 2 && mean.shape(1) == 2 && colour.shape(1) == 3, "wrong number of columns");
  require(mean.shape(0) == xy.shape(0) && colour.shape(0) == xy.shape(0), "arrays differ in length");
}

void py_field_forward(const std::string& isa, const HashGeometry& grid2, const HashGeometry& grid3,
                      const std::vector<float>& input_scale, int frequencies, int hidden, Tensors<const float> tensors,
                      Array<const float, 2> xy, float t, Array<float, 2> dmean, Array<float, 2> dcolour, int threads) {
  const Kernels& k = kernels_for(isa);
  const FieldWeights w = make_weights(grid2, grid3, input_scale, frequencies, hidden, tensors);
  require_points(xy, dmean, dcolour);
  nb::gil_scoped_release release;
  field_forward(k, w, xy.data(), xy.shape(0), t, dmean.data(), dcolour.data(), threads);
}

void py_field_backward(const std::string& isa, const HashGeometry& grid2, const HashGeometry& grid3,
                       const std::vector<float>& input_scale, int frequencies, int hidden, Tensors<const float> tensors,
                       Array<const float, 2> xy, float t, Array<const float, 2> dmean, Array<const float, 2> dcolour,
                       Tensors<float> grads, int threads) {
  const Kernels& k = kernels_for(isa);
  const FieldWeights w = make_weights(grid2, grid3, input_scale, frequencies, hidden, tensors);
  require_points(xy, dmean, dcolour);
  require_tensors(w, grads);
  FieldGradients out = {};
  float** targets[kTensors] = {&out.table2, &out.table3, &out.w1,     &out.b1,       &out.w2,
                               &out.b2,     &out.w_mean, &out.b_mean, &out.w_colour, &out.b_colour};
  for (size_t i = 0; i < kTensors; ++i) *targets[i] = grads[i].data();
  nb::gil_scoped_release release;
  field_backward(k, w, xy.data(), xy.shape(0), t, dmean.data(), dcolour.data(), out, threads);
}

class PyFieldPlan {
 public:
  PyFieldPlan(const std::string& isa, const HashGeometry& grid2, const HashGeometry& grid3,
              const std::vector<float>& input_scale, int frequencies, int hidden, Tensors<const float> tensors,
              Array<const float, 2> xy, int threads)
      : plan_(kernels_for(isa), make_weights(grid2, grid3, input_scale, frequencies, hidden, tensors),
              positions(xy), xy.shape(0), threads) {}

  void evaluate(float t, float mean_scale, float colour_scale, Array<float, 2> dmean, Array<float, 2> dcolour,
                int threads) {
    require(static_cast<int64_t>(dmean.shape(0)) == plan_.count() && dmean.shape(1) == 2 &&
                static_cast<int64_t>(dcolour.shape(0)) == plan_.count() && dcolour.shape(1) == 3,
            "wrong output shapes");
    nb::gil_scoped_release release;
    std::lock_guard<std::mutex> alone(mutex_);
    plan_.evaluate(t, mean_scale, colour_scale, dmean.data(), dcolour.data(), threads);
  }

 private:
  static const float* positions(const Array<const float, 2>& xy) {
    require(xy.shape(1) == 2, "wrong number of columns");
    return xy.data();
  }

  FieldPlan plan_;
  std::mutex mutex_;
};

}  // namespace

void bind_field(nb::module_& m) {
  nb::class_<HashGeometry>(m, "HashGeometry");
  m.def("hash_geometry", &make_geometry);
  m.def("hash_encode", &py_hash_encode);
  m.def("hash_encode_backward", &py_hash_encode_backward);
  m.def("field_forward", &py_field_forward);
  m.def("field_backward", &py_field_backward);
  nb::class_<PyFieldPlan>(m, "FieldPlan")
      .def(nb::init<const std::string&, const HashGeometry&, const HashGeometry&, const std::vector<float>&, int, int,
                    Tensors<const float>, Array<const float, 2>, int>())
      .def("evaluate", &PyFieldPlan::evaluate);
}

}  // namespace gsv
