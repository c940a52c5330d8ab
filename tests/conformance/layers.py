# SPDX-License-Identifier: MIT
"""The conformance vectors of what is added to Gaussians, and of repeats, also in predicted GoPs; named as the files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gscodec.format.records import (
    BLEND_NORMALISED,
    COLOUR_YCC,
    NORM_ENERGY,
    DetailData,
    DriftData,
    FilterData,
    GopRecord,
    ResidualData,
)
from tests.conformance.build import (
    Vector,
    camera,
    colours,
    detail,
    field,
    gop,
    grid,
    header,
    log_shapes,
    means,
    more_detail,
    motion,
    plain,
    residual,
    smoothing,
    uniform,
    vector,
    windows,
)
from tests.conformance.chains import every, follow
from tests.conformance.numbers import Numbers

BLENDING = {"blend_mode": BLEND_NORMALISED, "background": (0.25, 0.5, 0.375), "blend_epsilon": 0.0625}


def whole_gop(n: Numbers, size: tuple[int, int], first: int, frames: int, count: int, **tools: Any) -> GopRecord:
    """A GoP with motion, windows, drift and normalised blending beside the `tools` that are given."""
    colour = colours(n, count, colour_space=COLOUR_YCC, colour_norm=NORM_ENERGY)
    tools |= {"motion": motion(n, count, 1), "window": windows(n, count, frames), **BLENDING}
    tools["drift"] = DriftData(uniform(n.peaked(5, count, 3), 0.03125))
    return gop(first, frames, means(n, count, size), log_shapes(n, count), colour, **tools)


@vector
def detailed() -> Vector:
    """Details of both types: alone, without Gaussians, after one, going on from one; with all tools; 37 x 21 pixels."""
    n, size = Numbers(32), (37, 21)
    sequence = header(30, size, max_gop_frames=4, max_entry_distance=14)
    alone = partial(whole_gop, n, size)

    gops = [plain(n, 0, 1, 20, size, detail=detail(n, size), **BLENDING)]
    gops.append(plain(n, 1, 3, 0, size, detail=detail(n, size, 64), **BLENDING))
    small = field(n, grid(2, 2, 2, 5), grid(3, 2, 2, 5), 1, 8, 0.015625)
    first = detail(n, size)
    gops.append(alone(4, 4, 50, detail=first, camera=camera(n, 4), field=small))
    second = more_detail(n, first, size)
    for fresh in (
        alone(8, 3, 12, detail=second, camera=camera(n, 3)),
        alone(11, 2, 8, detail=more_detail(n, second, size), field=small),
        alone(13, 2, 8, detail=detail(n, size)),
        alone(15, 1, 8),
        alone(16, 2, 8, detail=detail(n, size)),
    ):
        gops.append(follow(n, sequence, gops[-1], fresh, every(1)))
    gops.append(plain(n, 18, 2, 20, size, motion=motion(n, 20, 1), detail=detail(n, size, moving=False), **BLENDING))
    still = detail(n, size, moving=False)
    gops.append(alone(20, 4, 40, detail=still, camera=camera(n, 4), field=small))
    moves = more_detail(n, still, size)
    stops = more_detail(n, moves, size, moving=False)
    for fresh in (
        alone(24, 2, 10, detail=moves, camera=camera(n, 2)),
        alone(26, 3, 10, detail=stops, field=small),
        alone(29, 1, 0, detail=more_detail(n, stops, size, moving=False)),
    ):
        gops.append(follow(n, sequence, gops[-1], fresh, every(1)))
    return sequence, gops


@vector
def textured() -> Vector:
    """A detail with enough blocks for tables by class; another that goes on from it."""
    n, size = Numbers(33), (160, 120)
    sequence = header(2, size, max_gop_frames=1, max_entry_distance=2)
    blending = {"blend_mode": BLEND_NORMALISED, "blend_epsilon": 0.25}
    busy = n.below(6, 1, 15, 20, 1)
    symbols = n.peaked(2, 3, 15, 20, 64) << 8 * n.below(2, 3, 15, 20, 1)
    whole = DetailData((0.0009765625, 0.00048828125), np.where(np.arange(64) < 7 + busy // 2, symbols, 0))
    gops = [plain(n, 0, 1, 30, size, detail=whole, **blending)]
    more = more_detail(n, whole, size)
    change = np.where(np.arange(64) < busy, n.peaked(1, 3, 15, 20, 64) * busy, 0)
    fresh = plain(n, 1, 1, 5, size, detail=replace(more, symbols=more.symbols + change), **blending)
    return sequence, [*gops, follow(n, sequence, gops[0], fresh, every(1))]


@vector
def residual_blocks() -> Vector:
    """Residuals alone, with all tools, beyond the GoP's end, on plain sums, without Gaussians; 37 x 21 pixels."""
    n, size = Numbers(34), (37, 21)
    sequence = header(17, size, max_gop_frames=5, max_entry_distance=8)
    whole = partial(whole_gop, n, size)

    gops = [plain(n, 0, 5, 20, size, residual=residual(n, 5, 2, size), **BLENDING)]
    gops.append(plain(n, 5, 3, 20, size, residual=residual(n, 3, 1, size)))
    gops.append(plain(n, 8, 1, 0, size, residual=residual(n, 1, 64, size)))
    tools = {"detail": detail(n, size), "camera": camera(n, 4)}
    gops.append(whole(9, 4, 40, residual=residual(n, 4, 4, size), **tools))
    fresh = whole(13, 4, 9, residual=residual(n, 4, 3, size), detail=detail(n, size, moving=False), camera=camera(n, 4))
    return sequence, [*gops, follow(n, sequence, gops[-1], fresh, every(1))]


