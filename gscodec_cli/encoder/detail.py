# SPDX-License-Identifier: MIT
"""The detail of a GoP: what its Gaussians leave out in all frames, in place or moved back to one of them.

Takes Gaussians as they will be decoded and the frames; gives integers. Works in the computer's memory wherever the
Gaussians are trained. Must not import the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from gscodec.format.dequant import detail_values
from gscodec.format.detail import detail_data
from gscodec.format.records import DetailData, SequenceHeader
from gscodec.format.schema import FieldStream
from gscodec_cli.decoder.detail import detail_picture
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.view import YCC_TO_RGB
from gscodec_cli.encoder.blocks import Floats, code_detail
from gscodec_cli.encoder.trainer import unit_range

ROUNDS = 2  # of averaging what is left: the pixels of one place do not lie on each other exactly
STEP = 2.7  # of a quantiser whose error falls by the slope for one bit more (H.264: lambda = 0.85 * 2^((QP - 12) / 3))
# Squared error of a frame for one bit: half its error over the GoP's bits where the error falls with the root of the
# bits, and half as much again, since Gaussians that are trained on make up for some of what the detail brings.
SLOPE = 0.75
LEAD = 0.1  # dB: Gaussians that are trained on learn to carry what moves with them
TRIES, NEAR = 6, 0.97  # of coding a detail in the bits it may take; what share of them is near enough
KEPT_BYTES = 1 << 30  # of what all frames miss, and where; more than that is made anew each time


@dataclass(frozen=True)
class Frames:
    """A GoP's frames against its Gaussians. pictures: [T, H, W, 3] uint8 or uint16."""

    renderer: GopRenderer  # without detail
    pictures: NDArray
    _kept: dict[tuple[str, int], Tensor] = field(default_factory=dict, init=False, repr=False)

    def wanted(self, t: int) -> Tensor:
        """Frame `t`, float32 [3, H, W] in 0..1."""
        return unit_range(torch.from_numpy(np.ascontiguousarray(self.pictures[t].transpose(2, 0, 1))))

    def missing(self, t: int) -> Tensor:
        """What frame `t` misses, [3, H, W] in 0..1."""
        return self._keep("missing", t, self._missing)

    def places(self, t: int) -> Tensor:
        """[H, W, 2]: where the pixels of frame `t` are in a detail that moves, as `_sampled` has it."""
        return self._keep("places", t, self._places)

    def sampled(self, picture: Tensor, t: int, moving: bool) -> Tensor:
        """What frame `t` shows of the `picture` [C, H, W] of a detail that is `moving` or stays in place."""
        return _sampled(picture, self.places(t)) if moving else picture

    @cached_property
    def error(self) -> float:
        """Squared error of a frame without detail, on average."""
        return sum(float(self.missing(t).square().sum()) for t in range(len(self.pictures))) / len(self.pictures)

    def gain(self, detail: DetailData) -> float:
        """By how many dB the frames' mean squared error is less with a detail."""
        planes, rest = self.planes(detail), 0.0
        for t in range(len(self.pictures)):
            rest += float((self.missing(t) - self.sampled(planes, t, detail.moving)).square().sum())
        return 10 * math.log10(max(self.error, 1e-12) * len(self.pictures) / max(rest, 1e-12))

    def planes(self, detail: DetailData) -> Tensor:
        """A detail as a picture, float32 [3, H, W] RGB."""
        picture = detail_picture(detail_values(detail), self.renderer.view.shape, YCC_TO_RGB)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))

    def _keep(self, what: str, t: int, make: Callable[[int], Tensor]) -> Tensor:
        if (what, t) not in self._kept:
            found = make(t)
            if len(self.pictures) * 2 * found.nbytes > KEPT_BYTES:
                return found
            self._kept[what, t] = found
        return self._kept[what, t]

    def _missing(self, t: int) -> Tensor:
        return self.wanted(t) - torch.from_numpy(self.renderer.colours(float(t))).clamp_(0, 1)

    def _places(self, t: int) -> Tensor:
        height, width = size = self.renderer.view.shape
        *moved, weight = self.renderer.sums(*self.renderer.moving.displaced(float(t)))
        weight += np.float32(self.renderer.epsilon)
        places = np.empty((height, width, 2), np.float32)
        for axis, at in enumerate((np.arange(width), np.arange(height)[:, None])):
            place = np.nan_to_num(at.astype(np.float32) - moved[axis] / weight)
            places[..., axis] = place * np.float32(2 / max(size[1 - axis] - 1, 1)) - 1
        return torch.from_numpy(places)


