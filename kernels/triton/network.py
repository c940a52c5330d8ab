# SPDX-License-Identifier: MIT
"""The network of the field in one kernel, for decoding. Imports torch and triton.

A program takes the points of a block in one frame. Sixteen units of the first layer at a time are computed and go into
all of the second at once, so that no layer is ever written to memory and a thread keeps little more than its part of
the second in registers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import INTERPRETED, launch

MAX_FUSED = 128  # hidden units; more spill out of the registers of a program
_POINTS = 1024 if INTERPRETED else 128
_GROUP = 16  # units of the first layer at a time, the least that tl.dot takes


@triton.jit(do_not_specialize=["points"])
def _heads(
    features, fixed, of_time, w_dynamic, w2, b2, head, bias, out, points, hidden, width,
    POINTS: tl.constexpr, HIDDEN: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    frame = tl.program_id(1).to(tl.int64)
    n = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    here, p = n < points, frame * points + n
    unit, column = tl.arange(0, HIDDEN), tl.arange(0, WIDTH)
    used, known = unit < hidden, column < width
    feature = tl.load(features + p[:, None] * width + column[None, :], here[:, None] & known[None, :], 0.0)
    second = tl.zeros([POINTS, HIDDEN], tl.float32) + tl.load(b2 + unit, used, 0.0)[None, :]
    for start in range(0, hidden, GROUP):
        group = start + tl.arange(0, GROUP)
        there = group < hidden
        weight = tl.load(w_dynamic + group[None, :] * width + column[:, None], known[:, None] & there[None, :], 0.0)
        first = tl.load(fixed + n[:, None] * hidden + group[None, :], here[:, None] & there[None, :], 0.0)
        first += tl.load(of_time + frame * hidden + group, there, 0.0)[None, :]
        first = tl.maximum(tl.dot(feature, weight, first, input_precision="ieee"), 0.0)
        weight = tl.load(w2 + unit[None, :] * hidden + group[:, None], there[:, None] & used[None, :], 0.0)
        second = tl.dot(first, weight, second, input_precision="ieee")
    second = tl.maximum(second, 0.0)
    for k in tl.static_range(5):
        row = tl.load(head + k * hidden + unit, used, 0.0)
        tl.store(out + 5 * p + k, tl.sum(second * row[None, :], 1) + tl.load(bias + k), here)


def fused_heads(
    features: Tensor,  # [B * N, width] of the 3D grid, frame after frame
    fixed: Tensor,  # [N, hidden] what the 2D grid and the bias give to the first layer
    of_time: Tensor,  # [B, hidden] what the sines of the time give to it
    w_dynamic: Tensor,  # [hidden, width]
    w2: Tensor,
    b2: Tensor,
    head: Tensor,  # [5, hidden]
    bias: Tensor,  # [5]
) -> Tensor:
    """Both heads, [B, N, 5] float32; hidden is at most MAX_FUSED."""
    frames, points, hidden, width = len(of_time), len(fixed), len(b2), features.shape[1]
    out = torch.empty(frames, points, 5, device=features.device)
    arrays = features, fixed, of_time, w_dynamic, w2, b2, head, bias, out
    wide, high = (max(16, triton.next_power_of_2(count)) for count in (width, hidden))
    grid = (triton.cdiv(points, _POINTS), frames)
    settings = {"POINTS": _POINTS, "HIDDEN": high, "WIDTH": wide, "GROUP": _GROUP, "num_warps": 8}
    launch(_heads, grid, *arrays, points, hidden, width, **settings)
    return out
