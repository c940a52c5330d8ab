// SPDX-License-Identifier: MIT
#include "raster.hpp"

#include <cmath>

#include "pool.hpp"
#include "scratch.hpp"

namespace gsv {
namespace {

constexpr int64_t kChunk = 1024;  // Gaussians per task of the preparing pass

// Pixel centres inside the bounding box of the support: columns [x0, x1), rows [y0, y1), clipped to the frame.
struct Box {
  int32_t x0 = 0, x1 = 0, y0 = 0, y1 = 0;
  double extent_x = 0, extent_y = 0, det = 0;
  bool empty() const { return x1 <= x0 || y1 <= y0; }
};

// First pixel whose centre is >= low, clamped to [0, size]. Comparing before converting keeps the conversion defined.
int32_t first_pixel(double low, int32_t size) {
  const double x = low - 0.5;
  if (!(x > 0)) return 0;
  if (x >= size) return size;
  const int32_t i = static_cast<int32_t>(x);
  return i + (x > i);
}
// One past the last pixel whose centre is <= high, clamped to [0, size]
int32_t past_pixel(double high, int32_t size) {
  const double x = high + 0.5;
  if (!(x > 0)) return 0;
  return x >= size ? size : static_cast<int32_t>(x);
}

bool finite(const float* p, int n) {
  for (int i = 0; i < n; ++i)
    if (!std::isfinite(p[i])) return false;
  return true;
}

// The determinant is exact up to one rounding: products of two floats fit a double.
Box bounding_box(const float* mean, const float* conic, int32_t width, int32_t height) {
  Box box;
  const double a = conic[0], b = conic[1], c = conic[2];
  box.det = a * c - b * b;
  if (!finite(mean, 2) || !finite(conic, 3) || !(a > 0) || !(box.det > 0)) return box;
  const double scale = 2.0 * kCutoff / box.det;
  box.extent_x = std::sqrt(scale * c);
  box.extent_y = std::sqrt(scale * a);
  box.x0 = first_pixel(mean[0] - box.extent_x, width);
  box.x1 = past_pixel(mean[0] + box.extent_x, width);
  box.y0 = first_pixel(mean[1] - box.extent_y, height);
  box.y1 = past_pixel(mean[1] + box.extent_y, height);
  return box;
}

Splat make_splat(const Scene& scene, int64_t i, const Box& box) {
  constexpr double log2e = 1.4426950408889634;
  const float* q = scene.conic + 3 * i;
  const double a = q[0], b = q[1], c = q[2];
  Splat s = {};
  s.cx = scene.mean[2 * i];
  s.cy = scene.mean[2 * i + 1];
  s.qu = static_cast<float>(-0.5 * log2e * a);
  s.qy = static_cast<float>(-0.5 * log2e * box.det / a);
  s.slope = static_cast<float>(-b / a);
  s.width0 = static_cast<float>(2.0 * kCutoff / a);
  s.width1 = static_cast<float>(box.det / (a * a));
  s.right_dy = static_cast<float>(-b / c * box.extent_x);
  s.extent_y = static_cast<float>(box.extent_y);
  for (int k = 0; k < scene.channels; ++k) s.feature[k] = scene.feature[scene.channels * i + k];
  s.y0 = box.y0;
  s.y1 = box.y1;
  return s;
}

// Adds up a Gaussian's bands and turns moments of q into gradients: d sigma / d mean = -(conic d), which with
// u = dx + b/a*dy is -(a*u, b*u + det/a*dy).
void combine(const Scene& scene, int64_t i, const float* partials, int64_t n, float* dmean, float* dconic,
             float* dfeature) {
  float total[kPartials] = {};
  for (int64_t s = 0; s < n; ++s)
    for (int k = 0; k < 5 + scene.channels; ++k) total[k] += partials[s * kPartials + k];
  const double a = scene.conic[3 * i], b = scene.conic[3 * i + 1], c = scene.conic[3 * i + 2];
  const bool drawn = n > 0;
  dmean[2 * i] = drawn ? static_cast<float>(a * total[0]) : 0.f;
  dmean[2 * i + 1] = drawn ? static_cast<float>(b * total[0] + (c - b * b / a) * total[1]) : 0.f;
  dconic[3 * i] = -0.5f * total[2];
  dconic[3 * i + 1] = -total[3];
  dconic[3 * i + 2] = -0.5f * total[4];
  for (int k = 0; k < scene.channels; ++k) dfeature[scene.channels * i + k] = total[5 + k];
}

struct Workspace {
  Buffer<Splat> splats;
  Buffer<uint16_t> cells;
  Buffer<int64_t> starts;
  Buffer<int32_t> ids;
  Buffer<int64_t> slots;
  Buffer<float> pixels;
  Buffer<float> partials;
  Buffer<double> losses;

