# SPDX-License-Identifier: MIT
"""Unrounded pictures of the float64 reference, and how far a float32 engine may be from them (SPEC 8.2)."""

from __future__ import annotations

import math

import numpy as np

from gscodec.format.dequant import GopParameters
from gscodec.format.records import SequenceHeader
from gscodec_cli.decoder.reconstruct import GopRenderer

PEAK_FLOOR, RMS_FLOOR = 2.0**-14, 2.0**-17
ROOM = 8  # how much more than our own float32 engine's error a decoder may have


def exact_frame(params: GopParameters, header: SequenceHeader, position: float) -> np.ndarray:
    """[H, W, 3] float64 in 0..1, before rounding to 8 bits."""
    return _drawn(params, header, position, "reference")


def fast_frame(params: GopParameters, header: SequenceHeader, position: float, backend: str | None) -> np.ndarray:
    """The same from a float32 engine."""
    return _drawn(params, header, position, backend)


def _drawn(params: GopParameters, header: SequenceHeader, position: float, backend: str | None) -> np.ndarray:
    image = GopRenderer(params, header, backend=backend).colours(position)
    return np.clip(image.astype(np.float64), 0, 1).transpose(1, 2, 0)


def rounded(frame: np.ndarray, bit_depth: int = 8) -> np.ndarray:
    """[H, W, 3] int64: an unrounded picture in steps of `bit_depth` bits."""
    return np.floor(frame * ((1 << bit_depth) - 1) + 0.5).astype(np.int64)


def in_steps(picture: np.ndarray, bit_depth: int) -> np.ndarray:
    """A decoder's picture, uint8 or uint16 of full scale, as `rounded` has it."""
    return picture.astype(np.int64) if picture.dtype == np.uint8 else rounded(picture / 65535, bit_depth)


def errors(frame: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """(peak, rms) of the difference."""
    difference = np.abs(frame - exact)
    return float(difference.max()), float(np.sqrt((difference**2).mean()))


def frame_bounds(params: GopParameters, header: SequenceHeader) -> list[dict[str, float]]:
    """Per frame the largest peak and rms error: powers of two, with room over what the float32 engine has."""
    bounds = []
    for position in map(params.position, range(params.frame_count)):
        exact = exact_frame(params, header, position)
        peak, rms = errors(fast_frame(params, header, position, "cpu"), exact)
        bounds.append({"peak": _bound(peak, PEAK_FLOOR), "rms": _bound(rms, RMS_FLOOR)})
    return bounds


def _bound(measured: float, floor: float) -> float:
    return max(floor, 2.0 ** math.ceil(math.log2(max(ROOM * measured, floor))))
