# SPDX-License-Identifier: MIT
"""MP4, MOV and MKV output through x264 or, for more than 8 bits, x265. Pipeline: output. Imports no torch.

The encoder runs in a thread of its own behind a short queue, so drawing the next frames overlaps with encoding.
"""

from collections.abc import Callable, Sequence
from functools import partial
from queue import Queue
from threading import Event, Thread
from typing import BinaryIO

import av
import numpy as np

from gscodec.format.streams import PacketRecord
from gscodec_cli.errors import OutputError
from gscodec_cli.video.encoders import PictureEncoder
from gscodec_cli.video.muxing import FORMATS, Muxer
from gscodec_cli.video.writing import ClipFormat, FileWriter, WriteOptions

ENCODED_SUFFIXES = FORMATS
_QUEUE_FRAMES = 4


class X264Writer(FileWriter):
    """H.264 or HEVC in MP4, MOV or MKV: the source's chroma format and depth at a CRF, or lossless RGB."""

    def __init__(self, target: str, clip: ClipFormat, options: WriteOptions) -> None:
        super().__init__(target, options)
        self.clip = clip
        self.options = options
        self.container_format = ENCODED_SUFFIXES[self.output.target.suffix.lower()]
        self.queue: Queue[Callable[[], None] | None] = Queue(_QUEUE_FRAMES)
        self.durations: dict[int, int] = {}
        self.first_pts, self.first_dts, self.span = 1 << 62, 0, 0  # span: from the first frame to the end of the last
        self.held: av.Packet | None = None  # the last packet so far
        self.failure: BaseException | None = None
        self.stopping = Event()
        self.worker = Thread(target=self._work, name="x264", daemon=True)

    def begin(self, file: BinaryIO) -> None:
        if self.container_format != "matroska" and not file.seekable():
            raise OutputError(f"{self.output.target}: {self.container_format} cannot be written to a pipe; use .mkv")
        try:
            self.encoder = PictureEncoder(self.clip, self.options)
            self.muxer = Muxer(file, str(self.output.target), self.container_format, self.encoder)
        except (OverflowError, av.FFmpegError) as error:
            raise self._refused(error) from error
        self.worker.start()

    def _refused(self, error: Exception) -> Exception:
        """What the muxer or the encoder does not accept, said so that it helps; failed writes stay what they are."""
        if isinstance(error, OSError):
            return error
        held = f"{self.container_format} with {self._codec()} cannot hold this clip's size or times"
        return OutputError(f"{self.output.target}: {held} ({' '.join(str(error).split())}); try --fps R or .y4m")

    def _codec(self) -> str:
        return "x264" if self.clip.bit_depth == 8 else "x265"

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """Hand one frame [H, W, 3] to the encoder's thread; the array must not change afterwards."""
        self._hand(partial(self._encode, rgb, pts, duration))

    def write_packets(self, packets: Sequence[PacketRecord]) -> None:
        """Hand packets of sound and subtitles to the muxer; they come before the frames of their time."""
        if packets:
            self._hand(partial(self.muxer.write_copied, packets))

    def _hand(self, step: Callable[[], None]) -> None:
        if self.failure is not None:
            raise self.failure
        self.queue.put(step)

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
        """Work until None comes. After a failure steps are still taken, so that `write` never waits for ever."""
        while (step := self.queue.get()) is not None:
            self._attempt(step)
        self._attempt(self._finish)

    def _attempt(self, step: Callable[[], None]) -> None:
        if self.failure is not None or self.stopping.is_set():
            return
        try:
            step()
        except (OverflowError, av.FFmpegError) as error:
            self.failure = self._refused(error)
        except BaseException as error:
            self.failure = error

    def _encode(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        self.durations[pts] = duration
        self.first_pts = min(self.first_pts, pts)
        self.span = pts + duration - self.first_pts
        self._mux(self.encoder.encode(rgb, pts))

    def _finish(self) -> None:
        self._mux(self.encoder.encode(None))
        if self.held is not None:
            if self.container_format != "matroska" and self.held.dts is not None:
                # MP4 counts a track's length in decoding times: this makes it the frames' own.
                self.held.duration = max(1, self.span - (self.held.dts - self.first_dts))
            self.muxer.write_picture(self.held)
        self.muxer.close()

    def _mux(self, packets: Sequence[av.Packet]) -> None:
        for packet in packets:
            if packet.pts in self.durations:
                packet.duration = self.durations.pop(packet.pts)
            if self.held is not None:
                self.muxer.write_picture(self.held)
            elif packet.dts is not None:
                self.first_dts = packet.dts
            self.held = packet
