# SPDX-License-Identifier: MIT
"""A writer in a thread of its own, so that making frames and writing them overlap. Imports no torch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from gscodec.format.streams import PacketRecord
from gscodec_cli.video.writing import FrameWriter

_WAITING = 32  # frames between the two threads


class BackgroundWriter:
    """Takes frames and packets as `FrameWriter` does, and hands them to it in order from another thread."""

    def __init__(self, writer: FrameWriter) -> None:
        self._writer = writer
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="clip-writer", daemon=True)
        self._thread.start()

    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """See FrameWriter.write. Raises what writing an earlier frame has raised."""
        self._put(lambda: self._writer.write(rgb, pts, duration))

    def write_packets(self, packets: Sequence[PacketRecord]) -> None:
        """See FrameWriter.write_packets. Raises what earlier writing has raised."""
        self._put(lambda: self._writer.write_packets(packets))

    def finish(self) -> None:
        """Wait until everything is written. Raises what writing has raised."""
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abandon(self, error: BaseException) -> None:
        """Write no more, because of `error`, and wait for the thread."""
        self._error = self._error or error
        self._queue.put(None)
        self._thread.join()

    def _put(self, work: Callable[[], None]) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(work)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is None:  # after a failure the rest is only taken off the queue
                try:
                    work()
                except BaseException as error:
                    self._error = error


@contextmanager
def in_background(writer: FrameWriter, *, wanted: bool) -> Iterator[FrameWriter | BackgroundWriter]:
    """The open writer, behind a thread if wanted; the clip is complete only when the block ends without an error."""
    with writer as opened:
        if not wanted:
            yield opened
            return
        thread = BackgroundWriter(opened)
        try:
            yield thread
        except BaseException as error:
            thread.abandon(error)
            raise
        thread.finish()
