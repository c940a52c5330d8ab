# SPDX-License-Identifier: MIT
"""Video streams through PyAV: probing, time stamps of all frames, decoding a range. Imports no torch."""

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from itertools import chain, islice, pairwise
from pathlib import Path

import av

from gscodec_cli.errors import MediaError
from gscodec_cli.video.colour import is_rgb, resolve_full_range, resolve_matrix
from gscodec_cli.video.info import Timing, VideoInfo, nominal_timing, regular_timing

_HIDDEN_FRAMES = ("vp8", "vp9")  # packets of these may hold frames that are never shown, so packets do not count frames


def reason(error: BaseException) -> str:
    """One short phrase for why a library call failed."""
    return getattr(error, "strerror", None) or str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def open_stream(path: str) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open the best video stream of `path` for decoding with threads. Raises MediaError."""
    if not Path(path).exists():
        raise MediaError(f"{path}: no such file")
    try:
        container = av.open(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a readable video ({reason(error)})") from None
    with container:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise MediaError(f"{path}: no video stream in it")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def probe_stream(path: str) -> tuple[Timing, VideoInfo]:
    """Return the times of all frames and the properties of the video in `path`. Raises MediaError."""
    _, timing, info = _probe(*_identity(path))
    return timing, info


def _identity(path: str) -> tuple[str, int, int]:
    """The path and what tells that the file behind it is still the one that was scanned."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise MediaError(f"{path}: {reason(error)}") from None
    return path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _probe(path: str, _mtime: int, _size: int) -> tuple[Sequence[int | None], Timing, VideoInfo]:
    scan = _scan(path)
    with open_stream(path) as (container, stream):
        frame = _first_frame(path, container, stream)
        timing = _timing(scan, stream)
        return scan, timing, _describe(frame, stream, timing, bool(container.streams.audio))


def _first_frame(path: str, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    try:
        return next(container.decode(stream))
    except StopIteration:
        raise MediaError(f"{path}: the video has no frames") from None
    except av.FFmpegError as error:
        raise MediaError(f"{path}: frame 0 cannot be decoded ({reason(error)})") from None


def _scan(path: str) -> Sequence[int | None]:
    """Sorted time stamps of all shown frames: from the packets where they can be trusted, else by decoding."""
    with open_stream(path) as (container, stream):
        pts: array[int] = array("q")
        trusted = stream.codec_context.name.removeprefix("lib") not in _HIDDEN_FRAMES
        try:
            for packet in container.demux(stream) if trusted else ():
                if packet.is_discard or (packet.size == 0 and packet.dts is None):
                    continue
                if packet.pts is None:
                    trusted = False
                    break
                pts.append(packet.pts)
        except av.FFmpegError as error:
            raise MediaError(f"{path}: cannot be read to its end ({reason(error)})") from None
    ordered = array("q", sorted(pts))
    if trusted and ordered and all(a < b for a, b in pairwise(ordered)):
        return ordered
    return _scan_by_decoding(path)


def _scan_by_decoding(path: str) -> Sequence[int | None]:
    found: list[int | None] = []
    with open_stream(path) as (container, stream):
        try:
            found.extend(frame.pts for frame in container.decode(stream))
        except av.FFmpegError as error:
            raise MediaError(f"{path}: frame {len(found)} cannot be decoded ({reason(error)})") from None
    if not found:
        raise MediaError(f"{path}: the video has no frames")
    return found


def _timing(scan: Sequence[int | None], stream: av.VideoStream) -> Timing:
    rates = [Fraction(r) for r in (stream.average_rate, stream.base_rate) if r]
    known = [p for p in scan if p is not None]
    increasing = len(known) == len(scan) and all(a < b for a, b in pairwise(known))
    if not increasing or stream.time_base is None:
        return nominal_timing(len(scan), rates[0] if rates else None)
    duration = (stream.duration or 0) if len(scan) == 1 else 0
    return regular_timing(array("q", known), stream.time_base, rates, duration)


def _describe(frame: av.VideoFrame, stream: av.VideoStream, timing: Timing, has_audio: bool) -> VideoInfo:
    context = stream.codec_context
    rgb = is_rgb(frame.format)
    matrix = resolve_matrix(int(frame.colorspace), frame.height, rgb)
    sample = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
    return VideoInfo(
        width=frame.width,
        height=frame.height,
        frame_count=len(timing.pts),
        sar_num=sample.numerator,
        sar_den=sample.denominator,
        time_base=timing.time_base,
        frame_duration=timing.frame_duration,
        start_pts=timing.pts[0],
        colour_primaries=int(frame.color_primaries),
        transfer_characteristics=int(frame.color_trc),
        matrix_coefficients=0 if rgb else int(frame.colorspace),
        full_range=resolve_full_range(frame),
        bit_depth=max(c.bits for c in frame.format.components),
        has_audio=has_audio,
        conversion_matrix=matrix,
        notes=tuple(_notes(frame, matrix, rgb)),
    )


def _notes(frame: av.VideoFrame, matrix: int, rgb: bool) -> Iterator[str]:
    if not rgb and int(frame.colorspace) != matrix:
        name = {1: "BT.709", 6: "BT.601"}[matrix]
        yield f"colour matrix not stated in the source: read as {name} ({frame.height} lines)"
    if max(c.bits for c in frame.format.components) > 8:
        yield "source has more than 8 bits per sample: frames are rounded to 8 bits"
    if frame.rotation:
        yield f"source asks players to turn the picture by {frame.rotation} degrees: stored as coded, not turned"
    if frame.interlaced_frame:
        yield "source is interlaced: fields are kept as coded"
    if any(c.is_alpha for c in frame.format.components):
        yield "transparency is dropped"


def decode_range(path: str, frames: range) -> Iterator[av.VideoFrame]:
    """Yield the decoded frames of `frames` (display order), seeking to them where the file's time stamps allow it.

    Fewer frames come where the stream ends early. Raises MediaError for a frame that cannot be decoded.
    """
    with open_stream(path) as (container, stream):
        found = _seek(container, stream, _identity(path), frames.start) if frames.start > 0 else None
        if found is not None:
            yield from islice(found, len(frames))
            return
    with open_stream(path) as (container, stream):
        yield from islice(_guarded(path, container.decode(stream)), frames.start, frames.stop)


def _seek(
    container: av.container.InputContainer, stream: av.VideoStream, key: tuple[str, int, int], start: int
) -> Iterator[av.VideoFrame] | None:
    """Frames from `start` on after a seek, or None where the seek does not lead to a key frame at or before it."""
    scan, _, _ = _probe(*key)
    target = scan[start]
    if target is None:
        return None
    try:
        container.seek(target, stream=stream, backward=True)
        decoded = container.decode(stream)
        first = next(frame for frame in decoded if frame.key_frame)
        if first.pts is None or first.pts > target:
            return None
        reached = first if first.pts == target else next(frame for frame in decoded if frame.pts == target)
    except (av.FFmpegError, StopIteration):
        return None
    return chain([reached], _guarded(key[0], decoded))


def _guarded(path: str, decoded: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    try:
        yield from decoded
    except av.FFmpegError as error:
        raise MediaError(f"{path}: the picture cannot be decoded to its end ({reason(error)})") from None
