# SPDX-License-Identifier: MIT
"""What frames miss as cosine coefficients in space and time, a few lines of the frames after the other.

A GoP of 32 frames of 1920x1080 misses 800 MB of numbers: no second array of that size is made. Must not import the
verbs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gscodec.format.detail import BLOCK
from gscodec.format.records import DETAIL_COMPONENTS
from gscodec.format.residual import group_count, scan
from gscodec_cli.decoder.detail import BASIS
from gscodec_cli.decoder.residual import time_weights
from gscodec_cli.decoder.view import YCC_TO_RGB
from gscodec_cli.encoder.blocks import blocks_of

Floats = NDArray[np.float32]
PART = 1 << 22  # numbers of the frames that are looked at at once


class Coefficients(NamedTuple):
    """Those of one component. blocks: of all groups; number: [A] of the blocks that are kept, values: [A, 64 * frames],
    share: [A] of their frames that are frames of the GoP.

    The order is the file's (SPEC 6.22).
    """

    blocks: int
    number: NDArray[np.int64]
    values: Floats
    share: Floats

    def place(self, where: NDArray[np.int64]) -> NDArray[np.int64]:
        """Flat indices into the kept values as those into the values of all blocks."""
        depth = self.values.shape[1]
        return self.number[where // depth] * depth + where % depth


def coefficients(missing: Floats, frames: int, least: float) -> list[Coefficients]:
    """Of each component of `missing` [T, H, W, 3] RGB, in groups of so many frames, the blocks that reach `least`."""
    found: list[list[tuple[NDArray[np.int64], Floats]]] = [[] for _ in range(DETAIL_COMPONENTS)]
    first, (rows, columns) = 0, (-(-side // BLOCK) for side in missing.shape[1:3])
    share, of_group = shares(len(missing), frames), rows * columns
    for lines in stripes(missing):
        for component, parts in enumerate(found):
            blocks = _over_time(spatial(lines, component), frames)
            group, block = np.nonzero(np.maximum(blocks.max(2), -blocks.min(2)) >= least)
            parts.append((group * of_group + first + block, blocks[group, block]))
        first += blocks.shape[1]
    return [_sorted(of_group, share, parts) for parts in found]


def _sorted(of_group: int, share: Floats, parts: list[tuple[NDArray[np.int64], Floats]]) -> Coefficients:
    number = np.concatenate([number for number, _ in parts])
    order = np.argsort(number, kind="stable")
    number, values = number[order], np.concatenate([values for _, values in parts])[order]
    return Coefficients(len(share) * of_group, number, values, share[number // of_group])


def shares(count: int, frames: int) -> Floats:
    """[groups] what share of each group's frames are among the `count` frames of a GoP: the last may go beyond it."""
    found = np.ones(group_count(count, frames), np.float32)
    found[-1] -= (len(found) * frames - count) / frames
    return found


def stripes(missing: Floats) -> Iterator[Floats]:
    """Whole lines of blocks of `missing` [T, H, W, 3], from the top."""
    count, height, width, _ = missing.shape
    lines = max(1, PART // (count * width * BLOCK)) * BLOCK
    for first in range(0, height, lines):
        yield missing[:, first : first + lines]


def spatial(missing: Floats, component: int) -> Floats:
    """[T, blocks, 64] cosine coefficients of one component of each frame, 64 by vertical and horizontal frequency."""
    axis, basis = YCC_TO_RGB[component].astype(np.float32), BASIS.astype(np.float32)
    found = []
    for frame in missing:
        blocks = blocks_of((frame @ axis)[..., None])[0]
        lines = (blocks.reshape(-1, 8) @ basis.T).reshape(-1, 8, 8).transpose(0, 2, 1)
        found.append((lines.reshape(-1, 8) @ basis.T).reshape(-1, 8, 8).transpose(0, 2, 1).reshape(-1, 64))
    return np.stack(found)


def temporal(blocks: Floats, frames: int) -> Floats:
    """[groups, frames, blocks * 64] of [T, blocks, 64]: frequencies in time; the last frame is repeated."""
    groups = group_count(len(blocks), frames)
    padded = np.concatenate([blocks, np.repeat(blocks[-1:], groups * frames - len(blocks), axis=0)])
    basis = np.stack([time_weights(frames, t) for t in range(frames)], 1).astype(np.float32)
    found: Floats = basis @ padded.reshape(groups, frames, -1)
    return found


def _over_time(blocks: Floats, frames: int) -> Floats:
    """[groups, blocks, 64 * frames] of [T, blocks, 64], in the order of the file."""
    found = temporal(blocks, frames)
    groups, count = len(found), blocks.shape[1]
    k, v, u = scan(frames).T
    ordered = found.reshape(groups, frames, count, 64).transpose(0, 2, 1, 3).reshape(groups, count, -1)
    return ordered[..., 64 * k + 8 * v + u]
