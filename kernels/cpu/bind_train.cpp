// SPDX-License-Identifier: MIT
// Bindings of what only training needs.
#include "bindings.hpp"
#include "raster.hpp"
#include "train.hpp"

namespace gsv {
namespace {

template <class T>
double py_splat_loss(const std::string& isa, Array<const float, 2> mean, Array<const float, 2> conic,
                     Array<const float, 2> feature, Array<const float, 1> background, Array<const T, 3> samples,
                     float epsilon, Array<float, 2> dmean, Array<float, 2> dconic, Array<float, 2> dfeature,
                     Array<float, 1> dbackground, int threads) {
  const Kernels& k = kernels_for(isa);
  const Scene scene = make_scene(mean, conic, feature, samples.shape(1), samples.shape(2));
  require(samples.shape(0) == 3 && background.shape(0) == 3 && dbackground.shape(0) == 3, "RGB has three channels");
  require_gradients(scene, dmean, dconic, dfeature);
  require(scene.channels == 3 || epsilon > 0, "epsilon must be positive");
  Target target = {samples.data(), sizeof(T), sizeof(T) == 1 ? 1.f / 255 : 1.f / 65535,
                   static_cast<int64_t>(scene.height) * scene.width, {}, epsilon};
  for (int c = 0; c < 3; ++c) target.background[c] = background.data()[c];
  double found[kLossSums];
  {
    nb::gil_scoped_release release;
    splat_loss(k, scene, target, found, dmean.data(), dconic.data(), dfeature.data(), threads);
  }
  for (int c = 0; c < 3; ++c) dbackground.data()[c] = static_cast<float>(found[1 + c]);
  return found[0];
}

using Parts = Array<const float, 2>;

void require_parts(size_t columns, std::initializer_list<std::pair<size_t, size_t>> shapes) {
  for (const auto& [rows, parts] : shapes) require(rows == columns && parts == kMixtureParts, "wrong mixture shape");
}

double py_mixture_bits(const std::string& isa, Parts x, Parts step, Parts mean, Parts log_scale, Parts logit,
                       Array<float, 2> dx, Array<float, 2> dmean, Array<float, 2> dlog_scale, Array<float, 2> dlogit,
                       int threads) {
  const Kernels& k = kernels_for(isa);
  const size_t n = x.shape(0), columns = x.shape(1);
  require(columns >= 1 && columns <= kMostComponents, "too many components");
  require(step.shape(1) == columns && (step.shape(0) == 1 || step.shape(0) == n), "wrong shape of steps");
  require(dx.shape(0) == n && dx.shape(1) == columns, "wrong gradient shape");
  const auto shape = [](const auto& array) { return std::pair<size_t, size_t>(array.shape(0), array.shape(1)); };
  require_parts(columns, {shape(mean), shape(log_scale), shape(logit), shape(dmean), shape(dlog_scale), shape(dlogit)});
  const MixtureParameters p = {static_cast<int32_t>(columns), mean.data(), log_scale.data(), logit.data()};
  nb::gil_scoped_release release;
  return mixture_bits(k, p, x.data(), static_cast<int64_t>(n), step.data(), step.shape(0) != 1, dx.data(),
                      {dmean.data(), dlog_scale.data(), dlogit.data()}, threads);
}

using Floats = std::vector<Array<float, 1>>;

// Several arrays in one call, each at its own rate, as one list of tasks
void py_adam_step(const std::string& isa, Floats p, std::vector<Array<const float, 1>> grad, Floats m, Floats v,
                  const std::vector<double>& rates, double beta1, double beta2, double epsilon, int64_t t,
                  int threads) {
  const Kernels& k = kernels_for(isa);
  const size_t count = p.size();
  require(grad.size() == count && m.size() == count && v.size() == count && rates.size() == count,
          "lists differ in length");
  std::vector<AdamArray> arrays(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t n = p[i].shape(0);
    require(grad[i].shape(0) == n && m[i].shape(0) == n && v[i].shape(0) == n, "arrays differ in length");
    arrays[i] = {p[i].data(), grad[i].data(), m[i].data(), v[i].data(), static_cast<int64_t>(n), rates[i]};
  }
  nb::gil_scoped_release release;
  adam_step(k, arrays, {beta1, beta2, epsilon, t}, threads);
}

// A step array holds one for each column, or one for each value; it is empty where there is a limit.
void py_quantise(const std::string& isa, std::vector<Array<const float, 1>> x, std::vector<Array<const float, 1>> step,
                 const std::vector<int>& columns, const std::vector<int>& limit, Floats out, bool noise, uint64_t seed,
                 int threads) {
  const Kernels& k = kernels_for(isa);
  const size_t count = x.size();
  require(step.size() == count && columns.size() == count && limit.size() == count && out.size() == count,
          "lists differ in length");
  std::vector<QuantiserArray> arrays(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t n = x[i].shape(0), wanted = columns[i] ? static_cast<size_t>(columns[i]) : n;
    require(out[i].shape(0) == n && columns[i] >= 0 && columns[i] <= kMostColumns && limit[i] >= 0, "wrong sizes");
    require(limit[i] > 0 || step[i].shape(0) == wanted, "wrong number of steps");
    arrays[i] = {x[i].data(), out[i].data(), static_cast<int64_t>(n), step[i].data(), columns[i], limit[i]};
  }
  const uint32_t words[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  nb::gil_scoped_release release;
  quantise(k, arrays, noise ? words : nullptr, threads);
}

}  // namespace

void bind_train(nb::module_& m) {
  // Two names: overloads would convert samples
  m.def("splat_loss8", &py_splat_loss<uint8_t>);
  m.def("splat_loss16", &py_splat_loss<uint16_t>);
  m.def("adam_step", &py_adam_step);
  m.def("quantise", &py_quantise);
  m.def("mixture_bits", &py_mixture_bits);
}

}  // namespace gsv
