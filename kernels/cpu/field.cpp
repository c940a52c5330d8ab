// SPDX-License-Identifier: MIT
#include "field.hpp"

#include <cmath>

#include "pool.hpp"

namespace gsv {
namespace {

constexpr int kP = kFieldPoints;

int padded16(int n) { return (n + 15) / 16 * 16; }
int64_t block_count(int64_t n) { return (n + kP - 1) / kP; }
int points_in(int64_t block, int64_t n) { return static_cast<int>(n - block * kP < kP ? n - block * kP : kP); }

float unit(float x) { return x > 0 ? (x < 1 ? x : 1.f) : 0.f; }

// Heads of the block's points to the caller's arrays
void store_heads(const float* out, int points, float mean_scale, float colour_scale, float* dmean, float* dcolour) {
  for (int p = 0; p < points; ++p) {
    for (int c = 0; c < 2; ++c) dmean[2 * p + c] = mean_scale * out[c * kP + p];
    for (int c = 0; c < 3; ++c) dcolour[3 * p + c] = colour_scale * out[(2 + c) * kP + p];
  }
}

}  // namespace

void scale_positions(const float* xy, int64_t n, const float* input_scale, float* coords) {
  for (int64_t i = 0; i < 2 * n; ++i) coords[i] = unit(xy[i]) * input_scale[i & 1];
}

float scale_time(float t, float input_scale) { return unit(t) * input_scale; }

// ---- TimeSlice

TimeSlice::TimeSlice(const HashGeometry& grid3) : grid3_(grid3), levels3_(grid3.levels()) {
  for (size_t l = 0; l < levels3_.size(); ++l) {
    HashLevel level = levels3_[l];
    const int64_t side = level.resolution;
    level.offset = total_;
    levels_.push_back(level);
    sizes_.push_back(level.dense ? side * side : grid3.entries[l]);
    total_ += sizes_.back();
  }
  table_.resize(total_ * grid3.features);
}

TimeSlice::Step TimeSlice::step(int l) const {
  const HashLevel& level = levels3_[l];
  float p = level.scale * time_ + 0.5f;
  p = p > 0 ? (p < level.resolution ? p : level.resolution) : 0.f;
  const int32_t cell = static_cast<int32_t>(p), last = level.resolution - 1;
  const uint32_t low = cell < last ? cell : last, high = cell + 1 < last ? cell + 1 : last;
  const uint32_t multiplier = level.multiplier[2], mask = level.mask;
  return {low * multiplier & mask, high * multiplier & mask, p - cell};
}

void TimeSlice::mix(const float* table3, float time) {
  time_ = time;
  const int f = grid3_.features;
  for (size_t l = 0; l < levels_.size(); ++l) {
    const Step s = step(static_cast<int>(l));
    const float* in = table3 + levels3_[l].offset * f;
    float* out = table_.data() + levels_[l].offset * f;
    for (int64_t e = 0; e < sizes_[l]; ++e) {
      const int64_t low = levels_[l].dense ? e + s.low : e ^ s.low, high = levels_[l].dense ? e + s.high : e ^ s.high;
      for (int k = 0; k < f; ++k) out[e * f + k] = (1 - s.fraction) * in[low * f + k] + s.fraction * in[high * f + k];
    }
  }
}

void TimeSlice::unmix(int l, const float* dslice, float* dtable3) const {
  const int f = grid3_.features;
  const Step s = step(l);
  float* out = dtable3 + levels3_[l].offset * f;
  clear(out, grid3_.entries[l] * f);
  for (int64_t e = 0; e < sizes_[l]; ++e) {
    const int64_t low = levels_[l].dense ? e + s.low : e ^ s.low, high = levels_[l].dense ? e + s.high : e ^ s.high;
    for (int k = 0; k < f; ++k) out[low * f + k] += (1 - s.fraction) * dslice[e * f + k];
    for (int k = 0; k < f; ++k) out[high * f + k] += s.fraction * dslice[e * f + k];
  }
}

HashGrid TimeSlice::grid() const {
  return {2, grid3_.features, static_cast<int32_t>(levels_.size()), levels_.data(), table_.data()};
}

// ---- FieldNetwork

FieldNetwork::FieldNetwork(const Kernels& k, const FieldWeights& w, bool backward) : tile_rows_(k.tile_rows) {
  net_.inputs = w.encoded();
  net_.inputs_padded = padded16(net_.inputs);
  net_.hidden = w.hidden;
  net_.hidden_padded = padded16(w.hidden);
  const int h = w.hidden, hp = net_.hidden_padded;
  next_ = memory_.resize(static_cast<size_t>(hp) * (2 * net_.inputs_padded + 2 * hp + 2 * kHeadRows + 4) + 256);

  std::vector<float> head(kHeadRows * h), bias_head(kHeadRows);
  copy_floats(head.data(), w.w_mean, 2 * h);
  copy_floats(head.data() + 2 * h, w.w_colour, 3 * h);
  copy_floats(bias_head.data(), w.b_mean, 2);
  copy_floats(bias_head.data() + 2, w.b_colour, 3);

  net_.w1_packed = pack(w.w1, h, net_.inputs, w.inputs(), 1, hp);
  net_.w2_packed = pack(w.w2, h, h, h, 1, hp);
  net_.head_packed = pack(head.data(), kHeadRows, h, h, 1, kHeadRows);
  bias1_ = next_;  // head_packed is 8 * h floats long: nothing needs this one aligned
  net_.bias1 = copy(w.b1, h, hp);
  net_.bias2 = copy(w.b2, h, hp);
  net_.bias_head = copy(bias_head.data(), kHeadRows, kHeadRows);
  if (!backward) return;
  net_.w2t_packed = pack(w.w2, h, h, 1, h, hp);
  net_.headt_packed = pack(head.data(), h, kHeadRows, 1, h, hp);
  net_.w1 = align();
  for (int j = 0; j < h; ++j) copy(w.w1 + static_cast<int64_t>(j) * w.inputs(), net_.inputs, net_.inputs_padded);
}

const float* FieldNetwork::pack(const float* w, int rows, int count, int64_t row_stride, int64_t stride,
                                int padded_rows) {
  const float* start = align();
  for (int m0 = 0; m0 < padded_rows; m0 += tile_rows_)
    for (int r = 0; r < count; ++r)
      for (int m = m0; m < m0 + tile_rows_; ++m) *next_++ = m < rows ? w[m * row_stride + r * stride] : 0.f;
  return start;
}

// To the next cache line, where a matrix starts
const float* FieldNetwork::align() {
  next_ = memory_.data() + padded16(static_cast<int>(next_ - memory_.data()));
  return next_;
}

const float* FieldNetwork::copy(const float* v, int count, int padded) {
  const float* start = next_;
  for (int i = 0; i < padded; ++i) *next_++ = i < count ? v[i] : 0.f;
  return start;
}

void FieldNetwork::set_time(const FieldWeights& w, float t) {
  constexpr double pi = 3.14159265358979323846;
  time_features_.clear();
  for (int k = 0; k < w.frequencies; ++k) {
    const double angle = std::ldexp(pi * t, k);
    time_features_.push_back(static_cast<float>(std::sin(angle)));
    time_features_.push_back(static_cast<float>(std::cos(angle)));
  }
  for (int j = 0; j < w.hidden; ++j) {
    float sum = w.b1[j];
    for (int i = 0; i < 2 * w.frequencies; ++i)
      sum += w.w1[static_cast<int64_t>(j) * w.inputs() + w.encoded() + i] * time_features_[i];
    bias1_[j] = sum;
  }
}

static size_t block_floats(const FieldNet& n) {
  return static_cast<size_t>(kP) * (2 * n.inputs_padded + 5 * n.hidden_padded + kHeadRows);
}

void FieldNetwork::reserve_workers(int workers) { blocks_.resize(block_floats(net_) * workers); }

FieldBlock FieldNetwork::block(int worker) const {
  const size_t x = static_cast<size_t>(kP) * net_.inputs_padded, h = static_cast<size_t>(kP) * net_.hidden_padded;
  float* p = blocks_.data() + block_floats(net_) * worker;
  FieldBlock b;
  b.x = p;
  b.xt = b.x + x;
  b.h1 = b.xt + x;
  b.h2 = b.h1 + h;
  b.ht = b.h2 + h;
  b.d1 = b.ht + h;
  b.d2 = b.d1 + h;
  b.out = b.d2 + h;
  return b;
}

// ---- FieldPlan

FieldPlan::FieldPlan(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, int threads)
    : k_(k),
      w_(w),
      w1_(w.w1, w.w1 + static_cast<int64_t>(w.hidden) * w.inputs()),
      b1_(w.b1, w.b1 + w.hidden),
      table3_(w.table3, w.table3 + w.grid3.total_entries() * w.grid3.features),
      network_(k, w, false),
      slice_(w.grid3),
      n_(n) {
  w_.w1 = w1_.data();
  w_.b1 = b1_.data();
  w_.table3 = table3_.data();
  scale_positions(xy, n, w.input_scale, coords_.resize(2 * n));
  const int width = w.grid2.width();
  const std::vector<HashLevel> levels = w.grid2.levels();
  const HashGrid grid = {2, w.grid2.features, static_cast<int32_t>(levels.size()), levels.data(), w.table2};
  float* features = features_.resize(block_count(n) * width * kP);
  parallel_for(block_count(n), thread_count(threads), [&](int64_t block, int) {
    std::vector<float> rows(static_cast<size_t>(kP) * width);
    const int points = points_in(block, n);
    k.hash_encode(grid, coords_.data() + 2 * block * kP, points, rows.data(), width);
    float* out = features + block * width * kP;
    for (int f = 0; f < width; ++f)
      for (int p = 0; p < kP; ++p) out[f * kP + p] = rows[p * width + f];
  });
}

void FieldPlan::evaluate(float t, float mean_scale, float colour_scale, float* dmean, float* dcolour, int threads) {
  const int workers = thread_count(threads);
  network_.reserve_workers(workers);
  network_.set_time(w_, t);
  slice_.mix(w_.table3, scale_time(t, w_.input_scale[2]));
  const FieldNet& net = network_.net();
  const int width = w_.grid2.width();
  const HashGrid grid = slice_.grid();
  parallel_for(block_count(n_), workers, [&](int64_t block, int worker) {
    const FieldBlock b = network_.block(worker);
    const int points = points_in(block, n_);
    if (points < kP) clear(b.xt, kP * net.inputs_padded);
    k_.hash_encode(grid, coords_.data() + 2 * block * kP, points, b.xt + width, net.inputs_padded);
    k_.field_transpose(net, b, width / 4 * 4);
    copy_floats(b.x, features_.data() + block * width * kP, width * kP);
    k_.field_forward(net, b);
    store_heads(b.out, points, mean_scale, colour_scale, dmean + 2 * block * kP, dcolour + 3 * block * kP);
  });
}

void field_forward(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, float t, float* dmean,
                   float* dcolour, int threads) {
  FieldPlan(k, w, xy, n, threads).evaluate(t, 1.f, 1.f, dmean, dcolour, threads);
}

}  // namespace gsv
