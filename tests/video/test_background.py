# SPDX-License-Identifier: MIT
"""Writing in a thread: order, failures on either side, and that only a whole clip gets its name."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gscodec_cli.video.background import in_background
from gscodec_cli.video.writing import FrameWriter

FRAME = np.zeros((2, 2, 3), np.uint8)


class Recorder(FrameWriter):
    """Remembers what it is given, by which thread, and how it ended; fails at the frame with a given time."""

    def __init__(self, fails_at: int = -1) -> None:
        self.seen: list[tuple[str, int]] = []
        self.threads: set[int] = set()
        self.fails_at, self.error = fails_at, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.error = error

    def write(self, rgb, pts, duration):
        self.threads.add(threading.get_ident())
        if pts == self.fails_at:
            raise OSError("disk full")
        self.seen.append(("frame", pts))

    def write_packets(self, packets):
        self.seen.append(("packets", len(packets)))


def test_frames_and_packets_keep_their_order_in_another_thread():
    recorder = Recorder()
    with in_background(recorder, wanted=True) as writer:
        for pts in range(100):
            writer.write_packets([None] * pts)
            writer.write(FRAME, pts, 1)
    assert recorder.seen == [item for pts in range(100) for item in (("packets", pts), ("frame", pts))]
    assert recorder.threads
    assert threading.get_ident() not in recorder.threads
    assert recorder.error is None


def test_a_failure_of_the_writer_reaches_the_caller():
    recorder = Recorder(fails_at=3)
    with pytest.raises(OSError, match="disk full"), in_background(recorder, wanted=True) as writer:
        for pts in range(1000):
            writer.write(FRAME, pts, 1)
    assert recorder.seen == [("frame", pts) for pts in range(3)]
    assert isinstance(recorder.error, OSError)


def test_a_failure_of_the_last_frame_is_not_lost():
    recorder = Recorder(fails_at=0)
    with pytest.raises(OSError, match="disk full"), in_background(recorder, wanted=True) as writer:
        writer.write(FRAME, 0, 1)
    assert isinstance(recorder.error, OSError)


def test_a_failure_of_the_caller_stops_the_writer():
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt), in_background(recorder, wanted=True) as writer:
        writer.write(FRAME, 0, 1)
        raise KeyboardInterrupt
    assert isinstance(recorder.error, KeyboardInterrupt)
    assert not any(thread.name == "clip-writer" for thread in threading.enumerate())


def test_without_a_thread_the_writer_itself_is_given():
    recorder = Recorder()
    with in_background(recorder, wanted=False) as writer:
        assert writer is recorder
