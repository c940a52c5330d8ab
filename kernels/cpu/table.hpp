// SPDX-License-Identifier: MIT
// The table of kernels that every instruction set provides, and the plain structures they share with the drivers.
// Nothing here may use the standard library's templates: this header is compiled with several sets of CPU flags,
// and the linker would be free to keep the copy that the running CPU cannot execute.
#pragma once
#include <cstddef>
#include <cstdint>

namespace gsv {

constexpr float kCutoff = 4.5f;                      // a Gaussian ends where sigma reaches this
constexpr float kFloor = 0.011108996538242306f;      // exp(-kCutoff), taken off every weight
constexpr int kBandHeight = 32;                      // rows drawn together; a multiple of kBlock
constexpr int kBlock = 4;                            // pixels are stored in kBlock x kBlock blocks
constexpr int kBlockPixels = kBlock * kBlock;        // one F16
constexpr int kBandStrips = kBandHeight / kBlock;
constexpr int kPartials = 12;                        // floats kept per Gaussian and band in the backward pass

// A Gaussian made ready for drawing. With d = pixel centre - (cx, cy) and u = dx - slope*dy, slope = -b/a:
// log2 of the unshifted weight is qu*u*u + qy*dy*dy. Both terms have the same sign, so a thin slanted Gaussian loses
// nothing to cancellation as it would in a*dx*dx + 2*b*dx*dy + c*dy*dy.
// The ellipse sigma = kCutoff is bounded in row dy by u = -+ sqrt(width0 - width1*dy*dy).
struct Splat {
  float cx, cy;
  float qu, qy;
  float slope, width0, width1;
  float right_dy;  // dy of the ellipse's rightmost point
  float extent_y;  // half the ellipse's height
  float feature[4];
  int32_t y0, y1;  // rows [y0, y1); empty if the Gaussian is not drawn
};

// One band of the frame and the Gaussians that touch it.
struct Band {
  const Splat* splats;
  const int32_t* ids;  // [count] indices into splats, the order in which they are drawn
  int64_t count;
  int32_t y0;          // first row
  int32_t rows;        // rows inside the frame, <= kBandHeight
  int32_t width;       // pixels
  int32_t blocks;      // ceil(width / kBlock)
  int32_t channels;    // 3 or 4
  float* buffer;       // [kBandStrips][blocks][channels][kBlockPixels]
};

struct Rgb8 {
  uint8_t* out;         // first byte of the band's first row
  int64_t stride;       // bytes per row
  float background[3];  // already multiplied by epsilon
  float epsilon;
};

// What a band of drawn sums is compared with. Blended by `epsilon` with four channels, as it is with three.
struct Target {
  const void* samples;  // first of the band's pixels in plane 0; planes are RGB
  int32_t bytes;        // per sample: 1 or 2
  float scale;          // from a sample to [0, 1]
  int64_t plane;        // samples per plane
  float background[3];
  float epsilon;
};

constexpr int kLossSums = 4;  // squared error, and its half's gradient with respect to the background

// One level of a hash grid. A vertex g has index (sum or XOR of g_d * multiplier_d) & mask.
struct HashLevel {
  int32_t resolution;
  float scale;
  int32_t dense;        // indices are summed, else XORed
  int32_t multiplier[3];
  int32_t mask;
  int64_t offset;       // first entry of the level in the table
};

struct HashGrid {
  int32_t dims;      // 2 or 3
  int32_t features;  // 1, 2, 4 or 8 per entry
  int32_t levels;
  const HashLevel* level;
  const float* table;  // [entries][features]
};

constexpr int kMixtureParts = 3;    // logistics in a mixture
constexpr int kMixtureSums = 1 + 3 * kMixtureParts;  // bits; gradients by mean, by log scale, and shares of each part

// Mixtures of logistics for `components` columns. A group is sixteen rows, `components` F16: the arrays below hold for
// each F16 of a group and each part what belongs to its lanes.
struct Mixture {
  int32_t components;
  const float* mean;     // [components][kMixtureParts][16]
  const float* inverse;  // 1 / scale
  const float* share;    // sums to one over the parts
  const float* width;    // [components][16] steps, or null: then they come with the rows
};

// Moving Gaussians at one time. Pointers are null where a model has no such parameter.
struct Placing {
  int64_t count;          // Gaussians that take part
  const int64_t* active;  // [count] their rows in the parameters, or null: all
  const float* tau;       // [tau_count] their time, tau_count is 1 or count
  int64_t tau_count;
  const float* mean;      // [..][2]
  const float* shape;     // [..][3]
  const float* colour;    // [..][3]
  const float* motion;    // [..][degree][2]
  const float* drift;     // [..][3]
  const float* window;    // [..][2]
  const float* field_mean;    // [count][2]
  const float* field_colour;  // [count][3]
  float index, edge;          // frame position; frames over which a window rises or falls
  float mean_scale, colour_scale;  // of the field
  float matrix[9];            // colour, a row, times this is RGB
  bool log_shape;
  int32_t degree;
  int32_t channels;           // 4 with the weight, 3 without
};
struct PlacedArrays {
  float* mean;     // [count][2]
  float* conic;    // [count][3]
  float* feature;  // [count][channels]
};
struct PlaceGradients {
  float *mean, *shape, *colour, *motion, *drift, *window, *field_mean, *field_colour;
};

// A picture that is added to a frame at places that move with its pixels. Column x of the frame, if it does not move,
// lies at column_start[x] - column_least[x] of the detail, counted from the centre of its first pixel: a fraction and a
// whole number, which keep more digits apart. Rows likewise.
struct DetailBlend {
  const float* drawn;   // [4][plane] sums of RGB times weight, and of the weight
  const float* moved;   // [2][plane] sums of weight times displacement
  const float* detail;  // [rows][columns][3]
  float* out;           // [3][plane]
  int32_t rows, columns;
  float background[3];  // already multiplied by epsilon
  float epsilon;
  int64_t plane;        // pixels of the frame
  int32_t width;
  float ratio_x, ratio_y;  // pixels of the detail per pixel of the frame
  const float *column_start, *column_least;  // [width], padded to a multiple of 16
  const float *row_start, *row_least;
};

constexpr int kFilterReach = 3;
constexpr int kFilterTaps = 12;
// (dy, dx) as kernels/reference_filter.py has them: half of the diamond |dx| + |dy| <= kFilterReach
constexpr int kFilterOffsets[kFilterTaps][2] = {{0, 1}, {0, 2}, {0, 3},  {1, -2}, {1, -1}, {1, 0},
                                                {1, 1}, {1, 2}, {2, -1}, {2, 0},  {2, 1},  {3, 0}};
// A tile of the picture goes through the filter as three planes, with what lies around it
constexpr int kFilterRows = 32;
constexpr int kFilterColumns = 256;
constexpr int kFilterStride = kFilterColumns + 16;  // floats from row to row
constexpr int kFilterPlane = (kFilterRows + 2 * kFilterReach) * kFilterStride;

// A filter behind the picture: pairs of taps, opposite each other, for each component of orthonormal YCC
struct PictureFilter {
  const float* picture;  // [3][height][width] RGB
  float* out;            // [3][height][width], elsewhere
  int32_t height, width;
  float weight[3][kFilterTaps];
  float own[3];          // of the pixel itself: 1 - 2 * (sum of the weights)
};

constexpr int kMostColumns = 8;

struct Quantiser {
  const float* step;  // [columns], or one for each value if columns is 0
  int32_t columns;    // values go through them in turn
  bool noise;         // of one step, in place of rounding
  uint32_t seed[2];
};

constexpr int kFieldPoints = 48;  // points that go through the network together: three F16
constexpr int kHeads = 5;         // two displacements and three colours
constexpr int kHeadRows = 8;      // padded

// Weights of the field's network as the kernels read them. `inputs` leaves out the time features: they are the same
// for all points and live in bias1. Padded sizes are multiples of 16, padding is zero. A packed matrix [M x R] is
// [ceil(M / tile_rows)][R][tile_rows].
struct FieldNet {
  int32_t inputs, inputs_padded;
  int32_t hidden, hidden_padded;
  const float* w1_packed;   // hidden x inputs
  const float* w2_packed;   // hidden x hidden
  const float* head_packed; // kHeadRows x hidden
  const float* bias1;       // [hidden_padded]
  const float* bias2;       // [hidden_padded]
  const float* bias_head;   // [kHeadRows]
  // The backward pass only:
  const float* w1;            // [hidden][inputs_padded]
  const float* w2t_packed;    // transposed: hidden x hidden
  const float* headt_packed;  // transposed: hidden x kHeadRows
};

// One block of points on its way through the network. Rows of [..][kFieldPoints] hold one feature of all points.
struct FieldBlock {
  float* x;    // [inputs_padded][kFieldPoints]
  float* xt;   // [kFieldPoints][inputs_padded]
  float* h1;   // [hidden_padded][kFieldPoints]
  float* h2;   // [hidden_padded][kFieldPoints]
  float* out;  // [kHeadRows][kFieldPoints]
  float* ht;   // [kFieldPoints][hidden_padded]
  float* d1;   // [hidden_padded][kFieldPoints]
  float* d2;   // [hidden_padded][kFieldPoints]
};

// Running sums of a group of blocks. Biases keep sixteen lanes apart until the end.
struct FieldSums {
  float* w1;     // [hidden_padded][inputs_padded]
  float* w2;     // [hidden_padded][hidden_padded]
  float* head;   // [hidden_padded][16], column = head
  float* bias1;  // [hidden_padded][16]
  float* bias2;  // [hidden_padded][16]
  float* bias_head;  // [kHeadRows][16]
};

struct AdamStep {
  float rate;         // learning rate / (1 - beta1^t)
  float root;         // 1 / sqrt(1 - beta2^t)
  float keep1, add1;  // beta1, 1 - beta1
  float keep2, add2;
  float epsilon;
};

struct Kernels {
  const char* name;
  void (*draw_band)(const Band&);
  void (*store_planar)(const Band&, float* out, int64_t plane);      // out: first pixel of the band in plane 0
  void (*store_rgb8)(const Band&, const Rgb8&);
  void (*load_planar)(const Band&, const float* in, int64_t plane);  // the opposite of store_planar; pads with zero
  void (*grad_band)(const Band&, const int64_t* slots, float* partials);  // partials: [..][kPartials]
  // Compares drawn sums with a target and puts the gradient of half the squared error in their place; 0 outside
  void (*blend_loss)(const Band&, const Target&, double* found);  // found: [kLossSums]
  // Rows [first, end) of a frame
  void (*blend_detail)(const DetailBlend&, int32_t first, int32_t end);
  // Rows [first, end), kFilterRows at most; planes: room for 3 * kFilterPlane floats
  void (*filter_picture)(const PictureFilter&, int32_t first, int32_t end, float* planes);
  // Bits of n rows x [n][components], the gradient dx, and the sums [components][kMixtureSums][16] that bind_train folds;
  // step: [n][components] where the mixture has none
  void (*mixture_bits)(const Mixture&, const float* x, const float* step, int64_t n, float* dx, float* sums);
  // Values [first, first + n) of x to out; `first` is a multiple of 16 * columns
  void (*quantise)(const Quantiser&, const float* x, int64_t first, int64_t n, float* out);
  // Rows of the windows that are open at p.index, or nearly so; returns their number
  int64_t (*active_windows)(const Placing& p, int64_t count, int64_t* active);
  // Of those that take part, [first, end)
  void (*place)(const Placing&, int64_t first, int64_t end, const PlacedArrays& out);
  void (*place_grad)(const Placing&, int64_t first, int64_t end, const PlacedArrays& grad, const PlaceGradients& out);
  // Features of n points, level by level, to out[point * stride + level * features + feature]
  void (*hash_encode)(const HashGrid&, const float* coords, int64_t n, float* out, int64_t stride);
  // Adds the gradient of one level's entries to `dtable`, point after point
  void (*hash_table_grad)(const HashGrid&, int level, const float* coords, int64_t n, const float* grad,
                          int64_t stride, float* dtable);
  void (*hash_coord_grad)(const HashGrid&, const float* coords, int64_t n, const float* grad, int64_t stride,
                          float* dcoords);
  // One step of Adam: p -= rate * m / (sqrt(v) * root + epsilon), after m and v have taken in the gradient
  void (*adam)(const AdamStep&, float* p, const float* grad, float* m, float* v, int64_t n);
  int32_t tile_rows;  // of packed matrices
  // xt columns [first, inputs) to x
  void (*field_transpose)(const FieldNet&, const FieldBlock&, int first);
  // x to h1, h2, out
  void (*field_forward)(const FieldNet&, const FieldBlock&);
  // With the activations of field_forward and the gradient of `out` in `out`: adds to the sums, and leaves the
  // gradient of the inputs in xt
  void (*field_backward)(const FieldNet&, const FieldBlock&, const FieldSums&);
};

}  // namespace gsv
