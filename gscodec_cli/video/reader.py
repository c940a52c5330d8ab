# SPDX-License-Identifier: MIT
"""Open a clip and read its frames as RGB of 8 or 16 bits, for the encoder and for `eval`. Imports no torch.

A clip is anything PyAV opens (y4m included), a folder of pictures or a printf pattern of them. Frames are decoded one
at a time as they are asked for, so memory does not grow with the clip.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from gscodec.format.streams import SOUND, SUBTITLES
from gscodec.format.tags import Tags, moved
from gscodec_cli.errors import MediaError
from gscodec_cli.video.colour import bits_of, is_rgb, resolve_full_range, resolve_matrix, to_rgb
from gscodec_cli.video.images import is_pattern, list_pictures
from gscodec_cli.video.info import NOMINAL_RATE, Timing, VideoInfo, nominal_timing
from gscodec_cli.video.metadata import picture_metadata
from gscodec_cli.video.sound import PacketReader
from gscodec_cli.video.streams import decode_range, packet_reader, probe_stream, reason


class VideoSource(ABC):
    """A range of frames of a clip. Iterating yields (rgb [H, W, 3], pts in ticks of info.time_base).

    Frames are uint8, or uint16 (white is 65535) where the clip has more than 8 bits per component. Every iteration
    starts anew and holds its own file handle until it ends.
    """

    def __init__(self, path: str, timing: Timing, frames: range, size: tuple[int, int] | None, info: VideoInfo) -> None:
        self.path = path
        self.frames = frames
        self._timing = timing
        self._size = size
        self._carried = tuple(range(len(info.streams)))
        shown = info.picture if frames.stop == len(timing.pts) else replace(info.picture, last_frame_duration=0)
        self.info = replace(info, frame_count=len(frames), start_pts=timing.pts[frames.start], picture=shown)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels that the frames are scaled to, None where they are as they were."""
        return self._size

    @property
    def pts(self) -> list[int]:
        """Time stamps of the frames, in ticks of `info.time_base`, strictly increasing."""
        return list(self._timing.pts[self.frames.start : self.frames.stop])

    def subrange(self, start: int, stop: int) -> "VideoSource":
        """Return frames start..stop-1 of this source as a source of their own; the file is not scanned again."""
        if not 0 <= start < stop <= len(self.frames):
            raise MediaError(f"{self.path}: frames {start}:{stop} are outside the clip's {len(self.frames)} frames")
        part = type(self)(self.path, self._timing, self.frames[start:stop], self._size, self.info)
        part._carried = self._carried
        return part

    def seconds(self, frame: int) -> Fraction:
        """When frame `frame` of this source appears, on the clip's own clock."""
        return self._timing.pts[self.frames.start + frame] * self._timing.time_base

    def without(self, *, sound: bool = False, subtitles: bool = False, tags: bool = False) -> "VideoSource":
        """This source without its sound, its subtitles, or its tags and chapters."""
        part = self.subrange(0, len(self))
        dropped = {kind for kind, drop in ((SOUND, sound), (SUBTITLES, subtitles)) if drop}
        kept = [(n, s) for n, s in zip(self._carried, self.info.streams, strict=True) if s.stream_type not in dropped]
        part._carried = tuple(number for number, _ in kept)
        streams = tuple(stream for _, stream in kept)
        part.info = replace(part.info, streams=streams, tags=Tags() if tags else part.info.tags)
        return part

    def packets(self) -> PacketReader:
        """The packets of `info.streams` that belong to these frames: all of them at the ends of the clip."""
        return packet_reader(self.path, self._carried, *self._bounds())

    @property
    def tags(self) -> Tags:
        """The tags of the file, and what of its chapters lies in these frames."""
        chapters = moved(self.info.tags.chapters, *self._bounds(), Fraction(0))
        return replace(self.info.tags, chapters=tuple(chapters))

    def _bounds(self) -> tuple[Fraction | None, Fraction | None]:
        """When these frames begin and end, in seconds on the clip's own clock; None at an end of the clip."""
        whole, last = self._timing.pts, self.frames.stop
        begin = self.seconds(0) if self.frames.start else None
        return begin, whole[last] * self._timing.time_base if last < len(whole) else None

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        for index, rgb in zip(self.frames, self._decode(), strict=False):
            yield rgb, self._timing.pts[index]

    @abstractmethod
    def _decode(self) -> Iterator[np.ndarray]:
        """Yield the RGB frames of `self.frames`, all of them or MediaError."""