@vector
def residual_long() -> Vector:
    """A residual in a group of 64 frames, longer than the GoP, with one coefficient, in u."""
    n, size, nothing = Numbers(36), (80, 80), np.zeros(0, np.int64)
    few = ResidualData(
        64, (0.125, 0.0625), (nothing, np.array([4096 * 33]), nothing), (nothing, np.array([9]), nothing)
    )
    return header(2, size, max_gop_frames=2), [plain(n, 0, 2, 10, size, residual=few)]


@vector
def residual_classes() -> Vector:
    """A residual with enough blocks for tables by class."""
    n, size = Numbers(35), (160, 120)
    blending = {"blend_mode": BLEND_NORMALISED, "blend_epsilon": 0.25}
    first = plain(n, 0, 3, 30, size, residual=residual(n, 3, 2, size, rare=2), **blending)
    return header(3, size, max_gop_frames=3), [first]


@vector
def filtered() -> Vector:
    """Filters on plain sums, without Gaussians, with detail and residual, in a predicted GoP; 37 x 21 pixels."""
    n, size = Numbers(37), (37, 21)
    sequence = header(9, size, max_gop_frames=3, max_entry_distance=6)
    whole = partial(whole_gop, n, size)
    gops = [plain(n, 0, 2, 20, size, filter=smoothing(n))]
    gops.append(plain(n, 2, 1, 0, size, filter=smoothing(n), residual=residual(n, 1, 1, size)))
    gops.append(whole(3, 3, 40, filter=smoothing(n), detail=detail(n, size), residual=residual(n, 3, 2, size)))
    return sequence, [*gops, follow(n, sequence, gops[-1], whole(6, 3, 9, filter=smoothing(n)), every(1))]


@vector
def filtered_small() -> Vector:
    """A picture smaller than the filter's reach; a filter of weights that are all 0."""
    n, size = Numbers(38), (2, 1)
    still = FilterData(np.zeros((3, 12), np.int64))
    gops = [plain(n, 0, 1, 3, size, filter=smoothing(n)), plain(n, 1, 1, 3, size, filter=still)]
    return header(2, size, max_gop_frames=1), gops


@vector
def repeated() -> Vector:
    """Repeats with all tools, in predicted GoPs, in GoPs of nothing else; time stamps in the GoPs; 37 x 21 pixels."""
    n, size = Numbers(39), (37, 21)
    time = {"frame_duration": 0, "start_pts": 5, "max_entry_distance": 20}
    sequence = header(25, size, max_gop_frames=9, **time)

    def whole(first: int, frames: int, count: int, repeats: tuple[int, ...], **tools: Any) -> GopRecord:
        pts = tuple(5 + 10 * frame for frame in range(first, first + frames))
        distinct = frames - len(repeats)
        seen = whole_gop(n, size, first, distinct, count, camera=camera(n, distinct), **tools)
        return replace(seen, frame_count=frames, pts=pts, repeats=repeats)

    small = field(n, grid(2, 2, 2, 5), grid(3, 2, 2, 5), 1, 8, 0.015625)
    added = {"detail": detail(n, size), "residual": residual(n, 6, 2, size), "filter": smoothing(n)}
    gops = [whole(0, 9, 40, (1, 4, 5), field=small, **added)]
    gops.append(follow(n, sequence, gops[-1], whole(9, 7, 8, (6,), field=small), every(1)))
    gops.append(follow(n, sequence, gops[-1], whole(16, 4, 8, (1, 2, 3)), every(1)))
    gops.append(plain(n, 20, 5, 20, size, pts=(205, 215, 225, 235, 245), repeats=(1, 2, 3, 4)))
    return sequence, gops
