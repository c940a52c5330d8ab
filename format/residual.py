# SPDX-License-Identifier: MIT
"""residual_data() of SPEC 5.22, in both directions: what is still missing of each frame of a GoP, as blocks over time.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np

from . import entropy, validate_residual
from .contexts import Columns
from .detail import BLOCK, block_grid
from .limits import Limits
from .records import DETAIL_COMPONENTS, Int64, ResidualData, SequenceHeader
from .schema import F32, FieldStream, Values
from .validate_detail import BLOCK_NUMBERS

# Blocks of even or odd rows and columns, in the order in which their counts are coded: the later ones have neighbours.
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
Part = tuple[Int64, Int64]  # indices and values
NOTHING: Part = (np.zeros(0, np.int64), np.zeros(0, np.int64))
BLOCK_BYTES = 350  # rough memory per block of all groups while a residual is read
VALUE_BYTES = 16  # of a coefficient other than 0, kept
COEFFICIENT_BYTES = 100  # rough memory per coded coefficient while they are read: its symbol and columns


@cache
def scan(frames: int) -> Int64:
    """[64 * frames, 3] frequencies (K in time, V, U) of a block's coefficients, by their sum, then K, then V."""
    k, v, u = np.unravel_index(np.arange(frames * BLOCK_NUMBERS), (frames, BLOCK, BLOCK))
    order = np.lexsort((v, k, k + v + u))
    return np.stack([k, v, u], 1)[order]


@cache
def _parents(frames: int) -> Int64:
    """[3, 64 * frames] numbers of the coefficients one frequency lower in time, down and across; -1 where none is."""
    found = scan(frames)
    place = np.full((frames + 1, BLOCK + 1, BLOCK + 1), -1)
    place[tuple(found.T)] = np.arange(len(found))
    return np.stack([place[tuple((found - np.eye(3, dtype=np.int64)[axis]).T)] for axis in range(3)])


@cache
def _diagonals(frames: int) -> Int64:
    """Numbers of the first coefficients of each sum of frequencies, and behind the last one their count."""
    sums = scan(frames).sum(1)
    return np.searchsorted(sums, np.arange(sums[-1] + 2))


