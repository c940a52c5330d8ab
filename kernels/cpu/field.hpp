// SPDX-License-Identifier: MIT
// Drivers of the deformation field: a 2D and a 3D hash grid and the time, through a network of two hidden layers, to a
// displacement and a change of colour for every Gaussian at one time.
#pragma once
#include <vector>

#include "hash.hpp"
#include "scratch.hpp"
#include "table.hpp"

namespace gsv {

// Borrowed arrays, sizes as kernels/field.py's FieldWeights. inputs = grid2.width() + grid3.width() + 2 * frequencies
struct FieldWeights {
  HashGeometry grid2, grid3;
  const float *table2, *table3;
  float input_scale[3];
  int frequencies;
  int hidden;
  const float *w1, *b1, *w2, *b2, *w_mean, *b_mean, *w_colour, *b_colour;

  int encoded() const { return grid2.width() + grid3.width(); }
  int inputs() const { return encoded() + 2 * frequencies; }
};

struct FieldGradients {
  float *table2, *table3, *w1, *b1, *w2, *b2, *w_mean, *b_mean, *w_colour, *b_colour;
};

// The 3D grid at one time: a 2D grid whose tables are mixed from two slices, so that a point needs four entries per
// level instead of eight, at places that do not depend on the time.
class TimeSlice {
 public:
  explicit TimeSlice(const HashGeometry& grid3);
  void mix(const float* table3, float time);
  // Turns the gradient of level l of the slice into that of the 3D table's level, which is overwritten.
  void unmix(int level, const float* dslice, float* dtable3) const;
  HashGrid grid() const;
  int64_t entries(int level) const { return sizes_[level]; }
  int64_t total_entries() const { return total_; }
  int64_t offset(int level) const { return levels_[level].offset; }

 private:
  struct Step {
    int64_t low, high;  // XORed with (hashed) or added to (dense) an entry of the slice
    float fraction;
  };
  Step step(int level) const;

  HashGeometry grid3_;
  std::vector<HashLevel> levels3_, levels_;
  std::vector<int64_t> sizes_;
  int64_t total_ = 0;
  float time_ = 0;
  Buffer<float> table_;
};

// Weights as the kernels read them, and the working memory of each worker.
class FieldNetwork {
 public:
  FieldNetwork(const Kernels& k, const FieldWeights& w, bool backward);
  void set_time(const FieldWeights& w, float t);  // puts the time features into bias1
  const FieldNet& net() const { return net_; }
  FieldBlock block(int worker) const;
  void reserve_workers(int workers);
  const std::vector<float>& time_features() const { return time_features_; }

 private:
  const float* pack(const float* w, int rows, int count, int64_t row_stride, int64_t stride, int padded_rows);
  const float* align();
  const float* copy(const float* v, int count, int padded);

  FieldNet net_ = {};
  int tile_rows_;
  Buffer<float> memory_;
  float* next_ = nullptr;
  float* bias1_ = nullptr;
  std::vector<float> time_features_;
  Buffer<float> blocks_;
};

// Positions in the grids: clamped to [0, 1] and scaled; NaN counts as 0.
void scale_positions(const float* xy, int64_t n, const float* input_scale, float* coords);
float scale_time(float t, float input_scale);

// A field whose points stay and whose time changes. Keeps copies of what it needs.
class FieldPlan {
 public:
  FieldPlan(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, int threads);
  // dmean [n][2] and dcolour [n][3], scaled; one call at a time
  void evaluate(float t, float mean_scale, float colour_scale, float* dmean, float* dcolour, int threads);
  int64_t count() const { return n_; }

 private:
  const Kernels& k_;
  FieldWeights w_;
  std::vector<float> w1_, b1_, table3_;
  FieldNetwork network_;
  TimeSlice slice_;
  int64_t n_;
  Buffer<float> coords_;    // [n][2]
  Buffer<float> features_;  // [block][grid2 width][kFieldPoints]
};

void field_forward(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, float t, float* dmean,
                   float* dcolour, int threads);
// Gradients of all tables and weights; overwrites them.
void field_backward(const Kernels& k, const FieldWeights& w, const float* xy, int64_t n, float t, const float* dmean,
                    const float* dcolour, const FieldGradients& out, int threads);

}  // namespace gsv
