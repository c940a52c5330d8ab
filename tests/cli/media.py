# SPDX-License-Identifier: MIT
"""Clips through `gsv encode` and `gsv decode` in this process, and what PyAV finds in a file."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from gscodec_cli.main import cli

TINY = ["--preset", "ultrafast", "--gaussians", 20, "--yes"]
TINY += ["--key-iterations", 1, "--joint-iterations", 1, "--tune-iterations", 1]
Packet = tuple[Fraction, Fraction, bytes]  # begin and duration in seconds, data


def gsv(*arguments: object) -> None:
    """Run a verb; its errors are raised."""
    cli.main(args=[str(a) for a in arguments], standalone_mode=False)


def through(source: Path, folder: Path, suffix: str, *, encode: Iterable = (), decode: Iterable = ()) -> Path:
    """`source` encoded, with next to no training, and decoded as a clip of this kind."""
    coded, out = folder / "clip.gsv", folder / f"out{suffix}"
    gsv("encode", source, "-o", coded, *TINY, "--quiet", *encode)
    gsv("decode", coded, "-o", out, "--yes", "--quiet", *decode)
    return out


def packets_of(path: Path) -> list[list[Packet]]:
    """The packets of every stream of sound and subtitles, by stream."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        found: dict[int, list[Packet]] = {s.index: [] for s in streams}
        for packet in container.demux(*streams) if streams else ():
            if packet.size:
                base = packet.time_base
                found[packet.stream.index].append((packet.pts * base, packet.duration * base, bytes(packet)))
    return list(found.values())


def times_of(path: Path) -> list[Fraction]:
    """When the frames appear, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def first_frame(path: Path) -> av.VideoFrame:
    """The first frame."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def picture_stream(path: Path) -> dict[str, Any]:
    """What the container says of the picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "sar": stream.sample_aspect_ratio or Fraction(1),
            "size": (stream.codec_context.width, stream.codec_context.height),
            "seconds": stream.duration * stream.time_base if stream.duration else None,
            "streams": [
                (s.type, s.codec_context.codec.canonical_name, s.language) for s in container.streams if s.codec_context
            ],
        }


def side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    """The bytes of one kind of side data."""
    return next((bytes(data) for data in frame.side_data if data.type.name == name), None)


def display_matrix(path: Path) -> tuple[int, ...] | None:
    """The nine numbers, or None."""
    data = side_data(first_frame(path), "DISPLAYMATRIX")
    return struct.unpack("<9i", data) if data else None


def colour_of(path: Path) -> tuple[int, int, int, int]:
    """Primaries, transfer and matrix as H.273 has them, and 1 for full range."""
    frame = first_frame(path)
    codes = int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)
    return (*codes, int(int(frame.color_range) == 2))


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    format: str = "yuv420p",
    codec: str = "libx264",
    pts: Iterable[int] = range(6),
    time_base: Fraction = Fraction(1, 25),
    options: dict[str, str] | None = None,
    flags: int = 0,
    sound_at: int | None = None,
    sound: str = "aac",
    tags: tuple[int, int, int, int] = (2, 2, 2, 0),
) -> Path:
    """A clip of moving stripes; `sound_at`: also sound that begins at this time stamp in 1/8000 s."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt, stream.time_base = format, time_base
        context = stream.codec_context
        context.time_base = time_base
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        context.flags |= flags
        if sound_at is not None:
            _write_sound(container, container.add_stream(sound, rate=8000, layout="mono"), sound_at)
        for index, stamp in enumerate(pts):
            frame = _stripes(size, index).reformat(format=format)
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_sound(container: Any, sound: Any, begin: int) -> None:
    samples = (8000 * np.sin(np.arange(8000) / 5)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(samples, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 8000, begin, Fraction(1, 8000)
    container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def _stripes(size: tuple[int, int], index: int) -> av.VideoFrame:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    rgb = np.stack([(x * 4 + index * 8) % 256, (y * 5) % 256, (x + y) * 2 % 256], -1).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24")
