# SPDX-License-Identifier: MIT
"""The residual of a GoP: what each frame misses once Gaussians and detail are drawn, where it is worth its bits.

Takes what is missing and what a bit is worth; gives integers. Must not import the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gscodec.format.errors import FormatError
from gscodec.format.limits import MAX_RESIDUAL_FRAMES
from gscodec.format.records import DETAIL_COMPONENTS, ResidualData, SequenceHeader
from gscodec.format.residual import group_count, lengths_of, residual_bytes, scan
from gscodec_cli.decoder.detail import BASIS
from gscodec_cli.decoder.reconstruct import YCC_TO_RGB
from gscodec_cli.decoder.residual import time_weights
from gscodec_cli.encoder.blocks import blocks_of

Floats = NDArray[np.float32]
SLOPE = 0.5  # of error over bits with which a GoP's error falls
STEP = 3.2  # of a quantiser whose error falls by the slope for one bit more
DEAD = 0.3  # what of a step is rounded up
COEFFICIENT_BITS = 7.0  # of one other than 0, where group lengths are compared
LENGTHS = (1, 3, 9)  # frames of a group, about, that are tried besides the whole GoP
LIKELY = 2  # of them are coded
PASSES = 3  # of counting what symbols cost and choosing those worth it
LARGEST = 7  # symbols from here on cost alike
CLASSES = 10  # of blocks, by how many coefficients they have
END_BITS = 0.8  # of each bit below the first one of a count
TRIES, NEAR = 8, 0.985  # of coding a residual in the bits it may take; what share of them is near enough
PART = 1 << 22  # coefficients that are looked at at once
CHEAPEST = 0.5  # of what a bit is worth, where there are bits left


class Coded(NamedTuple):
    """A residual, its bits, and by how much squared error it makes less."""

    residual: ResidualData | None
    bits: int
    gain: float


NONE = Coded(None, 0, 0.0)
Code = Callable[[float], Coded]  # how many times as dear bits are -> what is worth them


def fit_residual(
    missing: Floats,
    bits: float,
    header: SequenceHeader,
    *,
    like: ResidualData | None = None,
    most: float | None = None,
) -> tuple[ResidualData | None, float]:
    """What of the `missing` [T, H, W, 3] RGB is worth its bits, None if nothing is, and by how many dB that is less.

    Each coefficient is worth more than Gaussians at SLOPE, and all together bring more than Gaussians whose error fell
    with one over the bits. bits: what the whole GoP takes. like: has groups of as many frames; else those that gain
    most are chosen. most: bits that it takes, about, and at the most; then it is worth them.
    """
    error, count = float(np.square(missing).sum(dtype=np.float64)), len(missing)
    if error == 0 or (most is not None and most <= 0):
        return None, 0.0
    slope = SLOPE * error / bits
    planes = [_spatial(missing, c) for c in range(DETAIL_COMPONENTS)]

    def coding(frames: int) -> tuple[Code, Coded]:
        """How groups of so many frames are coded, and what comes of it."""
        wanted = [_over_time(plane, frames) for plane in planes]

        def code(dearer: float) -> Coded:
            found, gain = _coded(wanted, slope * dearer, frames)
            try:
                taken = 0 if found is None else 8 * residual_bytes(header, count, found)
            except FormatError:  # more coefficients than so few bytes may have (SPEC C-6.22-3)
                return NONE
            return Coded(found, taken, gain) if gain > slope * taken else NONE

        return code, code(1.0)

    lengths = (like.frames,) if like else _likely_lengths(planes[0], slope)
    code, found = max(map(coding, lengths), key=lambda coded: coded[1].gain - slope * coded[1].bits)
    if most is not None and not NEAR * most < found.bits <= most:
        found = _within(most, found, code)
    gained = 10 * math.log10(error / max(error - found.gain, 1e-9 * error))
    if most is None and (found.bits >= bits or gained < -10 * math.log10(1 - found.bits / bits)):
        return None, 0.0
    return found.residual, gained


def _within(most: float, usual: Coded, code: Code) -> Coded:
    """What takes at most `most` bits, and not much less where bits are worth it; `usual`: what is worth its bits."""
    aim, stride = math.log(most * (1 + NEAR) / 2), 1
    # (log of how dear, log of bits) of the dearest that took too many and of the cheapest that did not.
    above: tuple[float, float] | None = None
    below: tuple[float, float] | None = None
    if usual.bits > most:
        best, above = NONE, (0.0, _log(usual.bits))
    else:
        best, below = usual, (0.0, _log(usual.bits))
    for _ in range(TRIES):
        if above and below:
            share = (above[1] - aim) / max(above[1] - below[1], 1e-9)
            dear = above[0] + min(max(share, 0.1), 0.9) * (below[0] - above[0])
        else:
            dear, had = above or below or (0.0, aim)
            dear += (had - aim) * stride
            stride *= 2
        dear = max(dear, math.log(CHEAPEST))
        found = code(math.exp(dear))
        if found.bits > most:
            above = dear, _log(found.bits)
            continue
        below, best = (dear, _log(found.bits)), found
        if found.bits > NEAR * most or dear == math.log(CHEAPEST):
            break
    return best


def _log(bits: int) -> float:
    return math.log(max(bits, 1))


def _spatial(missing: Floats, component: int) -> Floats:
    """[T, blocks, 64] cosine coefficients of one component of each frame, 64 by vertical and horizontal frequency."""
    axis, basis = YCC_TO_RGB[component].astype(np.float32), BASIS.astype(np.float32)
    found = []
    for frame in missing:
        blocks = blocks_of((frame @ axis)[..., None])[0]
        lines = (blocks.reshape(-1, 8) @ basis.T).reshape(-1, 8, 8).transpose(0, 2, 1)
        found.append((lines.reshape(-1, 8) @ basis.T).reshape(-1, 8, 8).transpose(0, 2, 1).reshape(-1, 64))
    return np.stack(found)


def _temporal(spatial: Floats, frames: int) -> Floats:
    """[groups, frames, blocks * 64] of [T, blocks, 64]: frequencies in time; the last frame is repeated."""
    groups = group_count(len(spatial), frames)
    padded = np.concatenate([spatial, np.repeat(spatial[-1:], groups * frames - len(spatial), axis=0)])
    basis = np.stack([time_weights(frames, t) for t in range(frames)], 1).astype(np.float32)
    found: Floats = basis @ padded.reshape(groups, frames, -1)
    return found


def _over_time(spatial: Floats, frames: int) -> Floats:
    """[groups * blocks, 64 * frames] coefficients in the order of the file."""
    found = _temporal(spatial, frames)
    groups, blocks = len(found), spatial.shape[1]
    k, v, u = scan(frames).T
    ordered = found.reshape(groups, frames, blocks, 64).transpose(0, 2, 1, 3).reshape(groups * blocks, -1)
    return ordered[:, 64 * k + 8 * v + u]


def _likely_lengths(luma: Floats, slope: float) -> list[int]:
    """Frames of a group with which most is gained, by luma [T, blocks, 64] rounded without a look at neighbours."""
    count, step = len(luma), STEP * math.sqrt(slope)
    tried = {-(-count // max(1, round(count / length))) for length in (*LENGTHS, count)}
    gains = {}
    for frames in sorted(min(length, MAX_RESIDUAL_FRAMES) for length in tried):
        size = np.abs(_temporal(luma, frames)) / np.float32(step)
        size = size[size > 1 - DEAD]
        left = size - np.floor(size + DEAD)
        gain = float((size**2 - left**2).sum(dtype=np.float64)) * step**2
        gains[frames] = gain - slope * COEFFICIENT_BITS * len(size)
    return sorted(gains, key=lambda frames: -gains[frames])[:LIKELY]


def _coded(wanted: list[Floats], slope: float, frames: int) -> tuple[ResidualData | None, float]:
    """Coefficients [blocks, 64 * frames] of each component, as far as they are worth it, and by how much error falls.

    slope: squared error worth one bit.
    """
    index, values, gain, step = [], [], 0.0, STEP * math.sqrt(slope)
    for part in wanted:
        where, symbols = _choose(part / np.float32(step), frames)
        sizes = part.reshape(-1)[where].astype(np.float64) / step
        gain += float((sizes**2 - (sizes - symbols) ** 2).sum()) * step**2
        index.append(where)
        values.append(symbols)
    if not any(map(len, index)):
        return None, 0.0
    return ResidualData(frames, (step, step), tuple(index), tuple(values)), gain


class _Costs:
    """Bits of symbols, by the diagonal they are on and how many coefficients their block has."""

    def __init__(self, diagonal: NDArray[np.int64]) -> None:
        """Nothing counted yet. diagonal: [64 * frames] of each coefficient."""
        self._diagonal, self._ends = diagonal, np.full(16, 0.1)
        self._counts = np.full((CLASSES, int(diagonal[-1]) + 1, LARGEST + 1), 0.05)

    def _keys(self, size: NDArray[np.int64]) -> NDArray[np.int64]:
        """[A, 64 * frames] where the bits of a 0 stand."""
        classes = np.minimum(lengths_of((size > 0).sum(1)), CLASSES - 1)
        return (classes[:, None] * self._counts.shape[1] + self._diagonal) * (LARGEST + 1)

    def count(self, size: NDArray[np.int64], empty: int) -> None:
        """Count blocks [A, 64 * frames] whose symbols have these sizes, and as many more that have none."""
        there = size > 0
        ends = np.where(there.any(1), size.shape[1] - there[:, ::-1].argmax(1), 0)
        inside = (self._keys(size) + size)[np.arange(size.shape[1]) < ends[:, None]]
        self._counts += np.bincount(inside, minlength=self._counts.size).reshape(self._counts.shape)
        self._ends += np.bincount(lengths_of(ends), minlength=16)
        self._ends[0] += empty

    def bits(self, size: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Bits of each symbol [A, 64 * frames], of a 0 in its place, and of coding so many [64 * frames + 1]."""
        bits = -np.log2(self._counts / self._counts.sum(2, keepdims=True))
        bits[..., 1:] += 1  # the sign
        flat, keys, depth = bits.astype(np.float32).reshape(-1), self._keys(size), size.shape[1]
        length = lengths_of(np.arange(depth + 1))
        ends = -np.log2(self._ends / self._ends.sum())[length] + np.maximum(length - 1, 0) * END_BITS
        return flat[keys + size], flat[keys], ends.astype(np.float32)


