// SPDX-License-Identifier: MIT
// Python bindings. Shapes are checked in Python (kernels/checks.py) and once more here, so that no call from Python can
// read or write outside its arrays. The interpreter lock is released while a kernel runs.
#include <algorithm>

#include "bindings.hpp"
#include "detail.hpp"
#include "filter.hpp"
#include "raster.hpp"

namespace gsv {
namespace {

void py_rasterize(const std::string& isa, Array<const float, 2> mean, Array<const float, 2> conic,
                  Array<const float, 2> feature, Array<float, 3> out, int threads) {
  const Kernels& k = kernels_for(isa);
  const Scene scene = make_scene(mean, conic, feature, out.shape(1), out.shape(2));
  require(out.shape(0) == feature.shape(1), "wrong number of planes");
  nb::gil_scoped_release release;
  rasterize(k, scene, out.data(), threads);
}

void py_rasterize_backward(const std::string& isa, Array<const float, 2> mean, Array<const float, 2> conic,
                           Array<const float, 2> feature, Array<const float, 3> grad, Array<float, 2> dmean,
                           Array<float, 2> dconic, Array<float, 2> dfeature, int threads) {
  const Kernels& k = kernels_for(isa);
  const Scene scene = make_scene(mean, conic, feature, grad.shape(1), grad.shape(2));
  require(grad.shape(0) == feature.shape(1), "wrong number of planes");
  require_gradients(scene, dmean, dconic, dfeature);
  nb::gil_scoped_release release;
  rasterize_backward(k, scene, grad.data(), dmean.data(), dconic.data(), dfeature.data(), threads);
}

void py_render_rgb8(const std::string& isa, Array<const float, 2> mean, Array<const float, 2> conic,
                    Array<const float, 2> feature, Array<const float, 1> background, float epsilon,
                    Array<uint8_t, 3> out, int threads) {
  const Kernels& k = kernels_for(isa);
  const Scene scene = make_scene(mean, conic, feature, out.shape(0), out.shape(1));
  require(out.shape(2) == 3 && background.shape(0) == 3, "an RGB image has three channels");
  nb::gil_scoped_release release;
  render_rgb8(k, scene, background.data(), epsilon, out.data(), threads);
}

void py_blend_detail(const std::string& isa, Array<const float, 3> drawn, Array<const float, 3> moved,
                     Array<const float, 3> detail, Array<const float, 1> background, float epsilon,
                     std::pair<double, double> ratio, std::pair<double, double> corner, Array<float, 3> out,
                     int threads) {
  const Kernels& k = kernels_for(isa);
  const size_t height = out.shape(1), width = out.shape(2);
  const auto of_frame = [&](const auto& array, size_t planes) {
    return array.shape(0) == planes && array.shape(1) == height && array.shape(2) == width;
  };
  require(of_frame(drawn, 4) && of_frame(moved, 2) && of_frame(out, 3), "wrong number of planes, or sizes differ");
  require(detail.shape(2) == 3 && background.shape(0) == 3, "an RGB image has three channels");
  for (size_t side : {height, width, detail.shape(0), detail.shape(1)})
    require(side > 0 && side <= 65535, "size out of range");
  DetailBlend job = {};
  job.drawn = drawn.data(), job.moved = moved.data(), job.detail = detail.data(), job.out = out.data();
  job.rows = static_cast<int32_t>(detail.shape(0)), job.columns = static_cast<int32_t>(detail.shape(1));
  for (int c = 0; c < 3; ++c) job.background[c] = epsilon * background.data()[c];
  job.epsilon = epsilon;
  const Picture frame = {static_cast<int32_t>(height), static_cast<int32_t>(width)};
  const DetailPlace place = {{ratio.first, ratio.second}, {corner.first, corner.second}};
  nb::gil_scoped_release release;
  blend_detail(k, job, frame, place, threads);
}

void py_filter_picture(const std::string& isa, Array<const float, 3> picture, Array<const float, 2> weights,
                       Array<float, 3> out, int threads) {
  const Kernels& k = kernels_for(isa);
  const size_t height = out.shape(1), width = out.shape(2);
  require(picture.shape(0) == 3 && out.shape(0) == 3, "an RGB image has three channels");
  require(picture.shape(1) == height && picture.shape(2) == width, "sizes differ");
  require(weights.shape(0) == 3 && weights.shape(1) == kFilterTaps, "wrong number of weights");
  for (size_t side : {height, width}) require(side > 0 && side <= 65535, "size out of range");
  PictureFilter job = {};
  job.picture = picture.data(), job.out = out.data();
  job.height = static_cast<int32_t>(height), job.width = static_cast<int32_t>(width);
  std::copy_n(weights.data(), 3 * kFilterTaps, &job.weight[0][0]);
  nb::gil_scoped_release release;
  filter_picture(k, job, threads);
}

int64_t py_covered_pixels(Array<const float, 2> mean, Array<const float, 2> conic, int64_t height, int64_t width) {
  require(mean.shape(1) == 2 && conic.shape(1) == 3 && mean.shape(0) == conic.shape(0), "wrong shapes");
  require(height > 0 && width > 0 && height <= 65535 && width <= 65535, "frame size out of range");
  const Scene scene = {static_cast<int64_t>(mean.shape(0)), mean.data(), conic.data(), nullptr, 0,
                       static_cast<int32_t>(height), static_cast<int32_t>(width)};
  nb::gil_scoped_release release;
  return covered_pixels(scene);
}

std::vector<std::string> py_instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* k : available_kernels()) names.emplace_back(k->name);
  return names;
}

}  // namespace
}  // namespace gsv

NB_MODULE(_cpu, m) {
  using namespace gsv;
  m.doc() = "Compiled CPU kernels; use them through gscodec.kernels.";
  nb::set_leak_warnings(false);  // what a program's own globals hold at its end is no fault of this module
  m.attr("CUTOFF") = kCutoff;
  m.attr("FLOOR") = kFloor;
  m.def("instruction_sets", &py_instruction_sets, "Names of the instruction sets this CPU can run, best first.");
  m.def("rasterize", &py_rasterize);
  m.def("rasterize_backward", &py_rasterize_backward);
  m.def("render_rgb8", &py_render_rgb8);
  m.def("blend_detail", &py_blend_detail);
  m.def("filter_picture", &py_filter_picture);
  m.def("covered_pixels", &py_covered_pixels);
  bind_field(m);
  bind_train(m);
  bind_place(m);
}
