# SPDX-License-Identifier: MIT
"""What is known about a clip before its first frame is decoded. Pipeline: input. Imports no torch."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gscodec.format.picture import PictureMetadata
from gscodec.format.streams import StreamInfo
from gscodec.format.tags import Tags

UNSPECIFIED = 2  # H.273 code point for colour primaries, transfer and matrix; also used for full_range
NOMINAL_RATE = Fraction(25)  # frames per second of pictures and streams that carry no times


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a clip as it is given to the encoder.

    Sizes are in pixels after an asked resize. `frame_duration` is in ticks of `time_base` seconds and 0 when the
    times are irregular. The colour fields are H.273 code points of the source (2 = unspecified); `full_range` is 0, 1
    or 2. `conversion_matrix` is the matrix the frames were converted to RGB with (0 for RGB sources), `streams` are the
    sound and subtitles that can be copied, and `notes` says in plain words what had to be assumed or is not carried.
    `interlaced`: the source's frames are, and the frames given are deinterlaced. `tags`: of the whole file.
    """

    width: int
    height: int
    frame_count: int | None
    sar_num: int
    sar_den: int
    time_base: Fraction
    frame_duration: int
    start_pts: int
    colour_primaries: int
    transfer_characteristics: int
    matrix_coefficients: int
    full_range: int
    bit_depth: int
    conversion_matrix: int = 0
    notes: tuple[str, ...] = ()
    picture: PictureMetadata = field(default_factory=PictureMetadata)
    streams: tuple[StreamInfo, ...] = ()
    interlaced: bool = False
    tags: Tags = field(default_factory=Tags)

    @property
    def coded_depth(self) -> int:
        """Bits per component to code the clip with: 8, or 10 or 12 for sources of more."""
        return next((depth for depth in (8, 10) if self.bit_depth <= depth), 12)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second, or None when the times are irregular."""
        return 1 / (self.frame_duration * self.time_base) if self.frame_duration else None


@dataclass(frozen=True)
class Timing:
    """Time stamps of all frames: ticks of `time_base` seconds, `frame_duration` ticks apart (0 = irregular)."""

    time_base: Fraction
    frame_duration: int
    pts: Sequence[int]


def regular_timing(
    pts: Sequence[int], time_base: Fraction, rates: Sequence[Fraction | None], last_duration: int = 0
) -> Timing:
    """Find the frame duration of sorted time stamps `pts`, undoing the rounding of coarse time bases.

    Equal distances give their distance. Time stamps that are those of a rate of `rates` (frames per second), each
    rounded to the time base (29.97 fps in milliseconds), give exact times in a finer time base; rounded again they are
    the source's. Anything else is irregular and kept as it is.
    """
    if len(pts) == 1:
        known = [r for r in rates if r] or [NOMINAL_RATE]
        return Timing(time_base, last_duration or max(1, round(1 / (known[0] * time_base))), pts)
    deltas = {b - a for a, b in itertools.pairwise(pts)}
    if len(deltas) == 1:
        return Timing(time_base, deltas.pop(), pts)
    for rate in rates:
        if rate:
            finer = max(1, math.ceil(1 / (time_base * rate.numerator)))
            base = Fraction(1, rate.numerator * finer)
            duration, start = rate.denominator * finer, round(pts[0] * time_base / base)
            exact = range(start, start + duration * len(pts), duration)
            if _is_rounded(pts, exact, base / time_base):
                return Timing(base, duration, exact)
    return Timing(time_base, 0, pts)


def nominal_timing(frame_count: int, rate: Fraction | None) -> Timing:
    """Time stamps for frames that carry none: `rate` frames per second (25 when unknown) from 0 on."""
    rate = rate or NOMINAL_RATE
    return Timing(
        Fraction(1, rate.numerator), rate.denominator, range(0, frame_count * rate.denominator, rate.denominator)
    )


def _is_rounded(pts: Sequence[int], exact: Sequence[int], scale: Fraction) -> bool:
    """True when every time stamp is that of `exact`, in ticks of `scale`, to the nearest tick."""
    return all(2 * abs(p - e * scale) <= 1 for p, e in zip(pts, exact, strict=True))
