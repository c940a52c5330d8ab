# SPDX-License-Identifier: MIT
"""What a source's frames say beside their samples: orientation, HDR, chroma format. Imports no torch."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.sidedata.sidedata import Type

from gscodec.format.picture import PictureMetadata
from gscodec_cli.video.colour import bits_of, is_rgb

IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_STEPS = {"chromaticity": 50000, "luminance": 10000}
_DROPPED = {
    Type.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid metadata",
    Type.DOVI_METADATA: "Dolby Vision metadata",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the ambient viewing environment",
    Type.A53_CC: "closed captions inside the picture",
    Type.STEREO3D: "the stereo 3D layout",
    Type.SPHERICAL: "the spherical projection",
    Type.ICC_PROFILE: "the ICC profile",
}


def picture_metadata(frame: av.VideoFrame, codec: str, last_frame_duration: int) -> PictureMetadata:
    """The metadata of a clip whose first frame is `frame`."""
    found = {data.type: bytes(data) for data in _side_data(frame)}
    primaries, luminance = _mastering(found.get(Type.MASTERING_DISPLAY_METADATA, b""))
    light = found.get(Type.CONTENT_LIGHT_LEVEL, b"")
    return PictureMetadata(
        source_codec=codec,
        source_chroma_format=_chroma_format(frame.format),
        source_bit_depth=bits_of(frame.format),
        last_frame_duration=last_frame_duration,
        display_matrix=_display_matrix(found.get(Type.DISPLAYMATRIX, b"")),
        mastering_primaries=primaries,
        mastering_luminance=luminance,
        content_light=struct.unpack("<2I", light[:8]) if len(light) >= 8 and any(light[:8]) else None,
    )


def dropped(frame: av.VideoFrame) -> Iterator[str]:
    """Names of what the frame carries and a .gsv file does not."""
    kinds = {data.type for data in _side_data(frame)}
    yield from (name for kind, name in _DROPPED.items() if kind in kinds)


def _side_data(frame: av.VideoFrame) -> Iterator[Any]:
    return iter(frame.side_data)


def _chroma_format(format: av.VideoFormat) -> int:
    """Code of SPEC 6.15."""
    if is_rgb(format):
        return 4
    if len(format.components) < 3:
        return 5
    narrow, low = format.chroma_width(1 << 10) >> 9, format.chroma_height(1 << 10) >> 9  # 2: full, 1: half
    return {(1, 1): 1, (1, 2): 2, (2, 2): 3}.get((narrow, low), 0)


def _display_matrix(data: bytes) -> tuple[int, ...] | None:
    if len(data) < 36:
        return None
    matrix = struct.unpack("<9i", data[:36])
    return None if matrix == IDENTITY else matrix


def _mastering(data: bytes) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """AVMasteringDisplayMetadata as primaries (R, G, B, white; x, y) and luminance (largest, smallest)."""
    if len(data) < 88:
        return None, None
    numbers = struct.unpack("<22i", data[:88])
    values = [Fraction(a, b) if b else Fraction(0) for a, b in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    primaries = tuple(round(v * _STEPS["chromaticity"]) for v in values[:8]) if numbers[20] else None
    smallest, largest = (round(v * _STEPS["luminance"]) for v in values[8:])
    return primaries, (largest, smallest) if numbers[21] else None
