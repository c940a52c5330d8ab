// SPDX-License-Identifier: MIT
// Backward pass of the field. Activations are computed again, block by block, which is faster than keeping them.
#include "field.hpp"
#include "pool.hpp"

namespace gsv {
namespace {

constexpr int kP = kFieldPoints;
constexpr int64_t kMaxGroups = 32;         // partial sums: their number must not depend on the number of threads
constexpr int64_t kMinBlocksPerGroup = 4;  // enough work to pay for adding them up

class Backward {
 public:
  Backward(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, float t, int threads)
      : k_(k), w_(w), n_(n), threads_(thread_count(threads)), network_(k, w, true), slice_(w.grid3),
        levels2_(w.grid2.levels()) {
    network_.reserve_workers(threads_);
    network_.set_time(w, t);
    slice_.mix(w.table3, scale_time(t, w.input_scale[2]));
    scale_positions(xy, n, w.input_scale, coords_.resize(2 * n));
    const int64_t blocks = (n + kP - 1) / kP;
    blocks_per_group_ = (blocks + kMaxGroups - 1) / kMaxGroups;
    if (blocks_per_group_ < kMinBlocksPerGroup) blocks_per_group_ = kMinBlocksPerGroup;
    groups_ = (blocks + blocks_per_group_ - 1) / blocks_per_group_;
    sums_.resize(sums_floats() * (groups_ + 1));
    dinputs_.resize(n * w.encoded());
  }

  void run(const float* dmean, const float* dcolour, const FieldGradients& out) {
    parallel_for(groups_, threads_, [&](int64_t group, int worker) { run_group(group, worker, dmean, dcolour); });
    reduce();
    const int levels2 = w_.grid2.resolutions.size(), levels3 = w_.grid3.resolutions.size();
    dslice_.resize(slice_.total_entries() * w_.grid3.features);
    parallel_for(1 + levels2 + levels3, threads_, [&](int64_t task, int) {
      if (task < levels3) grad_level3(static_cast<int>(task), out.table3);
      else if (task < levels3 + levels2) grad_level2(static_cast<int>(task) - levels3, out.table2);
      else write_weights(out);
    });
  }

 private:
  size_t sums_floats() const {
    const FieldNet& n = network_.net();
    return static_cast<size_t>(n.hidden_padded) * (n.inputs_padded + n.hidden_padded + 3 * 16) + kHeadRows * 16;
  }

  FieldSums sums(int64_t group) const {
    const FieldNet& n = network_.net();
    const size_t hidden = n.hidden_padded;
    FieldSums s;
    s.w1 = sums_.data() + sums_floats() * group;
    s.w2 = s.w1 + hidden * n.inputs_padded;
    s.head = s.w2 + hidden * hidden;
    s.bias1 = s.head + hidden * 16;
    s.bias2 = s.bias1 + hidden * 16;
    s.bias_head = s.bias2 + hidden * 16;
    return s;
  }

  void run_group(int64_t group, int worker, const float* dmean, const float* dcolour) {
    const FieldSums target = sums(group);
    clear(target.w1, sums_floats());
    const FieldBlock b = network_.block(worker);
    for (int64_t i = 0; i < blocks_per_group_; ++i) {
      const int64_t first = (group * blocks_per_group_ + i) * kP;
      if (first < n_) run_block(b, target, first, dmean, dcolour);
    }
  }

  void run_block(const FieldBlock& b, const FieldSums& target, int64_t first, const float* dmean,
                 const float* dcolour) {
    const FieldNet& net = network_.net();
    const int points = static_cast<int>(n_ - first < kP ? n_ - first : kP);
    clear(b.xt, kP * net.inputs_padded);
    const float* at = coords_.data() + 2 * first;
    const HashGrid grid2 = {2, w_.grid2.features, static_cast<int32_t>(levels2_.size()), levels2_.data(), w_.table2};
    k_.hash_encode(grid2, at, points, b.xt, net.inputs_padded);
    k_.hash_encode(slice_.grid(), at, points, b.xt + w_.grid2.width(), net.inputs_padded);
    k_.field_transpose(net, b, 0);
    k_.field_forward(net, b);
    clear(b.out, kHeadRows * kP);
    for (int p = 0; p < points; ++p) {
      for (int c = 0; c < 2; ++c) b.out[c * kP + p] = dmean[2 * (first + p) + c];
      for (int c = 0; c < 3; ++c) b.out[(2 + c) * kP + p] = dcolour[3 * (first + p) + c];
    }
    k_.field_backward(net, b, target);
    const int width = w_.encoded();
    for (int p = 0; p < points; ++p)
      copy_floats(dinputs_.data() + (first + p) * width, b.xt + p * net.inputs_padded, width);
  }

