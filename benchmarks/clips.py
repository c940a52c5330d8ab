# SPDX-License-Identifier: MIT
"""A clip as the benchmarks see it: its frames as RGB, and how a decoded version compares with them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from benchmarks.points import Point
from gscodec_cli.errors import MediaError
from gscodec_cli.metrics.compare import Distortion, compare
from gscodec_cli.metrics.msssim import SMALLEST_SIDE, load_ms_ssim
from gscodec_cli.video.colour import BT709, from_rgb
from gscodec_cli.video.reader import open_video


class Clip:
    """Some frames of a clip. `span` is A:B, as in `gsv encode --frames`; `ms_ssim`: whether that is measured."""

    def __init__(self, path: Path, frames: tuple[int, int | None] | None = None, ms_ssim: bool = True) -> None:
        self.path = path
        self.source = open_video(path, frames=frames)
        self.name = path.name
        self.span = f"{self.source.frames.start}:{self.source.frames.stop}"
        self.shape = (len(self.source), self.source.info.height, self.source.info.width)
        self.ms_ssim = ms_ssim and min(self.shape[1:]) >= SMALLEST_SIDE
        self.rate = self.source.info.frame_rate or Fraction(25)

    @property
    def matrix(self) -> int:
        """H.273 matrix of its YCbCr: the source's own; BT.709 for an RGB source, whatever its size."""
        return self.source.info.conversion_matrix or BT709

    @cached_property
    def pictures(self) -> list[np.ndarray]:
        """All frames, [H, W, 3] uint8 or uint16."""
        return [rgb for rgb, _ in self.source]

    @cached_property
    def frames_420(self) -> list[av.VideoFrame]:
        """All frames in 8-bit yuv420p, limited range, numbered. Raises MediaError for odd sizes."""
        if self.shape[1] % 2 or self.shape[2] % 2:
            raise MediaError(f"{self.path}: {self.shape[2]}x{self.shape[1]} is odd, expected even sides for 4:2:0")
        reformatter = VideoReformatter()
        frames = [from_rgb(rgb, reformatter, "yuv420p", self.matrix, 0) for rgb in self.pictures]
        for number, frame in enumerate(frames):
            frame.pts = number
        return frames

    def distortion(self, decoded: Iterable[np.ndarray], threads: int = 1) -> Distortion:
        """How far `decoded` frames are from the clip's; MS-SSIM where it is wanted and can be had."""
        return compare(self.pictures, decoded, self.matrix, load_ms_ssim(threads) if self.ms_ssim else None)

    def knows(self, point: Point | None) -> bool:
        """Whether there is nothing left to measure at a point."""
        return point is not None and (point.ms_ssim is not None or not self.ms_ssim)
