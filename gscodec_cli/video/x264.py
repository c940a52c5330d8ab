# SPDX-License-Identifier: MIT
"""MP4, MOV and MKV output through x264. Pipeline: output. Imports no torch.

x264 runs in a thread of its own behind a short queue, so drawing the next frames overlaps with encoding.
"""

from collections.abc import Callable
from functools import partial
from queue import Queue
from threading import Event, Thread
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from gscodec_cli.errors import OutputError
from gscodec_cli.video.colour import from_rgb, output_format
from gscodec_cli.video.writing import ClipFormat, FileWriter, WriteOptions

ENCODED_SUFFIXES = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_QUEUE_FRAMES = 4
_PRESET = "veryfast"  # at these rates x264's effort changes the bytes, hardly the picture


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


class X264Writer(FileWriter):
    """H.264 in MP4, MOV or MKV: 4:2:0 (4:4:4 for odd sizes) at a CRF, or lossless RGB."""

    def __init__(self, target: str, clip: ClipFormat, options: WriteOptions) -> None:
        super().__init__(target, options)
        self.clip = clip
        self.options = options
        self.container_format = ENCODED_SUFFIXES[self.output.target.suffix.lower()]
        self.reformatter = VideoReformatter()
        self.queue: Queue[tuple[np.ndarray, int, int] | None] = Queue(_QUEUE_FRAMES)
        self.failure: BaseException | None = None
        self.stopping = Event()
        self.worker = Thread(target=self._work, name="x264", daemon=True)

    def begin(self, file: BinaryIO) -> None:
        if self.container_format != "matroska" and not file.seekable():
            raise OutputError(f"{self.output.target}: {self.container_format} cannot be written to a pipe; use .mkv")
        # Edit lists count in the movie's time scale: with the stream's own, start offsets are kept exactly.
        exact = {} if self.container_format == "matroska" else {"movie_timescale": str(self.clip.time_base.denominator)}
        try:
            self.sink = _Sink(file)
            self.container = av.open(self.sink, "w", format=self.container_format, options=exact)
            self.stream = self._add_stream()
        except (OverflowError, av.FFmpegError) as error:
            raise self._refused(error) from error
        self.worker.start()

    def _refused(self, error: Exception) -> Exception:
        """What the muxer or the encoder does not accept, said so that it helps; failed writes stay what they are."""
        if isinstance(error, OSError):
            return error
        held = f"{self.container_format} with x264 cannot hold this clip's size or times"
        return OutputError(f"{self.output.target}: {held} ({' '.join(str(error).split())}); try --fps R or .y4m")

    def _add_stream(self) -> av.VideoStream:
        clip, options = self.clip, self.options
        if options.lossless:
            self.pixel_format, self.matrix, self.range = "rgb24", 0, 1
        else:
            self.pixel_format, self.matrix, self.range = output_format(
                clip.width, clip.height, clip.matrix_coefficients, clip.full_range, options.pixel_format
            )
        codec = "libx264rgb" if options.lossless else "libx264"
        quality = {"qp": "0"} if options.lossless else {"crf": f"{options.crf:g}"}
        stream: Any = self.container.add_stream(codec, rate=clip.rate, options={"preset": _PRESET, **quality})
        context = stream.codec_context
        context.width, context.height = clip.width, clip.height
        context.pix_fmt = self.pixel_format
        context.time_base = stream.time_base = clip.time_base
        context.sample_aspect_ratio = clip.sar
        context.color_primaries = clip.colour_primaries
        context.color_trc = clip.transfer_characteristics
        context.colorspace = self.matrix
        context.color_range = 2 if self.range == 1 else 1
        context.thread_count = options.threads
        return stream

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """Hand one frame [H, W, 3] uint8 to the encoder's thread; the array must not change afterwards."""
        if self.failure is not None:
            raise self.failure
        self.queue.put((rgb, pts, duration))

    def end(self) -> None:
        self.queue.put(None)
        self.worker.join()
        if self.failure is not None:
            raise self.failure

    def abandon(self) -> None:
        self.stopping.set()
        if self.worker.is_alive():
            self.queue.put(None)
            self.worker.join()

    def _work(self) -> None:
        """Encode until None comes. After a failure frames are still taken, so that `write` never waits for ever."""
        durations: dict[int, int] = {}
        while (item := self.queue.get()) is not None:
            if self.failure is None and not self.stopping.is_set():
                self._attempt(partial(self._encode, *item, durations))
        if self.failure is None and not self.stopping.is_set():
            self._attempt(partial(self._finish, durations))

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (OverflowError, av.FFmpegError) as error:
            self.failure = self._refused(error)
        except BaseException as error:
            self.failure = error

    def _encode(self, rgb: np.ndarray, pts: int, duration: int, durations: dict[int, int]) -> None:
        durations[pts] = duration
        self._mux(self._frame(rgb, pts), durations)

    def _finish(self, durations: dict[int, int]) -> None:
        self._mux(None, durations)
        self.container.close()
        self.sink.check()

    def _frame(self, rgb: np.ndarray, pts: int) -> av.VideoFrame:
        if self.options.lossless:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        else:
            frame = from_rgb(rgb, self.reformatter, self.pixel_format, self.matrix, self.range)
        frame.pts = pts
        frame.time_base = self.clip.time_base
        return frame

    def _mux(self, frame: av.VideoFrame | None, durations: dict[int, int]) -> None:
        for packet in self.stream.encode(frame):
            if packet.pts in durations:
                packet.duration = durations.pop(packet.pts)
            self.container.mux(packet)
            self.sink.check()
