# SPDX-License-Identifier: MIT
"""The detail of a GoP: what its Gaussians leave out in all frames, moved back to one, as blocks worth their bits.

Takes Gaussians as they will be decoded and the frames; gives integers. Works in the computer's memory wherever the
Gaussians are trained. Must not import the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from gscodec.format.dequant import detail_values
from gscodec.format.detail import BLOCK, detail_data
from gscodec.format.records import DetailData, SequenceHeader
from gscodec.format.schema import FieldStream
from gscodec.kernels import rasterize
from gscodec_cli.decoder.detail import BASIS, ZIGZAG, detail_picture
from gscodec_cli.decoder.reconstruct import YCC_TO_RGB, GopRenderer
from gscodec_cli.encoder.trainer import unit_range

Floats = NDArray[np.float32]
ROUNDS = 2  # of averaging what is left: the pixels of one place do not lie on each other exactly
STEP = 2.7  # of a quantiser whose error falls by the slope for one bit more (H.264: lambda = 0.85 * 2^((QP - 12) / 3))
# Squared error of a frame for one bit: half its error over the GoP's bits where the error falls with the root of the
# bits, and half as much again, since Gaussians that are trained on make up for some of what the detail brings.
SLOPE = 0.75
DEAD = 0.3  # what of a step is rounded up
TRIES, NEAR = 6, 0.97  # of coding a detail in the bits it may take; what share of them is near enough
PASSES = 4  # of counting what symbols cost and choosing those worth it
LARGEST = 15  # symbols from here on cost alike
KEPT_BYTES = 1 << 30  # of what all frames miss, and where; more than that is made anew each time


@dataclass(frozen=True)
class Frames:
    """A GoP's frames against its Gaussians. pictures: [T, H, W, 3] uint8 or uint16."""

    renderer: GopRenderer  # without detail
    pictures: NDArray
    threads: int
    _kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def wanted(self, t: int) -> Tensor:
        """Frame `t`, float32 [3, H, W] in 0..1."""
        return unit_range(torch.from_numpy(np.ascontiguousarray(self.pictures[t].transpose(2, 0, 1))))

    def missing(self, t: int) -> tuple[Tensor, Tensor]:
        """What frame `t` misses [3, H, W], in 0..1, and the places of its pixels in the detail: see `_sampled`."""
        if t not in self._kept:
            found = self._missing(t)
            if len(self.pictures) * sum(tensor.nbytes for tensor in found) > KEPT_BYTES:
                return found
            self._kept[t] = found
        return self._kept[t]

    @cached_property
    def error(self) -> float:
        """Squared error of a frame without detail, on average."""
        return sum(float(self.missing(t)[0].square().sum()) for t in range(len(self.pictures))) / len(self.pictures)

    def gain(self, detail: DetailData) -> float:
        """By how many dB the frames' mean squared error is less with a detail."""
        planes, rest = self.planes(detail), 0.0
        for t in range(len(self.pictures)):
            missing, places = self.missing(t)
            rest += float((missing - _sampled(planes, places)).square().sum())
        return 10 * math.log10(max(self.error, 1e-12) * len(self.pictures) / max(rest, 1e-12))

    def planes(self, detail: DetailData) -> Tensor:
        """A detail as a picture, float32 [3, H, W] RGB."""
        picture = detail_picture(detail_values(detail), self.renderer.view.shape, YCC_TO_RGB)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))

    def _missing(self, t: int) -> tuple[Tensor, Tensor]:
        g = self.renderer.gaussians(float(t))
        height, width = size = self.renderer.view.shape
        drawn = rasterize(g.mean, g.conic, g.feature, size, threads=self.threads)
        moved = rasterize(g.mean, g.conic, self.renderer.moved(g, float(t)), size, threads=self.threads)
        weight = drawn[3] + np.float32(self.renderer.epsilon)
        places = np.empty((height, width, 2), np.float32)
        for axis, at in enumerate((np.arange(width), np.arange(height)[:, None])):
            place = np.nan_to_num(at.astype(np.float32) - moved[axis] / weight)
            places[..., axis] = place * np.float32(2 / max(size[1 - axis] - 1, 1)) - 1
        colours = torch.from_numpy(self.renderer.blended(drawn)).clamp_(0, 1)
        return self.wanted(t) - colours, torch.from_numpy(places)


def fit_detail(
    frames: Frames,
    bits: float,
    header: SequenceHeader,
    before: DetailData | None,
    *,
    most: int | None = None,
    least: float = 0.0,
) -> DetailData | None:
    """The detail that is worth its bits, None where there is none.

    bits: what the whole GoP takes. before: the detail of the GoP that it may go on from. most: bits that it may take.
    least: dB that it must gain.
    """
    if frames.error == 0:
        return None
    picture, seen = _average(frames)
    slope = SLOPE * frames.error / bits
    steps = before.steps if before else (STEP * math.sqrt(slope),) * 2
    found = code_detail(picture, seen, slope, steps, before)
    if most is not None and detail_bits(header, found, before) > most:

        def code(dearer: float) -> tuple[DetailData | None, int]:
            tried = code_detail(picture, seen, slope * dearer, steps, before)
            return tried, detail_bits(header, tried, before)

        found = _within(most, code)
    return None if found is None or frames.gain(found) < least else found


