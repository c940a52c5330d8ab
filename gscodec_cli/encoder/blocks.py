# SPDX-License-Identifier: MIT
"""The blocks of a detail that are worth their bits: cosine coefficients of a picture, chosen by rate and distortion.

Takes a picture and what a bit is worth; gives integers. Must not import the verbs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gscodec.format.detail import BLOCK
from gscodec.format.records import DetailData
from gscodec_cli.decoder.detail import BASIS, ZIGZAG
from gscodec_cli.decoder.view import YCC_TO_RGB

Floats = NDArray[np.float32]
PASSES = 4  # of counting what symbols cost and choosing those worth it
LARGEST = 15  # symbols from here on cost alike


def code_detail(
    picture: Floats,
    seen: Floats,
    slope: float,
    steps: tuple[float, ...],
    before: DetailData | None,
    *,
    moving: bool,
) -> DetailData | None:
    """Blocks of `picture` [H, W, 3] RGB that are worth their bits; `seen` [H, W]: of what share of the frames."""
    wanted = _coefficients(picture @ YCC_TO_RGB.T)
    share = np.clip(blocks_of(seen[..., None], "constant")[0].mean((2, 3)), 0, 1).reshape(-1)
    _, rows, columns, _ = wanted.shape
    wanted = wanted.reshape(3, -1, 64)
    old = None if before is None else before.symbols.reshape(3, -1, 64).astype(np.int64)
    scale = np.array([steps[0], steps[1], steps[1]])

    def choose(base: NDArray) -> tuple[NDArray, NDArray]:
        parts = [_choose(wanted[c] / q, base[c], share, slope / q**2) for c, q in enumerate(scale)]
        worth = np.stack([worth * q**2 for (_, worth), q in zip(parts, scale, strict=True)])
        return np.stack([part for part, _ in parts]), worth.sum(0)

    symbols, worth = choose(np.zeros_like(wanted))
    kept = None
    if old is not None:
        going_on, worth_more = choose(old)
        kept = worth_more > worth
        symbols = np.where(kept[:, None], going_on, symbols)
    if not symbols.any():
        return None
    flags = None if kept is None or not kept.any() else kept.reshape(rows, columns).astype(np.int64)
    return DetailData(steps, symbols.reshape(3, rows, columns, 64), flags, moving)


def _choose(wanted: NDArray, base: NDArray, share: NDArray, slope: float) -> tuple[NDArray, NDArray]:
    """Symbols [B, 64] for coefficients in steps, coded as differences to `base`, and what each block gains by them.

    share: [B], of the frames that see a block. slope: squared steps worth one bit.
    """
    target = wanted - base
    size, carried = np.abs(target), share * (wanted**2 - target**2).sum(1)
    symbols, ends = np.floor(size + 0.5), np.full(len(target), 64)
    for number in range(PASSES):
        symbols, gain = _worth(size, symbols, ends, share, slope)
        value = np.concatenate([np.zeros((len(symbols), 1)), np.cumsum(gain, 1)], 1)
        if number:
            counts = np.bincount(ends, minlength=65) + 0.02
            value += slope * np.log2(counts / counts.sum())
        ends = value.argmax(1)
    symbols = np.where(np.arange(64) < ends[:, None], symbols, 0) * np.sign(target)
    return (symbols + base).astype(np.int64), carried + value.max(1)


def _worth(size: NDArray, symbols: NDArray, ends: NDArray, share: NDArray, slope: float) -> tuple[NDArray, NDArray]:
    """The symbols [B, 64] that are worth their bits, for coefficients of this size in steps, and what each one gains.

    Bits are those of coding `symbols`, of each block as many as `ends` says; a symbol is rounded, one less, or 0.
    """
    inside, numbers, nearest = np.arange(64) < ends[:, None], np.arange(LARGEST + 1), np.floor(size + 0.5)
    coded = np.minimum(symbols, LARGEST).astype(np.int64)
    counts = np.stack([np.bincount(coded[inside[:, k], k], minlength=LARGEST + 1) for k in range(64)]) + 0.02
    bits = -np.log2(counts / counts.sum(1, keepdims=True)) + (numbers > 0)

    def gain_of(symbols: NDArray) -> NDArray:
        cost = bits[np.arange(64), np.minimum(symbols, LARGEST).astype(np.int64)]
        return share[:, None] * (size**2 - (size - symbols) ** 2) - slope * cost

    best, most = np.zeros_like(size), gain_of(np.zeros_like(size))
    for choice in (nearest, np.maximum(nearest - 1, 0)):
        gain = gain_of(choice)
        best, most = np.where(gain > most, choice, best), np.maximum(gain, most)
    return best, most


def blocks_of(planes: NDArray, outside: Literal["edge", "constant"] = "edge") -> NDArray:
    """[H, W, C] as [C, rows, columns, 8, 8]; what lies outside repeats the edge, or is 0."""
    height, width, count = planes.shape
    padded = np.pad(planes, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode=outside)
    rows, columns = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    blocks: NDArray = padded.reshape(rows, BLOCK, columns, BLOCK, count).transpose(4, 0, 2, 1, 3)
    return blocks


def _coefficients(planes: NDArray) -> NDArray:
    """[C, rows, columns, 64] cosine coefficients of planes [H, W, C], zigzag order."""
    found = BASIS @ blocks_of(planes) @ BASIS.T
    return found.reshape(*found.shape[:3], 64)[..., ZIGZAG]
