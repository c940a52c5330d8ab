# SPDX-License-Identifier: MIT
"""The encoder of a written clip: x264 for 8 bits, x265 for more; RGB frames to its pictures. Imports no torch."""

from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import VideoReformatter

from gscodec.format.picture import PictureMetadata
from gscodec_cli.video.colour import bits_of, from_rgb, is_rgb, output_format
from gscodec_cli.video.writing import ClipFormat, WriteOptions

HEVC = "libx265"
_FEW_FRAMES = 8  # x265 makes up decoding times for clips of 1 or 2 frames where it may reorder them
_PRESET = "veryfast"  # at these rates the encoder's effort changes the bytes, hardly the picture


class PictureEncoder:
    """Encodes RGB frames by `encoder`, PyAV's name for it, once `open` has been called.

    Raises av.FFmpegError, OverflowError.
    """

    def __init__(self, clip: ClipFormat, options: WriteOptions) -> None:
        self.clip, self._options = clip, options
        self._reformatter = VideoReformatter()
        self.pixel_format, self.matrix, self.range = _format(clip, options)
        format = av.VideoFormat(self.pixel_format)
        self.encoder = HEVC if bits_of(format) > 8 else "libx264rgb" if is_rgb(format) else "libx264"

    def open(self, context: Any) -> Any:
        """Configure and open `context`, one of `encoder`, and encode by it; returns it."""
        clip, options, name = self.clip, self._options, self.encoder
        self._context = context
        context.options = {"preset": _PRESET, **_quality(name, options), **_parameters(name, clip.picture, options)}
        context.width, context.height = clip.width, clip.height
        context.pix_fmt = self.pixel_format
        context.time_base, context.framerate = clip.time_base, clip.rate
        context.sample_aspect_ratio = clip.sar
        context.color_primaries = clip.colour_primaries
        context.color_trc = clip.transfer_characteristics
        context.colorspace = self.matrix
        context.color_range = 2 if self.range == 1 else 1
        context.thread_count = options.threads
        if not clip.frame_duration or clip.frame_count < _FEW_FRAMES:
            context.max_b_frames = 0  # decoding times are then the frames' own, and so is the length of the track
        context.flags |= Flags.global_header
        context.open()
        return context

    def encode(self, rgb: np.ndarray | None, pts: int = 0) -> list[av.Packet]:
        """Packets that are ready after one more frame [H, W, 3], uint8 or uint16; all that are left for None."""
        if rgb is None:
            return list(self._context.encode(None))
        frame = from_rgb(rgb, self._reformatter, self.pixel_format, self.matrix, self.range)
        frame.pts, frame.time_base = pts, self.clip.time_base
        return list(self._context.encode(frame))


def _format(clip: ClipFormat, options: WriteOptions) -> tuple[str, int, int]:
    """(pixel format, matrix, range) of the output."""
    if options.lossless:
        return "rgb24" if clip.bit_depth == 8 else f"gbrp{clip.bit_depth}le", 0, 1
    return output_format(
        clip.width,
        clip.height,
        clip.matrix_coefficients,
        clip.full_range,
        options.pixel_format,
        clip.chroma,
        clip.bit_depth,
    )


def _quality(name: str, options: WriteOptions) -> dict[str, str]:
    if not options.lossless:
        return {"crf": f"{options.crf:g}"}
    return {} if name == HEVC else {"qp": "0"}


def _parameters(name: str, picture: PictureMetadata, options: WriteOptions) -> dict[str, str]:
    """The encoder's own parameters: HDR metadata for its SEI messages, and silence."""
    display, light = ("master-display", "max-cll") if name == HEVC else ("mastering-display", "cll")
    parts = ["log-level=none"] if name == HEVC else []
    if name == HEVC and options.lossless:
        parts.append("lossless=1")
    if picture.mastering_primaries and picture.mastering_luminance:
        rx, ry, gx, gy, bx, by, wx, wy = picture.mastering_primaries
        largest, smallest = picture.mastering_luminance
        parts.append(f"{display}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({largest},{smallest})")
    if picture.content_light:
        parts.append(f"{light}={picture.content_light[0]},{picture.content_light[1]}")
    key = "x265-params" if name == HEVC else "x264-params"
    return {key: ":".join(parts)} if parts else {}