def _within(most: int, code: Callable[[float], tuple[DetailData | None, int]]) -> DetailData | None:
    """What takes at most `most` bits and not much less; `code` gives it where bits are so many times as dear."""
    low, high, best = 1.0, 0.0, None
    dearer = 1.5
    for _ in range(TRIES):
        found, taken = code(dearer)
        if taken > most:
            low = dearer
        else:
            high, best = dearer, found
            if taken > NEAR * most:
                break
        dearer = math.sqrt(low * high) if high else low * max(taken / most, 1.1) ** 3
    return best


def detail_bits(header: SequenceHeader, detail: DetailData | None, before: DetailData | None) -> int:
    """Bits that a detail takes in its GoP."""
    if detail is None:
        return 0
    io = FieldStream()
    detail_data(io, header, detail.moving, detail, before, before is not None)
    return 8 * len(io.getvalue())


def without_detail(frames: Frames, detail: DetailData | None) -> NDArray:
    """The pictures less the detail, uint16 [T, H, W, 3]: what the Gaussians alone are to draw."""
    if detail is None:
        return frames.pictures
    planes = frames.planes(detail)
    rest = np.empty(frames.pictures.shape, np.uint16)
    for t in range(len(rest)):
        found = frames.wanted(t) - _sampled(planes, frames.missing(t)[1])
        rest[t] = (found * 65535 + 0.5).clamp_(0, 65535).numpy().transpose(1, 2, 0)
    return rest


def _average(frames: Frames) -> tuple[Floats, Floats]:
    """What all frames miss in common [H, W, 3], and how much of the frames sees a pixel of it [H, W]."""
    count, height, width, _ = frames.pictures.shape
    picture = torch.zeros((4, height, width), device="cpu")  # and a plane that stays 0
    for _ in range(ROUNDS):
        total = torch.zeros_like(picture)
        for t in range(count):
            missing, places = frames.missing(t)
            total += _spread_rest(pad(missing, (0, 0, 0, 0, 0, 1), value=1.0), picture, places)
        picture[:3] += total[:3] / (total[3] + 0.5)
    return picture[:3].numpy().transpose(1, 2, 0), (total[3] / count).numpy()


def _sampled(picture: Tensor, places: Tensor) -> Tensor:
    """[C, H, W]: `picture` [C, H, W] at places [H, W, 2], linearly, as `reference_detail.sample` has it.

    places: (x, y), from -1 for the centre of the picture's first pixel to 1 for that of its last.
    """
    return grid_sample(picture[None], places[None], padding_mode="border", align_corners=True)[0]


def _spread_rest(wanted: Tensor, picture: Tensor, places: Tensor) -> Tensor:
    """[C, H, W]: what is `wanted` beyond `picture`, summed where it comes from by the weights of `_sampled`."""
    with torch.enable_grad():
        source = picture.detach().requires_grad_()
        found = _sampled(source, places)
        total: Tensor = torch.autograd.grad(found, source, wanted - found.detach())[0]
    return total


def code_detail(
    picture: Floats, seen: Floats, slope: float, steps: tuple[float, ...], before: DetailData | None
) -> DetailData | None:
    """Blocks of `picture` [H, W, 3] RGB that are worth their bits; `seen` [H, W]: see `_average`."""
    wanted = _coefficients(picture @ YCC_TO_RGB.T)
    share = np.clip(_blocks(seen[..., None], "constant")[0].mean((2, 3)), 0, 1).reshape(-1)
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
    return DetailData(steps, symbols.reshape(3, rows, columns, 64), flags)


def _choose(wanted: NDArray, base: NDArray, share: NDArray, slope: float) -> tuple[NDArray, NDArray]:
    """Symbols [B, 64] for coefficients in steps, coded as differences to `base`, and what each block gains by them.

    share: [B], of the frames that see a block. slope: squared steps worth one bit.
    """
    target = wanted - base
    symbols = np.sign(target) * np.floor(np.abs(target) + DEAD)
    gain = share[:, None] * (target**2 - (target - symbols) ** 2)
    carried = share * (wanted**2 - target**2).sum(1)
    size = np.minimum(np.abs(symbols), LARGEST).astype(np.int64)
    ends = np.full(len(symbols), 64)
    for number in range(PASSES):
        inside = np.arange(64) < ends[:, None]
        cost = np.zeros(symbols.shape)
        for k in range(64):
            counts = np.bincount(size[inside[:, k], k], minlength=LARGEST + 1) + 0.02
            bits = -np.log2(counts / counts.sum()) + (np.arange(LARGEST + 1) > 0)
            cost[:, k] = bits[size[:, k]]
        value = np.concatenate([np.zeros((len(symbols), 1)), np.cumsum(gain - slope * cost, 1)], 1)
        if number:
            counts = np.bincount(ends, minlength=65) + 0.02
            value += slope * np.log2(counts / counts.sum())
        ends = value.argmax(1)
    symbols = np.where(np.arange(64) < ends[:, None], symbols, 0)
    return (symbols + base).astype(np.int64), carried + value.max(1)


def _blocks(planes: NDArray, outside: Literal["edge", "constant"] = "edge") -> NDArray:
    """[H, W, C] as [C, rows, columns, 8, 8]; what lies outside repeats the edge, or is 0."""
    height, width, count = planes.shape
    padded = np.pad(planes, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode=outside)
    rows, columns = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    blocks: NDArray = padded.reshape(rows, BLOCK, columns, BLOCK, count).transpose(4, 0, 2, 1, 3)
    return blocks


def _coefficients(planes: NDArray) -> NDArray:
    """[C, rows, columns, 64] cosine coefficients of planes [H, W, C], zigzag order."""
    found = BASIS @ _blocks(planes) @ BASIS.T
    return found.reshape(*found.shape[:3], 64)[..., ZIGZAG]
