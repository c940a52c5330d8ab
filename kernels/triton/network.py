# SPDX-License-Identifier: MIT
"""Hash encoding and network of the field in one kernel, for decoding. Imports torch and triton.

A program takes 64 points of one frame. Features go into the first layer as they are looked up, one column of weights
each; the second layer is computed 16 units at a time, and each group goes into the heads at once, so that no layer is
ever written to memory.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.constants import HASH_PRIMES
from gscodec.kernels.encoding import HashGeometry

from .hashing import cells_of, levels_of, vertex, weight_of
from .launch import INTERPRETED, launch

MAX_FUSED = 128  # hidden units; more spill out of the registers of a program
_POINTS = 1024 if INTERPRETED else 64
_GROUP = 16  # hidden units at a time
_HEADS = 16  # five, filled up to what tl.dot takes


@triton.jit(do_not_specialize=["points"])
def _heads(
    places, times, table, numbers, scales, fixed, of_time, w_dynamic, w2, b2, head, bias, out,
    points, level_count, hidden, width,
    F: tl.constexpr, P1: tl.constexpr, P2: tl.constexpr, POINTS: tl.constexpr, HIDDEN: tl.constexpr,
    GROUP: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    frame = tl.program_id(1).to(tl.int64)
    n = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    here, p = n < points, frame * points + n
    unit = tl.arange(0, HIDDEN)
    used = unit < hidden
    layer = tl.load(fixed + n[:, None] * hidden + unit[None, :], here[:, None] & used[None, :], 0.0)
    layer += tl.load(of_time + frame * hidden + unit, used, 0.0)[None, :]
    for level in range(level_count):
        grid, cells, fractions, slopes = cells_of(places, times, numbers, scales, level, p, here, points, 3, True)
        for k in tl.static_range(F):
            feature = tl.zeros([POINTS], tl.float32)
            for corner in tl.static_range(8):
                row = vertex(*cells, *grid, corner, 3, P1, P2)
                feature += weight_of(fractions, slopes, corner, 3) * tl.load(table + row * F + k, here, 0.0)
            column = tl.load(w_dynamic + unit * width + level * F + k, used, 0.0)
            layer += feature[:, None] * column[None, :]
    layer = tl.maximum(layer, 0.0)
    slot = tl.arange(0, HEADS)
    total = tl.zeros([POINTS, HEADS], tl.float32) + tl.load(bias + slot, slot < 5, 0.0)[None, :]
    for start in range(0, hidden, GROUP):
        group = start + tl.arange(0, GROUP)
        known = group < hidden
        block = tl.load(w2 + group[None, :] * hidden + unit[:, None], known[None, :] & used[:, None], 0.0)
        second = tl.dot(layer, block, input_precision="ieee") + tl.load(b2 + group, known, 0.0)[None, :]
        ends = tl.load(head + slot[None, :] * hidden + group[:, None], known[:, None] & (slot < 5)[None, :], 0.0)
        total += tl.dot(tl.maximum(second, 0.0), ends, input_precision="ieee")
    tl.store(out + p[:, None] * 5 + slot[None, :], total, here[:, None] & (slot < 5)[None, :])


def fused_heads(
    places: Tensor,  # [N, 2] coordinates in the grid
    times: Tensor,  # [B] coordinates in the grid
    table: Tensor,  # [entries, F] of the 3D grid
    geometry: HashGeometry,
    fixed: Tensor,  # [N, hidden] what grid 2 and the bias give to the first layer
    of_time: Tensor,  # [B, hidden] what the sines of the time give to it
    w_dynamic: Tensor,  # [hidden, features of the 3D grid]
    w2: Tensor,
    b2: Tensor,
    head: Tensor,  # [5, hidden]
    bias: Tensor,  # [5]
) -> Tensor:
    """Both heads before scaling, [B, N, 5] float32; hidden is at most MAX_FUSED."""
    points, hidden = len(places), len(b2)
    levels = levels_of(geometry, places.device)
    out = torch.empty(len(times), points, 5, device=places.device)
    arrays = places, times, table, levels.numbers, levels.scales, fixed, of_time, w_dynamic, w2, b2, head, bias, out
    sizes = points, geometry.level_count, hidden, geometry.width
    settings = {"F": geometry.feature_count, "P1": HASH_PRIMES[1], "P2": HASH_PRIMES[2], "POINTS": _POINTS}
    wide = max(16, triton.next_power_of_2(hidden))
    grid = (triton.cdiv(points, _POINTS), len(times))
    launch(_heads, grid, *arrays, *sizes, **settings, HIDDEN=wide, GROUP=_GROUP, HEADS=_HEADS, num_warps=8)
    return out