  // Adds the groups in their order; the total is kept after the last of them.
  void reduce() {
    const int64_t size = sums_floats(), chunk = 2048;
    float* total = sums_.data() + size * groups_;
    parallel_for((size + chunk - 1) / chunk, threads_, [&](int64_t task, int) {
      const int64_t begin = task * chunk, end = begin + chunk < size ? begin + chunk : size;
      for (int64_t i = begin; i < end; ++i) total[i] = 0;
      for (int64_t g = 0; g < groups_; ++g)
        for (int64_t i = begin; i < end; ++i) total[i] += sums_.data()[size * g + i];
    });
  }

  void grad_level2(int level, float* dtable) {
    const HashGrid grid = {2, w_.grid2.features, static_cast<int32_t>(levels2_.size()), levels2_.data(), w_.table2};
    const int64_t f = grid.features;
    clear(dtable + levels2_[level].offset * f, w_.grid2.entries[level] * f);
    k_.hash_table_grad(grid, level, coords_.data(), n_, dinputs_.data(), w_.encoded(), dtable);
  }

  void grad_level3(int level, float* dtable) {
    const int64_t f = w_.grid3.features;
    float* dslice = dslice_.data();
    float* own = dslice + slice_.offset(level) * f;
    clear(own, slice_.entries(level) * f);
    k_.hash_table_grad(slice_.grid(), level, coords_.data(), n_, dinputs_.data() + w_.grid2.width(), w_.encoded(),
                       dslice);
    slice_.unmix(level, own, dtable);
  }

  static float lane_sum(const float* lanes) {
    float total = 0;
    for (int i = 0; i < 16; ++i) total += lanes[i];
    return total;
  }

  void write_weights(const FieldGradients& out) const {
    const FieldNet& net = network_.net();
    const FieldSums s = sums(groups_);
    const int64_t h = w_.hidden, inputs = w_.inputs(), encoded = w_.encoded();
    const std::vector<float>& time = network_.time_features();
    for (int64_t j = 0; j < h; ++j) {
      out.b1[j] = lane_sum(s.bias1 + j * 16);
      out.b2[j] = lane_sum(s.bias2 + j * 16);
      copy_floats(out.w1 + j * inputs, s.w1 + j * net.inputs_padded, encoded);
      for (int64_t i = encoded; i < inputs; ++i) out.w1[j * inputs + i] = out.b1[j] * time[i - encoded];
      copy_floats(out.w2 + j * h, s.w2 + j * net.hidden_padded, h);
      for (int c = 0; c < 2; ++c) out.w_mean[c * h + j] = s.head[j * 16 + c];
      for (int c = 0; c < 3; ++c) out.w_colour[c * h + j] = s.head[j * 16 + 2 + c];
    }
    for (int c = 0; c < 2; ++c) out.b_mean[c] = lane_sum(s.bias_head + c * 16);
    for (int c = 0; c < 3; ++c) out.b_colour[c] = lane_sum(s.bias_head + (2 + c) * 16);
  }

  const Kernels& k_;
  const FieldWeights& w_;
  int64_t n_;
  int threads_;
  FieldNetwork network_;
  TimeSlice slice_;
  std::vector<HashLevel> levels2_;
  int64_t blocks_per_group_ = 1, groups_ = 0;
  Buffer<float> coords_, sums_, dinputs_, dslice_;
};

}  // namespace

void field_backward(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, float t, const float* dmean,
                    const float* dcolour, const FieldGradients& out, int threads) {
  Backward(k, w, xy, n, t, threads).run(dmean, dcolour, out);
}

}  // namespace gsv
