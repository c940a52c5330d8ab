# SPDX-License-Identifier: MIT
"""The residual of a GoP (SPEC 7.11): what is added to each frame, from cosine coefficients in space and time.

Imports numpy and the format's records.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gscodec.format.dequant import ResidualParameters
from gscodec.format.detail import BLOCK
from gscodec.format.records import DETAIL_COMPONENTS
from gscodec.format.residual import group_count, scan
from gscodec_cli.decoder.detail import BASIS

PIXELS = BLOCK * BLOCK  # of a block


def time_weights(frames: int, position: float) -> np.ndarray:
    """[frames] orthonormal cosines of a block of `frames` frames at a frame position inside it."""
    k = np.arange(frames)
    return np.sqrt(np.where(k == 0, 1, 2) / frames) * np.cos((2 * position + 1) * k * math.pi / (2 * frames))


class GroupCoefficients:
    """The coefficients of one group: of the blocks that have any, `blocks` [A] in raster order.

    place: [n] where each coefficient lies in [3, A, 64], flat, 64 by vertical and horizontal frequency; several of
    different frequency in time share one. time: [n] their frequencies in time; values: [n].
    """

    def __init__(self, parts: list[tuple[np.ndarray, np.ndarray]], frames: int) -> None:
        """parts: (index into [blocks, 64 * frames], values) of each component."""
        number = [index // (PIXELS * frames) for index, _ in parts]
        self.blocks, slot = np.unique(np.concatenate(number), return_inverse=True)
        component = np.repeat(np.arange(DETAIL_COMPONENTS), [len(part) for part in number])
        found = scan(frames)[np.concatenate([index for index, _ in parts]) % (PIXELS * frames)]
        self.time = found[:, 0].copy()
        self.place = (component * len(self.blocks) + slot) * PIXELS + BLOCK * found[:, 1] + found[:, 2]
        self.values = np.concatenate([values for _, values in parts])


class Residual:
    """The residual of a GoP for a view.

    distinct_count: frames of the GoP that are no repeats; groups: coefficients of each group of `frames` frames. grid:
    (rows, columns) of blocks; size: (height, width) in coded pixels. drawn: (width, height) of the view's whole
    picture; crop: (x, y, width, height) of the view in it.
    """

    def __init__(
        self,
        residual: ResidualParameters,
        distinct_count: int,
        matrix: np.ndarray,
        size: tuple[int, int],
        drawn: tuple[int, int],
        crop: tuple[int, int, int, int],
        dtype: Any,
    ) -> None:
        self.frames, self.matrix, self.size, self._dtype = residual.frames, matrix, size, dtype
        self.grid = -(-size[0] // BLOCK), -(-size[1] // BLOCK)
        of_group = math.prod(self.grid) * PIXELS * self.frames
        count = group_count(distinct_count, self.frames)
        self.groups = [self._group(residual, k * of_group, (k + 1) * of_group) for k in range(count)]
        x, y, width, height = crop
        self.lines = _between(y, height, size[0], size[0] / drawn[1])
        self.columns = _between(x, width, size[1], size[1] / drawn[0])

    def _group(self, residual: ResidualParameters, first: int, last: int) -> GroupCoefficients:
        parts = []
        for index, values in zip(residual.index, residual.values, strict=True):
            chosen = slice(*np.searchsorted(index, (first, last)))
            parts.append((index[chosen] - first, values[chosen]))
        return GroupCoefficients(parts, self.frames)

    def locate(self, position: float) -> tuple[int, float]:
        """(group, frame position inside it) for a frame position in the GoP."""
        group = min(max(0, math.floor((position + 0.5) / self.frames)), len(self.groups) - 1)
        return group, position - group * self.frames

    @np.errstate(over="ignore", invalid="ignore")
    def at(self, position: float) -> np.ndarray | None:
        """[3, height, width] of the view at a frame position, None where it is all 0."""
        number, inside = self.locate(position)
        group = self.groups[number]
        if len(group.blocks) == 0:
            return None
        weights = time_weights(self.frames, inside)[group.time]
        found = np.bincount(group.place, group.values * weights, DETAIL_COMPONENTS * PIXELS * len(group.blocks))
        lines = (found.reshape(-1, BLOCK) @ BASIS).reshape(-1, BLOCK, BLOCK).transpose(0, 2, 1)
        pixels = lines.reshape(-1, BLOCK) @ BASIS  # of columns
        colours = self.matrix.T @ pixels.reshape(DETAIL_COMPONENTS, -1)
        picture = np.zeros((DETAIL_COMPONENTS, self.grid[0], BLOCK, self.grid[1], BLOCK), self._dtype)
        rows, columns = np.divmod(group.blocks, self.grid[1])
        picture[:, rows, :, columns] = colours.reshape(DETAIL_COMPONENTS, -1, BLOCK, BLOCK).transpose(1, 0, 3, 2)
        whole = picture.reshape(DETAIL_COMPONENTS, self.grid[0] * BLOCK, -1)[:, : self.size[0], : self.size[1]]
        return _stretched(_stretched(whole, self.lines, 1), self.columns, 2)


Line = tuple[np.ndarray, np.ndarray, np.ndarray]  # for each output line: the two it lies between, share of the second


def _between(first: int, count: int, size: int, ratio: float) -> Line | None:
    """What `count` output lines from `first` are made of; None if they are the coded ones."""
    if first == 0 and count == size and ratio == 1:
        return None
    place = np.clip((np.arange(first, first + count) + 0.5) * ratio - 0.5, 0, size - 1)
    low = np.floor(place).astype(np.int64)
    return low, np.minimum(low + 1, size - 1), place - low


def _stretched(planes: np.ndarray, line: Line | None, axis: int) -> np.ndarray:
    """Planes [3, H, W] with the lines of one axis taken linearly."""
    if line is None:
        return planes
    low, high, share = line
    share = share.astype(planes.dtype)[:, None] if axis == 1 else share.astype(planes.dtype)
    return planes.take(low, axis) * (1 - share) + planes.take(high, axis) * share