  size_t bytes() const {
    return splats.bytes() + cells.bytes() + starts.bytes() + ids.bytes() + slots.bytes() + pixels.bytes() +
           partials.bytes() + losses.bytes();
  }
};

class Renderer {
 public:
  Renderer(const Scene& scene, int threads)
      : scene_(scene),
        threads_(thread_count(threads)),
        bands_((scene.height + kBandHeight - 1) / kBandHeight),
        cell_width_(scene.width > 64 * 32 ? (scene.width + 63) / 64 : 32),
        cells_((scene.width + cell_width_ - 1) / cell_width_) {
    prepare();
    sort_into_bands();
    const int workers = threads_ < bands_ ? threads_ : bands_;
    work_->pixels.resize(static_cast<size_t>(workers) * band_floats());
  }

  template <class Body>
  void each_band(const Body& body) {
    parallel_for(bands_, threads_, [&](int64_t index, int worker) { body(band(static_cast<int>(index), worker)); });
  }

  void slots_for_partials() {
    int64_t* slots = work_->slots.resize(scene_.count + 1);
    int64_t next = 0;
    for (int64_t i = 0; i < scene_.count; ++i) {
      slots[i] = next;
      next += bands_of(work_->splats.data()[i]);
    }
    slots[scene_.count] = next;
    work_->partials.resize(next * kPartials);
  }

  const int64_t* slots() const { return work_->slots.data(); }
  float* partials() const { return work_->partials.data(); }
  double* losses() const { return work_->losses.resize(static_cast<size_t>(bands_) * kLossSums); }
  int bands() const { return bands_; }

  // From the partial sums of `grad_band` to gradients
  void combine_all(float* dmean, float* dconic, float* dfeature) const {
    parallel_for((scene_.count + kChunk - 1) / kChunk, threads_, [&](int64_t chunk, int) {
      const int64_t end = (chunk + 1) * kChunk < scene_.count ? (chunk + 1) * kChunk : scene_.count;
      for (int64_t i = chunk * kChunk; i < end; ++i)
        combine(scene_, i, partials() + slots()[i] * kPartials, slots()[i + 1] - slots()[i], dmean, dconic, dfeature);
    });
  }

 private:
  size_t blocks() const { return (static_cast<size_t>(scene_.width) + kBlock - 1) / kBlock; }
  size_t band_floats() const { return kBandStrips * blocks() * scene_.channels * kBlockPixels; }

  static int bands_of(const Splat& s) {
    return s.y1 > s.y0 ? (s.y1 - 1) / kBandHeight - s.y0 / kBandHeight + 1 : 0;
  }

  void prepare() {
    Splat* splats = work_->splats.resize(scene_.count);
    uint16_t* cells = work_->cells.resize(scene_.count);
    parallel_for((scene_.count + kChunk - 1) / kChunk, threads_, [&](int64_t chunk, int) {
      const int64_t end = (chunk + 1) * kChunk < scene_.count ? (chunk + 1) * kChunk : scene_.count;
      for (int64_t i = chunk * kChunk; i < end; ++i) {
        const Box box = bounding_box(scene_.mean + 2 * i, scene_.conic + 3 * i, scene_.width, scene_.height);
        const bool drawn = !box.empty() && finite(scene_.feature + scene_.channels * i, scene_.channels);
        splats[i] = drawn ? make_splat(scene_, i, box) : Splat{};
        cells[i] = drawn ? static_cast<uint16_t>(box.x0 / cell_width_) : 0;
      }
    });
  }

  // Counting sort by band, then by column of the left edge, so that neighbours are drawn one after the other while
  // their pixels are in the cache. Ties keep the caller's order: sums do not depend on the number of threads.
  void sort_into_bands() {
    const Splat* splats = work_->splats.data();
    const uint16_t* cells = work_->cells.data();
    const size_t bins = static_cast<size_t>(bands_) * cells_;
    int64_t* starts = work_->starts.resize(bins + 1);
    for (size_t i = 0; i <= bins; ++i) starts[i] = 0;
    for (int64_t i = 0; i < scene_.count; ++i) {
      const int n = bands_of(splats[i]);
      int64_t* bin = starts + static_cast<size_t>(splats[i].y0 / kBandHeight) * cells_ + cells[i];
      for (int k = 0; k < n; ++k, bin += cells_) ++*bin;
    }
    int64_t total = 0;
    for (size_t i = 0; i <= bins; ++i) {
      const int64_t n = starts[i];
      starts[i] = total;
      total += n;
    }
    int32_t* ids = work_->ids.resize(total);
    for (int64_t i = 0; i < scene_.count; ++i) {
      const int n = bands_of(splats[i]);
      int64_t* bin = starts + static_cast<size_t>(splats[i].y0 / kBandHeight) * cells_ + cells[i];
      for (int k = 0; k < n; ++k, bin += cells_) ids[(*bin)++] = static_cast<int32_t>(i);
    }
  }

