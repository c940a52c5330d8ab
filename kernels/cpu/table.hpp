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

// A Gaussian made ready for drawing. With d = pixel centre - (cx, cy):
// log2 of the unshifted weight is qa*dx*dx + qb*dx*dy + qc*dy*dy, and the ellipse sigma = kCutoff
// is bounded in row dy by x = slope*dy -+ sqrt(width0 - width1*dy*dy).
struct Splat {
  float cx, cy;
  float qa, qb, qc;
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

struct Kernels {
  const char* name;
  void (*draw_band)(const Band&);
  void (*store_planar)(const Band&, float* out, int64_t plane);      // out: first pixel of the band in plane 0
  void (*store_rgb8)(const Band&, const Rgb8&);
  void (*load_planar)(const Band&, const float* in, int64_t plane);  // the opposite of store_planar; pads with zero
  void (*grad_band)(const Band&, const int64_t* slots, float* partials);  // partials: [..][kPartials]
};

}  // namespace gsv