def group_count(frame_count: int, group: int) -> int:
    """Groups of `group` frames that a GoP has; the last one may go on beyond its end."""
    return -(-frame_count // group)


def residual_data(
    io: FieldStream, header: SequenceHeader, frame_count: int, group: int, r: ResidualData | None, limits: Limits
) -> ResidualData:
    """Transfer the residual of a GoP of `frame_count` frames in groups of `group`."""
    v: Values = {} if r is None else {"residual_step": r.steps}
    steps = tuple(io.fields(v, "residual_step", F32, 2))
    for step in steps:
        validate_residual.residual_step(io.place, step)
    coder = _Coder(io, (group_count(frame_count, group), *block_grid(header)), group, limits)
    sources: list[Part | None] = [None] * DETAIL_COMPONENTS
    if r is not None:
        sources = [(index, values.astype(np.int64)) for index, values in zip(r.index, r.values, strict=True)]
    parts = [coder.component(f"component[{c}]", source) for c, source in enumerate(sources)]
    if r is not None:
        validate_residual.counts_have_bytes(io.place, coder.coded, len(io.getvalue()))
    return r or ResidualData(group, steps, tuple(i for i, _ in parts), tuple(x.astype(np.int32) for _, x in parts))


def residual_bytes(header: SequenceHeader, frame_count: int, residual: ResidualData) -> int:
    """Bytes that a residual takes in a GoP of so many frames; measured by writing."""
    io = FieldStream()
    residual_data(io, header, frame_count, residual.frames, residual, Limits())
    return len(io.getvalue())


class _Coder:
    """Transfers the components of one residual, each of which knows those before it.

    A block has its number in [groups, rows, columns], flat.
    """

    def __init__(self, io: FieldStream, shape: tuple[int, int, int], group: int, limits: Limits) -> None:
        self._io, self._shape, self._group, self._limits = io, shape, group, limits
        self._blocks, self._depth = math.prod(shape), BLOCK_NUMBERS * group
        self._looks: list[Int64] = []  # [groups, rows, columns] what the counts of each component so far say
        self._found: list[_Lookup] = []  # of each component so far
        self._bytes = BLOCK_BYTES * self._blocks
        self.coded = 0  # coefficients, of all components so far

    def component(self, name: str, source: Part | None) -> Part:
        """Transfer a component: (rising indices into [blocks, coefficients of a block], values other than 0)."""
        with self._io.scope(name):
            ends = self._ends(source)
            self.coded += int(ends.sum())
            if self._io.reading:
                validate_residual.counts_have_bytes(self._io.place, self.coded, self._io.payload_length)
            self._limits.check("memory", self._bytes + COEFFICIENT_BYTES * int(ends.sum()))
            lengths = lengths_of(ends).reshape(self._shape)
            near = neighbours(lengths)
            found = self._coefficients(ends, lengths.reshape(-1), near.reshape(-1), source)
        self._looks += [lengths, near]
        self._found.append(_Lookup(*found))
        self._bytes += VALUE_BYTES * len(found[0])
        return found

    def _ends(self, source: Part | None) -> Int64:
        """Transfer how many coefficients of each block are coded, in four phases."""
        ends = np.zeros(self._blocks, np.int64)
        if source is not None:
            block, number = np.divmod(source[0], self._depth)
            ends[block] = number + 1  # the last of each block stays
        ends = ends.reshape(self._shape)
        known = np.zeros_like(ends)
        for phase, (row, column) in enumerate(PHASES):
            part = slice(None), slice(row, None, 2), slice(column, None, 2)
            looks = [neighbours(known)[part], *(look[part] for look in self._looks)]
            wanted = None if source is None else ends[part].reshape(-1)
            count = looks[0].size
            found = entropy.plane(self._io, f"coded_count[{phase}]", wanted, count, _flat(looks))
            if count:
                validate_residual.coded_count(self._io.place, int(found.min()), int(found.max()), self._depth)
            ends[part] = found.reshape(ends[part].shape)
            known[part] = lengths_of(ends[part])
        return ends.reshape(-1)

    def _coefficients(self, ends: Int64, length: Int64, near: Int64, source: Part | None) -> Part:
        """Transfer the coefficients of blocks that have so many, diagonal by diagonal.

        length, near: what these numbers, and those around each block, say.
        """
        sums, live = np.zeros(self._blocks, np.int64), np.flatnonzero(ends)
        in_time, parents, firsts = scan(self._group)[:, 0], _parents(self._group), _diagonals(self._group)
        wanted = None if source is None else _Lookup(*source)
        last = _Lookup(*NOTHING)  # the diagonal before
        found = [NOTHING]
        for first, end in pairwise(firsts.tolist()):
            live = live[ends[live] > first]
            if len(live) == 0:
                break
            there = [live[ends[live] > number] for number in range(first, end)]
            block = np.concatenate(there)
            number = np.repeat(np.arange(first, end), [len(part) for part in there])
            at = block * self._depth
            lower = [np.where(p[number] < 0, 0, np.abs(last(at + p[number]))) for p in parents]
            looks = [length[block], near[block], lengths_of(sums[block]), lengths_of(ends[block] - number)]
            looks += [in_time[number], lower[0] + lower[1] + lower[2]]
            looks += [np.abs(other(at + number)) for other in self._found]
            chosen = None if wanted is None else wanted(at + number)
            name = f"diagonal[{len(found) - 1}]"
            values = entropy.plane(self._io, name, chosen, len(block), _flat(looks))
            np.add.at(sums, block, np.abs(values))
            found.append(_rising(at + number, values))
            last = _Lookup(*found[-1])
        index, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return _rising(index, values)


class _Lookup:
    """Values at rising indices, 0 elsewhere."""

    def __init__(self, index: Int64, values: Int64) -> None:
        self._index, self._values = index, values

    def __call__(self, at: Int64) -> Int64:
        if len(self._index) == 0:
            return np.zeros(len(at), np.int64)
        place = np.minimum(np.searchsorted(self._index, at), len(self._index) - 1)
        return np.where(self._index[place] == at, self._values[place], 0)


def _rising(index: Int64, values: Int64) -> Part:
    """What is not 0, by index."""
    there = np.flatnonzero(values)
    order = there[np.argsort(index[there])]
    return index[order], values[order]


def _flat(looks: list[Int64]) -> Columns:
    return Columns([look.reshape(-1) for look in looks])


def lengths_of(values: Int64) -> Int64:
    """Bits of each number >= 0: 0 for 0, else 1 + floor(log2)."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def neighbours(planes: Int64) -> Int64:
    """Sum of the eight neighbours of each block [groups, rows, columns] in its group; 0 outside."""
    _, rows, columns = planes.shape
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    squares = [padded[:, y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    total: Int64 = sum(squares) - planes
    return total
