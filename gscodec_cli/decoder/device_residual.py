# SPDX-License-Identifier: MIT
"""The residual of a GoP (SPEC 7.11) on a GPU, for many frames at once. Imports torch when one is made.

Sums have one order, whatever the batch, so that a frame is the same bytes in any: no product of matrices, for which
libraries choose the order by the size, and nothing is added in one place by several threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from gscodec.format.detail import BLOCK
from gscodec.format.records import DETAIL_COMPONENTS
from gscodec_cli.decoder.detail import BASIS
from gscodec_cli.decoder.residual import PIXELS, GroupCoefficients, Line, Residual, time_weights

DEPTH = DETAIL_COMPONENTS * PIXELS  # coefficients of a block in one frame
BLOCK_BYTES = 3 * 4 * DEPTH  # of a block with coefficients in a frame, while it is turned into pixels
CODED_BYTES, STRETCHED_BYTES = 12, 24  # of a coded pixel; of a pixel while lines or columns are stretched


@dataclass(frozen=True)
class Run:
    """Frames `first` to `last` - 1 of a batch are in one group, which has coefficients."""

    group: int
    first: int
    last: int


class DeviceResidual:
    """The coefficients of a GoP's residual in the GPU's memory, and how they are drawn in a view."""

    def __init__(self, residual: Residual, device: Any) -> None:
        """Copy the coefficients to a torch device."""
        from gscodec.kernels.triton.transfer import send

        self._residual, self._device, groups = residual, device, residual.groups
        counts = np.concatenate([np.bincount(group.time, minlength=residual.frames) for group in groups])
        self._ends = [0, *np.cumsum(counts).tolist()]  # of the coefficients of each group and frequency in time
        self._blocks = [0, *np.cumsum([len(group.blocks) for group in groups]).tolist()]  # ends of those of each group
        order = [np.argsort(group.time, kind="stable") for group in groups]
        place = np.concatenate([_by_block(group)[rising] for group, rising in zip(groups, order, strict=True)])
        values = np.concatenate([group.values[rising] for group, rising in zip(groups, order, strict=True)])
        row, column = np.divmod(np.concatenate([group.blocks for group in groups]), residual.grid[1])
        sent = iter(send([values, BASIS, residual.matrix, *map(_bits, (place, row, column))], device))
        self._values, self._basis, self._matrix = (next(sent) for _ in range(3))
        self._place, row, column = (_numbers(next(sent)) for _ in range(3))
        self._row, self._column = row.long(), column.long()
        self._lines, self._columns = self._sent(residual.lines), self._sent(residual.columns)

    def _sent(self, line: Line | None) -> tuple[Any, Any, Any] | None:
        from gscodec.kernels.triton.transfer import send

        if line is None:
            return None
        low, high, share = send([_bits(line[0]), _bits(line[1]), line[2]], self._device)
        return _numbers(low), _numbers(high), share

    @property
    def frame_bytes(self) -> int:
        """Memory for one frame of a batch, beside its colours."""
        residual, (height, width) = self._residual, self._residual.size
        taken = BLOCK_BYTES * max(len(group.blocks) for group in residual.groups)
        taken += CODED_BYTES * PIXELS * math.prod(residual.grid)
        if residual.lines is not None:
            height = len(residual.lines[0])
            taken += STRETCHED_BYTES * height * width
        if residual.columns is not None:
            taken += STRETCHED_BYTES * height * len(residual.columns[0])
        return taken

    def add(self, colours: Any, positions: Sequence[float]) -> None:
        """Add the residual at B frame positions in the GoP to `colours` [B, 3, height, width] float32 of the view."""
        located = [self._residual.locate(position) for position in positions]
        runs = self._runs([group for group, _ in located])
        if runs:
            picture = self._picture(runs, [inside for _, inside in located])
            colours += _stretched(_stretched(picture, self._lines, 2), self._columns, 3)

    def _runs(self, groups: list[int]) -> list[Run]:
        """The parts of a batch, of whose frames these are the groups, for which there are coefficients."""
        found, first = [], 0
        for group, frames in groupby(groups):
            last = first + len(list(frames))
            if self._blocks[group] < self._blocks[group + 1]:
                found.append(Run(group, first, last))
            first = last
        return found

    def _picture(self, runs: list[Run], inside: list[float]) -> Any:
        """[B, 3, h, w] float32 RGB in coded pixels of frames at positions `inside` their groups."""
        rows, columns = self._residual.grid
        pixels = self._pixels(runs, inside)
        picture = pixels.new_zeros(len(inside), DETAIL_COMPONENTS, rows, BLOCK, columns, BLOCK)
        by_block = picture.permute(0, 2, 4, 1, 3, 5)
        for run, part in zip(runs, pixels.split([self._size(run) for run in runs]), strict=True):
            there = slice(*self._blocks[run.group : run.group + 2])
            blocks = part.view(run.last - run.first, -1, DETAIL_COMPONENTS, BLOCK, BLOCK)
            by_block[run.first : run.last, self._row[there], self._column[there]] = blocks
        height, width = self._residual.size
        return picture.view(len(inside), DETAIL_COMPONENTS, rows * BLOCK, -1)[..., :height, :width]

    def _pixels(self, runs: list[Run], inside: list[float]) -> Any:
        """[blocks, 3, 64] float32 RGB of the blocks with coefficients, frame by frame."""
        from gscodec.kernels.triton.transfer import send

        weights = np.stack([time_weights(self._residual.frames, position) for position in inside])
        (when,) = send([weights], self._device)
        sizes = [self._size(run) for run in runs]
        coefficients = when.new_zeros(sum(sizes), DEPTH)
        for run, part in zip(runs, coefficients.split(sizes), strict=True):
            self._gather(run.group, when[run.first : run.last], part.view(run.last - run.first, -1))
        lines = _mixed(coefficients.view(-1, BLOCK, BLOCK), self._basis)
        pixels = _mixed(lines.view(-1, BLOCK, 1), self._basis)
        del lines
        return _mixed(pixels.view(-1, DETAIL_COMPONENTS, PIXELS), self._matrix)

    def _gather(self, group: int, weights: Any, out: Any) -> None:
        """Add the coefficients of a group at n times, `weights` [n, frames], to `out` [n, blocks * 192]."""
        frames = self._residual.frames
        for k in range(frames):
            there = slice(*self._ends[group * frames + k : group * frames + k + 2])
            if there.start < there.stop:  # no place is there twice, so the order of adding does not matter
                out.index_add_(1, self._place[there], weights[:, k, None] * self._values[there])

    def _size(self, run: Run) -> int:
        """Blocks with coefficients in all frames of a run."""
        return (run.last - run.first) * (self._blocks[run.group + 1] - self._blocks[run.group])


def _by_block(group: GroupCoefficients) -> np.ndarray:
    """[n] where the coefficients of a group lie in [A, 3, 64], flat."""
    component, rest = np.divmod(group.place, PIXELS * len(group.blocks))
    slot, pixel = np.divmod(rest, PIXELS)
    place: np.ndarray = slot * DEPTH + component * PIXELS + pixel
    return place


def _bits(numbers: np.ndarray) -> np.ndarray:
    """Integers below 2^31 in the bits of float32, as which alone arrays are sent; as values they would be rounded."""
    return numbers.astype(np.int32).view(np.float32)


def _numbers(bits: Any) -> Any:
    """The int32 tensor of what `_bits` has made."""
    import torch

    return bits.view(torch.int32)


def _mixed(values: Any, weights: Any) -> Any:
    """[n, q, m] of values [n, p, m] and weights [p, q]: sums over p, one after another."""
    total = values[:, :1] * weights[0, :, None]
    for k in range(1, len(weights)):
        total.addcmul_(values[:, k : k + 1], weights[k, :, None])
    return total


def _stretched(planes: Any, line: tuple[Any, Any, Any] | None, axis: int) -> Any:
    """Planes [B, 3, H, W] with the lines of one axis taken linearly."""
    if line is None:
        return planes
    low, high, share = line
    if axis == 2:
        share = share[:, None]
    return planes.index_select(axis, low).mul_(1 - share).addcmul_(planes.index_select(axis, high), share)
