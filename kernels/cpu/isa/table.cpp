// SPDX-License-Identifier: MIT
// The table of one instruction set.
#include "gemm.hpp"
#include "kernels.hpp"

#define GSV_TEXT2(x) #x
#define GSV_TEXT(x) GSV_TEXT2(x)

namespace gsv {
namespace GSV_ISA {

extern const Kernels kernels;
const Kernels kernels = {
    GSV_TEXT(GSV_ISA), draw_band,       store_planar,    store_rgb8, load_planar, grad_band,       blend_loss,
    blend_detail,      filter_picture,  mixture_bits,      quantise,        active_windows, place, place_grad,  hash_encode,     hash_table_grad, hash_coord_grad, adam,   kTileRows,       field_transpose,
    field_forward,     field_backward,
};

}  // namespace GSV_ISA
}  // namespace gsv
