# SPDX-License-Identifier: MIT
"""The residual of a GoP: what each frame misses once Gaussians and detail are drawn, where it is worth its bits.

Takes what is missing and what a bit is worth; gives integers. Must not import the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gscodec.format.errors import FormatError
from gscodec.format.limits import MAX_RESIDUAL_FRAMES
from gscodec.format.records import ResidualData, SequenceHeader
from gscodec.format.residual import residual_bytes
from gscodec_cli.encoder.residual_choice import DEAD, STEP, choose
from gscodec_cli.encoder.residual_cosines import Coefficients, Floats, coefficients, shares, spatial, stripes, temporal

USUAL = 0.5  # share of the error by which it falls for a share of the bits, where nothing is known
# That of a residual, from that of the Gaussians that bring least: in short groups and in those of LONG frames and more,
# and its bounds. See docs/decisions/025.
SHORT_SLOPE, LONG_SLOPE, LONG = 2.2, 0.65, 8
LEAST_SLOPE, MOST_SLOPE = 0.3, 0.8
MOST_SHARE = 0.4  # of a GoP's bits: Gaussians that few are left of do not hold the picture together
COEFFICIENT_BITS = 7.0  # of one other than 0, where group lengths are compared
LENGTHS = (1, 3, 9)  # frames of a group, about, that are tried besides the whole GoP
LIKELY = 2  # of them are coded
TRIES, NEAR = 8, 0.985  # of coding a residual in the bits it may take; what share of them is near enough
CHEAPEST = 0.5  # of what a bit is worth, where there are bits left
# A residual must bring so many times what Gaussians bring that bring least for their bits; more by STEEPER times its
# share of the bits, since those bring more that go after the first. See docs/decisions/028.
LEAD, STEEPER = 1.5, 2.0


class Coded(NamedTuple):
    """A residual, its bits, and by how much squared error it makes less."""

    residual: ResidualData | None
    bits: int
    gain: float


NONE = Coded(None, 0, 0.0)
Code = Callable[[float], Coded]  # how many times as dear bits are -> what is worth them


def slope_beside(missing: Floats, bits: float, lost: float) -> float:
    """The slope of a residual beside Gaussians: shares of the error `missing` [T, H, W, 3] for a share of the `bits`.

    lost: squared error of a frame that is added without the Gaussians that bring least, for a share of the bits: an
    underestimate of what they would bring if there were fewer of them. What stays in place takes Gaussians most bits,
    and when some go, a residual that has it makes up for them.
    """
    error = _error(missing)
    if error == 0:
        return USUAL
    lost *= len(missing) / error
    lasting = _likely_lengths(missing, USUAL * error / bits)[0] >= LONG
    slope = LONG_SLOPE * lost ** (1 / 3) if lasting else SHORT_SLOPE * lost
    return min(max(slope, LEAST_SLOPE), MOST_SLOPE)


def fit_residual(
    missing: Floats,
    bits: float,
    header: SequenceHeader,
    slope: float,
    like: ResidualData | None = None,
    most: float | None = None,
) -> Coded:
    """What of the `missing` [T, H, W, 3] RGB is worth its bits, NONE if nothing is.

    Each coefficient takes more of the error away than its bits are worth at `slope`, see `slope_beside`. bits: what the
    whole GoP takes. like: has groups of as many frames; else those that gain most are chosen. most: bits that it takes,
    about, and at the most; where nothing is said, at most MOST_SHARE of `bits`.
    """
    error, count = _error(missing), len(missing)
    if error == 0 or (most is not None and most <= 0):
        return NONE
    worth = slope * error / bits  # squared error
    least = STEP * math.sqrt(worth * (1.0 if most is None else CHEAPEST))

    def coding(frames: int) -> tuple[Code, Coded]:
        """How groups of so many frames are coded, and what comes of it."""
        wanted = coefficients(missing, frames, (1 - DEAD) * least)

        def code(dearer: float) -> Coded:
            found, gain = _coded(wanted, worth * dearer, frames)
            try:
                taken = 0 if found is None else 8 * residual_bytes(header, count, found)
            except FormatError:  # more coefficients than so few bytes may have (SPEC C-6.22-3)
                return NONE
            return Coded(found, taken, gain) if gain > worth * taken else NONE

        return code, code(1.0)

    lengths = (like.frames,) if like else _likely_lengths(missing, worth)
    code, found = max(map(coding, lengths), key=lambda coded: coded[1].gain - worth * coded[1].bits)
    if most is not None and not NEAR * most < found.bits <= most:
        found = _within(most, found, code)
    elif most is None and found.bits > MOST_SHARE * bits:
        found = _within(MOST_SHARE * bits, found, code)
    return found


def leads(found: Coded, frames: int, bits: float, lost: float) -> bool:
    """Whether a residual of a GoP of so many frames, that takes so many bits, brings clearly more than Gaussians do.

    lost: as `slope_beside` has it.
    """
    share = found.bits / bits
    return found.gain > LEAD * (1 + STEEPER * share) * share * lost * frames


def _error(missing: Floats) -> float:
    return sum(float(np.square(frame).sum(dtype=np.float64)) for frame in missing)


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


def _likely_lengths(missing: Floats, slope: float) -> list[int]:
    """Frames of a group with which most is gained, by luma that is rounded without a look at neighbours."""
    count, step = len(missing), STEP * math.sqrt(slope)
    tried = {-(-count // max(1, round(count / length))) for length in (*LENGTHS, count)}
    gains = dict.fromkeys(sorted(min(length, MAX_RESIDUAL_FRAMES) for length in tried), 0.0)
    for lines in stripes(missing):
        luma = spatial(lines, 0)
        for frames in gains:
            for share, group in zip(shares(count, frames), temporal(luma, frames), strict=True):
                size = np.abs(group) / np.float32(step)
                size = size[size > 1 - DEAD]
                left = size - np.floor(size + DEAD)
                gain = float(share) * float((size**2 - left**2).sum(dtype=np.float64)) * step**2
                gains[frames] += gain - slope * COEFFICIENT_BITS * len(size)
    return sorted(gains, key=lambda frames: -gains[frames])[:LIKELY]


def _coded(wanted: Sequence[Coefficients], slope: float, frames: int) -> tuple[ResidualData | None, float]:
    """Coefficients of each component, as far as they are worth it, and by how much error falls.

    slope: squared error worth one bit.
    """
    index, values, gain, step = [], [], 0.0, STEP * math.sqrt(slope)
    for part in wanted:
        where, symbols = choose(part.values / np.float32(step), part.share, part.blocks, frames)
        sizes = part.values.reshape(-1)[where].astype(np.float64) / step
        gains = part.share[where // part.values.shape[1]] * (sizes**2 - (sizes - symbols) ** 2)
        gain += float(gains.sum()) * step**2
        index.append(part.place(where))
        values.append(symbols)
    if not any(map(len, index)):
        return None, 0.0
    return ResidualData(frames, (step, step), tuple(index), tuple(values)), gain
