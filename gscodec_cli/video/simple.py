# SPDX-License-Identifier: MIT
"""Uncompressed and picture outputs: .npy, raw RGB on standard output, numbered PNG files, y4m. Imports no torch.

Frames of more than 8 bits are written with 16 (white is 65535), in y4m with their own depth.
"""

import re
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from av.video.reformatter import VideoReformatter

from gscodec_cli.errors import UsageError
from gscodec_cli.output import OutputFolder, check_target, output_error
from gscodec_cli.video.colour import UNSPECIFIED, from_rgb, output_format
from gscodec_cli.video.png import png_bytes
from gscodec_cli.video.writing import ClipFormat, FileWriter, FrameWriter, WriteOptions

NUMBER = re.compile(r"%(0?\d*)d")
_Y4M_EIGHT_BITS = {"420": "420mpeg2", "422": "422", "444": "444"}


class NpyWriter(FileWriter):
    """One array [T, H, W, 3] uint8 or uint16, written frame by frame."""

    def __init__(self, target: str, clip: ClipFormat, options: WriteOptions) -> None:
        super().__init__(target, options)
        self.shape = (clip.frame_count, clip.height, clip.width, 3)
        self.kind = "|u1" if clip.bit_depth == 8 else "<u2"
        self.written = 0

    def begin(self, file: BinaryIO) -> None:
        header = {"descr": self.kind, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, header)

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        self.output.file.write(np.ascontiguousarray(rgb).data)
        self.written += 1

    def end(self) -> None:
        """Say how many frames there are where a damaged stream ended early; the header has room for any number."""
        if self.written < self.shape[0]:
            self.shape = (self.written, *self.shape[1:])
            self.output.file.seek(0)
            self.begin(self.output.file)


class RawWriter(FrameWriter):
    """Raw RGB24 on standard output, or RGB48 (little-endian) for more than 8 bits."""

    def __init__(self, target: str, clip: ClipFormat, options: WriteOptions) -> None:
        if sys.stdout.isatty():
            raise UsageError("-o -: standard output is a terminal; pipe the raw RGB24 frames into a program or file")
        self.file = sys.stdout.buffer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise output_error("standard output", error) from error

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """Write one frame [H, W, 3]."""
        self.file.write(np.ascontiguousarray(rgb).data)
        self.file.flush()


def numbered(pattern: Path, number: int) -> Path:
    """The file of frame `number`: the printf integer in the pattern's name, if it has one, filled in."""
    return pattern.with_name(NUMBER.sub(lambda found: format(number, f"{found[1]}d"), pattern.name))


class PngWriter(FrameWriter):
    """Numbered PNG files that appear together; the printf pattern is filled with the frame's number."""

    def __init__(self, target: str, clip: ClipFormat, options: WriteOptions) -> None:
        self.pattern = Path(target)
        self.number = options.first_number
        for name in (numbered(self.pattern, self.number + k) for k in range(clip.frame_count)):
            if name.exists() or name.parent.is_dir():
                check_target(name, overwrite=options.overwrite)
        self.folder = OutputFolder(self.pattern.parent)

    def __enter__(self) -> Self:
        self.folder.__enter__()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.folder.__exit__(kind, error, None)

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """Write one frame [H, W, 3] as the next file."""
        self.folder.add(numbered(self.pattern, self.number)).write_bytes(png_bytes(rgb))
        self.number += 1


class Y4mWriter(FileWriter):
    """A .y4m file.

    It cannot name a matrix, so BT.709 from 720 lines on and BT.601 below, as readers assume; it has no time stamps,
    so irregular times are lost.
    """

    def __init__(self, target: str, clip: ClipFormat, options: WriteOptions) -> None:
        super().__init__(target, options)
        self.clip = clip
        self.pixel_format, self.matrix, self.range = output_format(
            clip.width,
            clip.height,
            UNSPECIFIED,
            clip.full_range,
            options.pixel_format,
            clip.chroma,
            clip.bit_depth,
        )
        self.reformatter = VideoReformatter()

    def begin(self, file: BinaryIO) -> None:
        clip, rate, sar = self.clip, self.clip.rate, self.clip.sar
        colour_range = "FULL" if self.range == 1 else "LIMITED"
        size = f"W{clip.width} H{clip.height} F{rate.numerator}:{rate.denominator}"
        shape = f"A{sar.numerator}:{sar.denominator} {_y4m_tag(self.pixel_format)}"
        file.write(f"YUV4MPEG2 {size} Ip {shape} XCOLORRANGE={colour_range}\n".encode())

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """Write one frame [H, W, 3]."""
        frame = from_rgb(rgb, self.reformatter, self.pixel_format, self.matrix, self.range)
        self.output.file.write(b"FRAME\n")
        for plane in frame.planes:
            samples = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            used = plane.width * (1 if frame.format.components[0].bits == 8 else 2)
            self.output.file.write(np.ascontiguousarray(samples[:, :used]).data)


def _y4m_tag(pixel_format: str) -> str:
    """`C420mpeg2`, or `C420p10 XYSCSS=420P10` for yuv420p10le."""
    chroma, _, depth = pixel_format.removeprefix("yuv").removesuffix("le").partition("p")
    return f"C{chroma}p{depth} XYSCSS={chroma}P{depth}" if depth else f"C{_Y4M_EIGHT_BITS[chroma]}"