class _StreamSource(VideoSource):
    """Frames of a video file."""

    def _decode(self) -> Iterator[np.ndarray]:
        reformatter = VideoReformatter()
        coded: tuple[int, int] | None = None
        index = self.frames.start
        for frame in decode_range(self.path, self.frames):
            coded = coded or (frame.width, frame.height)
            if (frame.width, frame.height) != coded:
                found = f"{frame.width}x{frame.height}"
                raise MediaError(f"{self.path}: frame {index} is {found}, the clip began with {coded[0]}x{coded[1]}")
            yield to_rgb(frame, reformatter, self.info.conversion_matrix, resolve_full_range(frame), self._size)
            index += 1
        if index < self.frames.stop:
            raise MediaError(
                f"{self.path}: the picture ends after frame {index - 1}, expected {self.frames.stop} frames"
            )


class _PictureSource(VideoSource):
    """Frames from numbered picture files."""

    def _decode(self) -> Iterator[np.ndarray]:
        files = list_pictures(self.path)
        first = None
        reformatter = VideoReformatter()
        for file in files[self.frames.start : self.frames.stop]:
            frame = _read_picture(file)
            first = first or (frame.width, frame.height)
            if (frame.width, frame.height) != first:
                found = f"{frame.width}x{frame.height}"
                raise MediaError(f"{file}: picture is {found}, the clip began with {first[0]}x{first[1]}")
            matrix = resolve_matrix(int(frame.colorspace), frame.height, is_rgb(frame.format))
            gray = len(frame.format.components) <= 2
            yield to_rgb(frame, reformatter, matrix, 1 if gray else resolve_full_range(frame), self._size)


def open_video(
    path: str | Path, *, frames: tuple[int, int | None] | None = None, size: tuple[int, int] | None = None
) -> VideoSource:
    """Open a clip: a video file, a folder of pictures or a printf pattern such as `img_%04d.png`.

    `frames` is (first, last + 1) in display order, None for the end; all frames by default. `size` (width, height) in
    pixels scales the frames with Lanczos. YCbCr becomes RGB by the source's own matrix and range; an unspecified
    matrix is read as BT.709 from 720 lines on and BT.601 below, which `info.notes` then says. RGB stays exact.

    Raises MediaError: not a video, no video stream, zero frames, unreadable, range outside the clip.
    """
    name = str(path)
    if is_pattern(name) or Path(name).is_dir():
        kind: type[VideoSource] = _PictureSource
        timing, info = _probe_pictures(name)
    else:
        kind = _StreamSource
        timing, info = probe_stream(name)
    total = len(timing.pts)
    start, stop = frames or (0, None)
    chosen = range(start, total if stop is None else stop)
    if not 0 <= chosen.start < chosen.stop <= total:
        raise MediaError(
            f"{name}: frames {chosen.start}:{chosen.stop} are outside the clip's {total} frames (0:{total})"
        )
    return kind(name, timing, chosen, size, _resized(info, size))


def _resized(info: VideoInfo, size: tuple[int, int] | None) -> VideoInfo:
    """`info` with the asked size and the sample aspect ratio that keeps the picture's shape."""
    if size is None:
        return info
    sample = Fraction(info.sar_num, info.sar_den) * Fraction(info.width * size[1], info.height * size[0])
    sample = sample.limit_denominator(4096)
    return replace(info, width=size[0], height=size[1], sar_num=max(1, sample.numerator), sar_den=sample.denominator)


def _probe_pictures(path: str) -> tuple[Timing, VideoInfo]:
    files = list_pictures(path)
    timing = nominal_timing(len(files), NOMINAL_RATE)
    frame = _read_picture(files[0])
    rgb = is_rgb(frame.format)
    alpha = any(c.is_alpha for c in frame.format.components)
    notes = ("pictures carry no times: 25 frames per second assumed",) + ("transparency is dropped",) * alpha
    info = VideoInfo(
        width=frame.width,
        height=frame.height,
        frame_count=len(files),
        sar_num=1,
        sar_den=1,
        time_base=timing.time_base,
        frame_duration=timing.frame_duration,
        start_pts=0,
        colour_primaries=2,
        transfer_characteristics=2,
        matrix_coefficients=0 if rgb else int(frame.colorspace),
        full_range=1,
        bit_depth=bits_of(frame.format),
        conversion_matrix=resolve_matrix(int(frame.colorspace), frame.height, rgb),
        notes=notes,
        picture=picture_metadata(frame, "", 0),
    )
    return timing, info


def _read_picture(file: Path) -> av.VideoFrame:
    try:
        with av.open(str(file)) as container:
            return next(container.decode(video=0))
    except StopIteration:
        raise MediaError(f"{file}: no picture in it") from None
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise MediaError(f"{file}: not a readable picture ({reason(error)})") from None
