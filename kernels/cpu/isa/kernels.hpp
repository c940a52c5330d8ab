// SPDX-License-Identifier: MIT
// The kernels of one instruction set, as table.cpp collects them.
#pragma once
#include "../table.hpp"

namespace gsv {
namespace GSV_ISA {

void draw_band(const Band& band);
void store_planar(const Band& band, float* out, int64_t plane);
void store_rgb8(const Band& band, const Rgb8& target);
void load_planar(const Band& band, const float* in, int64_t plane);
void grad_band(const Band& band, const int64_t* slots, float* partials);
void blend_loss(const Band& band, const Target& target, double* found);
void blend_detail(const DetailBlend& job, int32_t first, int32_t end);
void filter_picture(const PictureFilter& job, int32_t first, int32_t end, float* planes);
void mixture_bits(const Mixture& mixture, const float* x, const float* step, int64_t n, float* dx, float* sums);
void quantise(const Quantiser& quantiser, const float* x, int64_t first, int64_t n, float* out);
int64_t active_windows(const Placing& placing, int64_t count, int64_t* active);
void place(const Placing& placing, int64_t first, int64_t end, const PlacedArrays& out);
void place_grad(const Placing& placing, int64_t first, int64_t end, const PlacedArrays& grad, const PlaceGradients& out);
void hash_encode(const HashGrid& grid, const float* coords, int64_t n, float* out, int64_t stride);
void hash_table_grad(const HashGrid& grid, int level, const float* coords, int64_t n, const float* grad, int64_t stride,
                     float* dtable);
void hash_coord_grad(const HashGrid& grid, const float* coords, int64_t n, const float* grad, int64_t stride,
                     float* dcoords);
void adam(const AdamStep& step, float* p, const float* grad, float* m, float* v, int64_t n);
void field_transpose(const FieldNet& net, const FieldBlock& block, int first);
void field_forward(const FieldNet& net, const FieldBlock& block);
void field_backward(const FieldNet& net, const FieldBlock& block, const FieldSums& sums);

}  // namespace GSV_ISA
}  // namespace gsv