  // After sorting, starts[i] is where bin i ends.
  Band band(int index, int worker) const {
    const int64_t* ends = work_->starts.data();
    const size_t bin = static_cast<size_t>(index) * cells_;
    const int64_t begin = bin ? ends[bin - 1] : 0;
    Band b;
    b.splats = work_->splats.data();
    b.ids = work_->ids.data() + begin;
    b.count = ends[bin + cells_ - 1] - begin;
    b.y0 = index * kBandHeight;
    b.rows = scene_.height - b.y0 < kBandHeight ? scene_.height - b.y0 : kBandHeight;
    b.width = scene_.width;
    b.blocks = static_cast<int32_t>(blocks());
    b.channels = scene_.channels;
    b.buffer = work_->pixels.data() + static_cast<size_t>(worker) * band_floats();
    return b;
  }

  const Scene& scene_;
  int threads_;
  int bands_;
  int cell_width_;
  int cells_;
  Lease<Workspace> work_;
};

}  // namespace

void rasterize(const Kernels& k, const Scene& scene, float* out, int threads) {
  Renderer renderer(scene, threads);
  const int64_t plane = static_cast<int64_t>(scene.height) * scene.width;
  renderer.each_band([&](const Band& b) {
    k.draw_band(b);
    k.store_planar(b, out + static_cast<int64_t>(b.y0) * b.width, plane);
  });
}

void render_rgb8(const Kernels& k, const Scene& scene, const float* background, float epsilon, uint8_t* out,
                 int threads) {
  Renderer renderer(scene, threads);
  renderer.each_band([&](const Band& b) {
    Rgb8 target = {out + static_cast<int64_t>(b.y0) * b.width * 3, static_cast<int64_t>(b.width) * 3, {}, epsilon};
    for (int c = 0; c < 3; ++c) target.background[c] = epsilon * background[c];
    k.draw_band(b);
    k.store_rgb8(b, target);
  });
}

void rasterize_backward(const Kernels& k, const Scene& scene, const float* grad, float* dmean, float* dconic,
                        float* dfeature, int threads) {
  Renderer renderer(scene, threads);
  renderer.slots_for_partials();
  const int64_t plane = static_cast<int64_t>(scene.height) * scene.width;
  renderer.each_band([&](const Band& b) {
    k.load_planar(b, grad + static_cast<int64_t>(b.y0) * b.width, plane);
    k.grad_band(b, renderer.slots(), renderer.partials());
  });
  renderer.combine_all(dmean, dconic, dfeature);
}

void splat_loss(const Kernels& k, const Scene& scene, const Target& target, double* found, float* dmean, float* dconic,
                float* dfeature, int threads) {
  Renderer renderer(scene, threads);
  renderer.slots_for_partials();
  double* losses = renderer.losses();
  renderer.each_band([&](const Band& b) {
    Target part = target;
    part.samples = static_cast<const uint8_t*>(target.samples) + static_cast<int64_t>(b.y0) * b.width * target.bytes;
    k.draw_band(b);
    k.blend_loss(b, part, losses + b.y0 / kBandHeight * kLossSums);
    k.grad_band(b, renderer.slots(), renderer.partials());
  });
  for (int s = 0; s < kLossSums; ++s) found[s] = 0;
  for (int i = 0; i < renderer.bands() * kLossSums; ++i) found[i % kLossSums] += losses[i];
  renderer.combine_all(dmean, dconic, dfeature);
}

int64_t covered_pixels(const Scene& scene) {
  int64_t total = 0;
  for (int64_t i = 0; i < scene.count; ++i) {
    const Box box = bounding_box(scene.mean + 2 * i, scene.conic + 3 * i, scene.width, scene.height);
    if (!box.empty()) total += static_cast<int64_t>(box.x1 - box.x0) * (box.y1 - box.y0);
  }
  return total;
}

}  // namespace gsv