def first_detail(
    frames: Frames, bits: float, header: SequenceHeader, before: DetailData | None, least: float
) -> DetailData | None:
    """For a GoP that has none yet: the better of a detail that moves with the Gaussians and one that stays in place.

    See `fit_detail`. None where neither gains `least` dB, and more than Gaussians would bring for its bits if the error
    fell with one over the bits. One that stays has to be LEAD dB better than one that moves.
    """
    best, most = None, 0.0
    for moving in (True, False):
        found = _fitted(frames, bits, header, before, moving, None)
        if found.detail is None or found.gain < least:
            continue
        net = found.gain - 10 * math.log10(1 + found.bits / bits)
        if net > most:
            best, most = found.detail, net + LEAD * moving
    return best


def fit_detail(
    frames: Frames,
    bits: float,
    header: SequenceHeader,
    before: DetailData | None,
    *,
    moving: bool = True,
    most: int | None = None,
) -> DetailData | None:
    """The detail that is worth its bits, None where there is none that makes frames better.

    bits: what the whole GoP takes. before: the detail of the GoP that it may go on from. moving: with the Gaussians, or
    not at all. most: bits that it may take.
    """
    found = _fitted(frames, bits, header, before, moving, most)
    return None if found.gain < 0 else found.detail


class _Fitted(NamedTuple):
    """A detail, its bits, and by how many dB frames are better with it, which may be less than nothing."""

    detail: DetailData | None
    bits: int
    gain: float


def _fitted(
    frames: Frames, bits: float, header: SequenceHeader, before: DetailData | None, moving: bool, most: int | None
) -> _Fitted:
    """A detail as `fit_detail` says."""
    best, least = _Fitted(None, 0, 0.0), math.inf
    if frames.error == 0:
        return best
    picture, seen = _average(frames, moving)
    slope = SLOPE * frames.error / bits
    # Going on keeps the steps, which may not be those that are best now.
    for base in (before, None) if before else (None,):

        def code(dearer: float, base: DetailData | None = base) -> tuple[DetailData | None, int]:
            steps = base.steps if base else (STEP * math.sqrt(slope),) * 2
            found = code_detail(picture, seen, slope * dearer, steps, base, moving=moving)
            return found, detail_bits(header, found, before)

        found, taken = code(1.0)
        if most is not None and taken > most:
            found, taken = _within(most, code)
        gain = 0.0 if found is None else frames.gain(found)
        left = frames.error * 10 ** (-gain / 10) + slope * taken
        if left < least:
            best, least = _Fitted(found, taken, gain), left
    return best


def _within(most: int, code: Callable[[float], tuple[DetailData | None, int]]) -> tuple[DetailData | None, int]:
    """What takes at most `most` bits and not much less, and its bits.

    `code` gives it where bits are so many times as dear.
    """
    low, high = 1.0, 0.0
    best: tuple[DetailData | None, int] = None, 0
    dearer = 1.5
    for _ in range(TRIES):
        found, taken = code(dearer)
        if taken > most:
            low = dearer
        else:
            high, best = dearer, (found, taken)
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
        found = frames.wanted(t) - frames.sampled(planes, t, detail.moving)
        rest[t] = (found * 65535 + 0.5).clamp_(0, 65535).numpy().transpose(1, 2, 0)
    return rest


def left_by(frames: Frames, detail: DetailData | None) -> Floats:
    """What frames miss of which the Gaussians and the detail are drawn, [T, H, W, 3] in 0..1."""
    planes = None if detail is None else frames.planes(detail)
    rest = np.empty(frames.pictures.shape, np.float32)
    for t in range(len(rest)):
        missing = frames.missing(t)
        if detail is not None and planes is not None:
            missing = missing - frames.sampled(planes, t, detail.moving)
        rest[t] = missing.numpy().transpose(1, 2, 0)
    return rest


def _average(frames: Frames, moving: bool) -> tuple[Floats, Floats]:
    """What all frames miss in common [H, W, 3], and how much of the frames sees a pixel of it [H, W]."""
    count, height, width, _ = frames.pictures.shape
    if not moving:
        common = torch.zeros((3, height, width), device="cpu")
        for t in range(count):
            common += frames.missing(t)
        return (common / count).numpy().transpose(1, 2, 0), np.ones((height, width), np.float32)
    picture = torch.zeros((4, height, width), device="cpu")  # and a plane that stays 0
    for _ in range(ROUNDS):
        total = torch.zeros_like(picture)
        for t in range(count):
            wanted = pad(frames.missing(t), (0, 0, 0, 0, 0, 1), value=1.0)
            total += _spread_rest(wanted, picture, frames.places(t))
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
