# SPDX-License-Identifier: MIT
"""MP4, MOV and MKV containers: a picture with its orientation, and copied sound and subtitles. Imports no torch."""

import math
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO

import av

from gscodec.format.streams import KEY, SOUND, STREAM_TYPES, PacketRecord, StreamInfo
from gscodec_cli.errors import OutputError
from gscodec_cli.video.encoders import HEVC, PictureEncoder
from gscodec_cli.video.sound import stream_template
from gscodec_cli.video.tags import muxer_options, put_tags

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_MATRIX_OFFSET = 44  # of the matrix in a tkhd box of version 0, from the name of the box
_LARGEST_SCALE = (1 << 31) - 1
_FINEST = 20000  # ticks per second that the MP4 muxer makes of coarser ones, at most
_LARGEST_TIME = 1 << 62
_COPIED = (
    *("extradata", "width", "height", "pix_fmt", "sample_aspect_ratio"),
    *("colorspace", "color_range", "color_primaries", "color_trc"),
)


class _Sink:
    """The file as PyAV sees it, which never fails: PyAV prints errors that meet on their way to the caller.

    `failure` is the first one; nothing is written after it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seekable = file.seekable
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        self._attempt(partial(self.file.write, data))
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._attempt(partial(self.file.seek, offset, whence))

    def tell(self) -> int:
        return self._attempt(self.file.tell)

    def _attempt(self, step: Callable[[], int]) -> int:
        if self.failure is None and not self.file.closed:
            try:
                return step()
            except OSError as error:
                self.failure = error
        return 0

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self.failure is not None:
            raise self.failure


class Muxer:
    """Writes packets of an encoder, and copied ones, into `file`.

    Raises OutputError for a stream that the container cannot hold, OSError, av.FFmpegError, OverflowError.
    """

    def __init__(self, file: BinaryIO, target: str, format: str, encoder: PictureEncoder) -> None:
        self._target, self._format = target, format
        clip = encoder.clip
        self.sink = _Sink(file)
        options = {} if format == "matroska" else {"movie_timescale": str(_movie_scale(encoder))}
        options |= muxer_options(format, clip.tags)
        self._container: Any = av.open(self.sink, "w", format=format, options=options)
        put_tags(self._container, clip.tags)
        self._picture = self._add_picture(encoder)
        self._bases = [Fraction(info.time_base_num, info.time_base_den) for info in clip.streams]
        self._copied = [self._add_stream(number, info) for number, info in enumerate(clip.streams)]

    def _add_picture(self, encoder: PictureEncoder) -> Any:
        matrix = encoder.clip.picture.display_matrix
        if matrix is None:
            stream = self._container.add_stream(encoder.encoder, rate=encoder.clip.rate)
            encoder.open(stream.codec_context)
        else:
            stream = self._container.add_stream_from_template(_turned_template(encoder.encoder, matrix), opaque=True)
            source = encoder.open(av.CodecContext.create(encoder.encoder, "w"))
            for name in _COPIED:
                setattr(stream.codec_context, name, getattr(source, name))
        if encoder.encoder == HEVC and self._format != "matroska":
            stream.codec_context.codec_tag = "hvc1"  # what players of Apple want
        stream.time_base = encoder.clip.time_base
        return stream

    def _add_stream(self, number: int, info: StreamInfo) -> Any:
        template = stream_template(info.codec)
        try:
            if template is None:
                raise ValueError
            stream = self._container.add_stream_from_template(template, opaque=True)
        except ValueError:
            raise self._cannot_hold(number, info) from None
        context = stream.codec_context
        context.extradata = info.extra_data or None
        if info.stream_type == SOUND:
            context.sample_rate = info.sample_rate
            context.layout = info.channel_layout or f"{info.channel_count} channels"
        if info.bit_rate:
            context.bit_rate = info.bit_rate
        stream.time_base = self._bases[number]
        stream.disposition = info.disposition
        stream.metadata.update((k, v) for k, v in (("language", info.language), ("title", info.title)) if v)
        return stream

    def _cannot_hold(self, number: int, info: StreamInfo) -> OutputError:
        kind = STREAM_TYPES[info.stream_type]
        what = f"{self._target}: {self._format} cannot hold stream {number} ({kind}, {info.codec})"
        other = ".mp4" if self._format == "matroska" else ".mkv"
        leave = "--no-audio" if info.stream_type == SOUND else "--no-subtitles"
        return OutputError(f"{what}; write {other}, or leave it out with {leave}")

    def write_picture(self, packet: av.Packet) -> None:
        """Write one packet of the encoder. Raises OverflowError for times that a muxer would bend without a word."""
        ticks = max(abs(packet.pts or 0), abs(packet.dts or 0)) * packet.time_base
        if ticks * max(packet.time_base.denominator, _FINEST) >= _LARGEST_TIME:
            raise OverflowError(f"time stamp {packet.pts} is too large")
        packet.stream = self._picture
        self._write(packet)

    def write_copied(self, records: Iterable[PacketRecord]) -> None:
        """Write packets of sound and subtitles; those of no bytes are left out, as containers have none."""
        for record in records:
            if record.data:
                packet = av.Packet(record.data)
                packet.stream = self._copied[record.stream]
                packet.time_base = self._bases[record.stream]
                packet.pts = packet.dts = record.pts
                packet.duration = record.duration
                packet.is_keyframe = bool(record.flags & KEY)
                self._write(packet)

    def _write(self, packet: av.Packet) -> None:
        self._container.mux(packet)
        self.sink.check()

    def close(self) -> None:
        """Write what comes last. Raises OSError where something could not be written."""
        self._container.close()
        self.sink.check()


def _movie_scale(encoder: PictureEncoder) -> int:
    """Ticks per second of edit lists: they hold the start of every stream exactly where one scale can."""
    own = encoder.clip.time_base.denominator
    scale = math.lcm(own, *(info.sample_rate or info.time_base_den for info in encoder.clip.streams))
    return scale if scale <= _LARGEST_SCALE else own


def _turned_template(encoder: str, matrix: tuple[int, ...]) -> Any:
    """A stream that says `matrix` to a muxer; PyAV has no setter for it, but keeps what a demuxer has read."""
    data = BytesIO()
    with av.open(data, "w", format="mp4") as container:
        name, silence = (HEVC, {"x265-params": "log-level=none"}) if encoder == HEVC else ("libx264", {})
        stream: Any = container.add_stream(name, rate=1, options=silence)
        stream.width = stream.height = 64
        stream.codec_context.max_b_frames = 0  # x265 makes up decoding times for clips of 1 or 2 frames with them
        frame = av.VideoFrame(64, 64, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    written = bytearray(data.getvalue())
    start = written.index(b"tkhd") + _MATRIX_OFFSET
    written[start : start + 36] = struct.pack(">9i", *matrix)
    return av.open(BytesIO(bytes(written))).streams.video[0]
