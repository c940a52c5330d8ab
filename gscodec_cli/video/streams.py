# SPDX-License-Identifier: MIT
"""Video streams through PyAV: probing, time stamps of all frames, decoding a range. Imports no torch."""

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain, islice, pairwise
from pathlib import Path

import av
from av.codec.context import Flags

from gscodec_cli.errors import MediaError
from gscodec_cli.video.colour import bits_of, is_rgb, resolve_full_range, resolve_matrix
from gscodec_cli.video.deinterlace import deinterlaced
from gscodec_cli.video.info import Timing, VideoInfo, nominal_timing, regular_timing
from gscodec_cli.video.metadata import dropped, picture_metadata
from gscodec_cli.video.sound import PacketReader, codec_name, copied_streams, describe_stream, notes_on_streams
from gscodec_cli.video.tags import notes_on_tags, source_tags

_HIDDEN_FRAMES = ("vp8", "vp9")  # packets of these may hold frames that are never shown, so packets do not count frames


@dataclass(frozen=True)
class _Scan:
    """Sorted time stamps of all shown frames, and how long the last one is shown (0 = not known), in stream ticks."""

    pts: Sequence[int | None]
    last_duration: int = 0


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
        streams[0].codec_context.flags |= Flags.unaligned  # cropped as stated, not to what is fast
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
def _probe(path: str, _mtime: int, _size: int) -> tuple[_Scan, Timing, VideoInfo]:
    scan = _scan(path)
    with open_stream(path) as (container, stream):
        frame = _first_frame(path, container, stream)
        timing = _timing(scan, stream)
        return scan, timing, _describe(frame, container, stream, timing, scan.last_duration)


def _first_frame(path: str, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    try:
        return next(container.decode(stream))
    except StopIteration:
        raise MediaError(f"{path}: the video has no frames") from None
    except av.FFmpegError as error:
        raise MediaError(f"{path}: frame 0 cannot be decoded ({reason(error)})") from None


def _scan(path: str) -> _Scan:
    """The times of all frames: from the packets where they can be trusted, else by decoding."""
    with open_stream(path) as (container, stream):
        pts: array[int] = array("q")
        last, duration = -(1 << 63), 0
        trusted = stream.codec_context.name.removeprefix("lib") not in _HIDDEN_FRAMES
        try:
            for packet in container.demux(stream) if trusted else ():
                if packet.is_discard or (packet.size == 0 and packet.dts is None):
                    continue
                if packet.pts is None:
                    trusted = False
                    break
                pts.append(packet.pts)
                if packet.pts > last:
                    last, duration = packet.pts, packet.duration or 0
        except av.FFmpegError as error:
            raise MediaError(f"{path}: cannot be read to its end ({reason(error)})") from None
        end = (stream.start_time or 0) + stream.duration if stream.duration else None
        if end is not None and last < end < last + duration:
            duration = end - last  # an edit list ends inside the last frame
    ordered = array("q", sorted(pts))
    if trusted and ordered and all(a < b for a, b in pairwise(ordered)):
        return _Scan(ordered, duration)
    return _scan_by_decoding(path)


def _scan_by_decoding(path: str) -> _Scan:
    found: list[int | None] = []
    with open_stream(path) as (container, stream):
        try:
            for frame in container.decode(stream):
                found.append(frame.pts)
                duration = frame.duration or 0
        except av.FFmpegError as error:
            raise MediaError(f"{path}: frame {len(found)} cannot be decoded ({reason(error)})") from None
    if not found:
        raise MediaError(f"{path}: the video has no frames")
    return _Scan(found, duration)


def _timing(scan: _Scan, stream: av.VideoStream) -> Timing:
    rates = [Fraction(r) for r in (stream.average_rate, stream.base_rate) if r]
    known = [p for p in scan.pts if p is not None]
    increasing = len(known) == len(scan.pts) and all(a < b for a, b in pairwise(known))
    if not increasing or stream.time_base is None:
        return nominal_timing(len(scan.pts), rates[0] if rates else None)
    return regular_timing(array("q", known), stream.time_base, rates, scan.last_duration)


def _describe(
    frame: av.VideoFrame,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    timing: Timing,
    last_duration: int,
) -> VideoInfo:
    context, streams = stream.codec_context, copied_streams(container)
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
        bit_depth=bits_of(frame.format),
        conversion_matrix=matrix,
        notes=(*_notes(frame, matrix, rgb), *notes_on_streams(container, stream), *notes_on_tags(container)),
        picture=picture_metadata(frame, codec_name(stream), _held(last_duration, stream, timing)),
        streams=tuple(map(describe_stream, streams)),
        interlaced=bool(frame.interlaced_frame),
        tags=source_tags(container),
    )


def _held(last_duration: int, stream: av.VideoStream, timing: Timing) -> int:
    """How long the last frame is shown, in ticks of `timing`; 0 where it is as SPEC 6.4 says anyway."""
    if not last_duration or not stream.time_base:
        return 0
    held = round(last_duration * stream.time_base / timing.time_base)
    usual = timing.frame_duration or (timing.pts[-1] - timing.pts[-2] if len(timing.pts) > 1 else 0)
    if abs(held - usual) * timing.time_base < stream.time_base:  # the same but for the source's rounding
        return 0
    return held


def packet_reader(path: str, chosen: Sequence[int], begin: Fraction | None, end: Fraction | None) -> PacketReader:
    """The packets of those of `VideoInfo.streams` whose numbers are `chosen`, between two times in seconds."""
    with open_stream(path) as (container, _):
        streams = copied_streams(container)
        return PacketReader(path, [streams[number].index for number in chosen], begin, end)


def _notes(frame: av.VideoFrame, matrix: int, rgb: bool) -> Iterator[str]:
    if not rgb and int(frame.colorspace) != matrix:
        name = {1: "BT.709", 6: "BT.601"}[matrix]
        yield f"colour matrix not stated in the source: read as {name} ({frame.height} lines)"
    if bits_of(frame.format) > 12:
        yield f"source has {bits_of(frame.format)} bits per sample: frames are rounded to 12 bits"
    if frame.interlaced_frame:
        yield "source is interlaced: it is deinterlaced (bwdif), one frame for each of its frames"
    if lost := list(dropped(frame)):
        yield f"not carried: {', '.join(lost)}"
    if any(c.is_alpha for c in frame.format.components):
        yield "transparency is dropped"


def decode_range(path: str, frames: range) -> Iterator[av.VideoFrame]:
    """Yield the decoded frames of `frames` (display order), seeking to them where the file's time stamps allow it.

    Frames of an interlaced source are deinterlaced. Fewer frames come where the stream ends early. Raises MediaError
    for a frame that cannot be decoded, or that is interlaced where the source began without.
    """
    if _probe(*_identity(path))[2].interlaced:
        first = max(0, frames.start - 1)  # a frame's neighbours belong to its deinterlacing
        whole = deinterlaced(_decode_coded(path, range(first, frames.stop + 1)))
        yield from islice(whole, frames.start - first, frames.stop - first)
        return
    for index, frame in enumerate(_decode_coded(path, frames), frames.start):
        if frame.interlaced_frame:
            begins = f"{path}: frame {index} is interlaced, the frames before it are not"
            raise MediaError(f"{begins}; deinterlace the clip first (ffmpeg -vf bwdif)")
        yield frame


def _decode_coded(path: str, frames: range) -> Iterator[av.VideoFrame]:
    """The frames as they are coded."""
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
    target = scan.pts[start]
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
