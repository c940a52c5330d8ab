# SPDX-License-Identifier: MIT
"""Windows, motion and colour of all Gaussians of a GoP at several times (SPEC 7.7). Imports torch and triton."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import INTERPRETED, launch, tensor
from .splats import Splats

_BLOCK = 1024 if INTERPRETED else 128


@dataclass(frozen=True)
class Moving:
    """N Gaussians in pixels of the picture and in RGB, and what time does to them; float32 tensors on one device.

    mean [N, 2], conic [N, 3], colour [N, 3]; motion [N, K, 2], coefficients of tau^1 to tau^K, or None; drift [N, 3]
    per tau or None; life [N, 3] = (birth, death, centre) in frames, or None, and its edge in frames. frame_count:
    frames of the GoP. scale: (x, y) pixels of the picture per coded pixel; matrix [3, 3]: rgb = coded colour @ matrix;
    both apply to what the field gives. weighted: the feature has a fourth number, the weight. centre: (x, y) px from
    which the maps of a camera measure. Raises ShapeError, BackendError.
    """

    mean: Tensor
    conic: Tensor
    colour: Tensor
    motion: Tensor | None
    drift: Tensor | None
    life: Tensor | None
    edge: float
    frame_count: int
    scale: tuple[float, float]
    matrix: Tensor
    weighted: bool
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        count = len(self.mean)
        shapes: dict[str, tuple[int | None, ...]] = {
            "mean": (count, 2),
            "conic": (count, 3),
            "colour": (count, 3),
            "drift": (count, 3),
        }
        shapes |= {"life": (count, 3), "matrix": (3, 3), "motion": (count, None, 2)}
        for name, shape in shapes.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tensor(name, getattr(self, name), shape))


@triton.jit(do_not_specialize=["points"])
def _place(
    mean, conic, colour, motion, drift, life, heads, maps, matrix, positions, out_mean, out_conic, out_feature,
    points, edge, frames, scale_x, scale_y, centre_x, centre_y,
    DEGREE: tl.constexpr, DRIFT: tl.constexpr, LIFE: tl.constexpr, FIELD: tl.constexpr, CAMERA: tl.constexpr,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    frame = tl.program_id(1).to(tl.int64)
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here, p = n < points, frame * points + n
    position = tl.load(positions + frame)
    weight, tau = tl.full([BLOCK], 1.0, tl.float32), tl.zeros([BLOCK], tl.float32) + 2 / frames * position
    if LIFE:
        birth, death = tl.load(life + 3 * n, here, 0.0), tl.load(life + 3 * n + 1, here, 0.0)
        inside = tl.minimum(tl.maximum(position, 0.0), frames - 1)
        rise = tl.minimum(tl.maximum((inside - birth) / edge + 0.5, 0.0), 1.0)
        weight = rise * tl.minimum(tl.maximum((death - inside) / edge + 0.5, 0.0), 1.0)
        tau = 2 / frames * (position - tl.load(life + 3 * n + 2, here, 0.0))
    x, y = tl.load(mean + 2 * n, here, 0.0), tl.load(mean + 2 * n + 1, here, 0.0)
    if DEGREE > 0:
        along_x, along_y = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
        for k in tl.static_range(DEGREE):
            at = motion + (n * DEGREE + DEGREE - 1 - k) * 2
            along_x, along_y = tl.load(at, here, 0.0) + along_x * tau, tl.load(at + 1, here, 0.0) + along_y * tau
        x, y = x + along_x * tau, y + along_y * tau
    if FIELD:
        x += tl.load(heads + 5 * p, here, 0.0) * scale_x
        y += tl.load(heads + 5 * p + 1, here, 0.0) * scale_y
    if CAMERA:
        line, from_x, from_y = maps + 6 * frame, x - centre_x, y - centre_y
        x += tl.load(line) + tl.load(line + 1) * from_x + tl.load(line + 2) * from_y
        y += tl.load(line + 3) + tl.load(line + 4) * from_x + tl.load(line + 5) * from_y
    # what does not live is not drawn: a mean that is not a number keeps it out of the tiles
    tl.store(out_mean + 2 * p, tl.where(weight > 0, x, float("nan")), here)
    tl.store(out_mean + 2 * p + 1, y, here)
    for c in tl.static_range(3):
        tl.store(out_conic + 3 * p + c, tl.load(conic + 3 * n + c, here, 0.0), here)
        value = tl.load(colour + 3 * n + c, here, 0.0)
        if DRIFT:
            value += tl.load(drift + 3 * n + c, here, 0.0) * tau
        if FIELD:
            for k in tl.static_range(3):
                value += tl.load(heads + 5 * p + 2 + k, here, 0.0) * tl.load(matrix + 3 * k + c)
        tl.store(out_feature + CHANNELS * p + c, value * weight, here)
    if CHANNELS == 4:
        tl.store(out_feature + CHANNELS * p + 3, weight, here)


def place(moving: Moving, positions: Tensor, heads: Tensor | None = None, camera: Tensor | None = None) -> Splats:
    """The Gaussians at frame positions [B] of the GoP, float32, ready to be drawn; each frame has N.

    heads: [B, N, 5], what the field adds to means, in coded pixels, and to colours in the coded colour space. camera:
    maps [B, 2, 3] that take a place p to p + map @ (1, p - centre). A Gaussian whose window is closed gets a mean that
    is not a number, so that it is not drawn. Raises ShapeError, BackendError.
    """
    positions = tensor("positions", positions, (None,))
    frames, points = len(positions), len(moving.mean)
    channels, empty = 3 + moving.weighted, moving.mean
    offsets = empty if heads is None else tensor("heads", heads, (frames, points, 5))
    maps = empty if camera is None else tensor("camera", camera, (frames, 2, 3))
    mean, conic = (torch.empty(frames, points, columns, device=empty.device) for columns in (2, 3))
    feature = torch.empty(frames, points, channels, device=empty.device)
    optional = [empty if part is None else part for part in (moving.motion, moving.drift, moving.life)]
    given = moving.mean, moving.conic, moving.colour, *optional, offsets, maps, moving.matrix, positions
    settings = {"DRIFT": moving.drift is not None, "LIFE": moving.life is not None, "FIELD": heads is not None}
    settings["CAMERA"] = camera is not None
    degree = 0 if moving.motion is None else moving.motion.shape[1]
    numbers = points, float(moving.edge), float(moving.frame_count), *map(float, (*moving.scale, *moving.centre))
    grid = (triton.cdiv(points, _BLOCK), frames)
    launch(
        _place, grid, *given, mean, conic, feature, *numbers, DEGREE=degree, CHANNELS=channels, BLOCK=_BLOCK, **settings
    )
    return Splats.of(mean, conic, feature)
