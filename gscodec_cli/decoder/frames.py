# SPDX-License-Identifier: MIT
"""What `VideoDecoder` gives: frames with their times, and what is known about the clip. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class VideoMetadata:
    """What is known about the clip; times in seconds, sizes in pixels of the frames this decoder gives.

    `coded_width`, `coded_height` and `pixel_aspect_ratio` are those of the file, whatever size is drawn.
    `average_fps` is None for a clip of one frame. Colour fields are H.273 code points (2 = unspecified).
    """

    width: int
    height: int
    coded_width: int
    coded_height: int
    num_frames: int
    begin_stream_seconds: float
    end_stream_seconds: float
    duration_seconds: float
    average_fps: float | None
    pixel_aspect_ratio: Fraction
    bit_rate: float
    bits_per_pixel: float
    codec: str
    profile: str
    num_gops: int
    colour_primaries: int
    transfer_characteristics: int
    matrix_coefficients: int
    full_range: int


@dataclass(frozen=True)
class Frame:
    """One frame: `data` [3, H, W] or [H, W, 3], and when and how long it is shown, in seconds.

    uint8, or uint16 (white is 65535) where the file has more than 8 bits per component.
    """

    data: Any
    pts_seconds: float
    duration_seconds: float


@dataclass(frozen=True)
class FrameBatch:
    """Several frames: `data` [N, 3, H, W] or [N, H, W, 3], uint8 or uint16; times [N] float64 in seconds."""

    data: Any
    pts_seconds: Any
    duration_seconds: Any

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Frame:
        return Frame(self.data[index], float(self.pts_seconds[index]), float(self.duration_seconds[index]))

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))