def _choose(wanted: Floats, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(flat indices, symbols) of coefficients [B, 64 * frames] in steps."""
    active = np.flatnonzero(np.maximum(wanted.max(1), -wanted.min(1)) > 1 - DEAD)
    empty, depth, diagonal = len(wanted) - len(active), wanted.shape[1], scan(frames).sum(1)
    parts = np.array_split(active, 1 + active.size * depth // PART)
    symbols = [np.floor(np.abs(wanted[part]) + np.float32(DEAD)) for part in parts]
    for _ in range(PASSES):
        costs = _Costs(diagonal)
        for number, chosen in enumerate(symbols):
            costs.count(np.minimum(chosen, LARGEST).astype(np.int64), 0 if number else empty)
        symbols = [_worth(np.abs(wanted[part]), chosen, costs) for part, chosen in zip(parts, symbols, strict=True)]
    index, values = [], []
    for part, chosen in zip(parts, symbols, strict=True):
        row, column = np.nonzero(chosen)
        index.append(part[row] * depth + column)
        values.append((chosen[row, column] * np.sign(wanted[part[row], column])).astype(np.int32))
    return np.concatenate(index), np.concatenate(values)


def _worth(size: Floats, symbols: Floats, costs: _Costs) -> Floats:
    """The symbols [A, 64 * frames] that are worth their bits, of coefficients of this size in steps; 0 for the rest."""
    slope, (bits, zero, ends) = np.float32(1 / STEP**2), costs.bits(np.minimum(symbols, LARGEST).astype(np.int64))
    gain = size**2 - (size - symbols) ** 2
    good = (symbols > 0) & (gain > slope * (bits - zero))
    worth = np.cumsum(np.where(good, gain - slope * bits, -slope * zero), 1)
    worth = np.concatenate([np.zeros((len(size), 1), np.float32), worth], 1) - slope * ends
    return np.where(good & (np.arange(size.shape[1]) < worth.argmax(1)[:, None]), symbols, np.float32(0))
