# SPDX-License-Identifier: MIT
"""What frames are read from: how much of a file, pipes, damaged files, a server that answers range requests."""

from __future__ import annotations

import http.server
import io
import re
import threading
from itertools import pairwise

import numpy as np
import pytest

from gscodec.format.chunks import END_LENGTH, FRAMING, PREAMBLE
from gscodec.format.container import ContainerReader
from gscodec.format.errors import FormatError
from gscodec.format.limits import Limits
from gscodec.format.sequential import SequentialReader
from gscodec_cli import VideoDecoder
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.source import open_source
from gscodec_cli.errors import MediaError
from tests.decoder.synthetic import make_file, make_header

LONG = make_file(make_header(64, 48, 2000), 300)
CLIP = make_file(make_header(frames=34), tools=("motion", "window"))
IRREGULAR = make_file(make_header(frames=34, frame_duration=0, time_base_den=1000, start_pts=7))
TABLE = ContainerReader(CLIP).gop_table
FRAMES = np.stack(list(StreamDecoder(CLIP).frames(0, 34)))


class CountingFile(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def damaged(*gops: int, cut: int | None = None, data: bytes = CLIP) -> bytes:
    out = bytearray(data)
    for gop in gops:
        entry = ContainerReader(data).gop_table[gop]
        out[entry.offset + entry.length // 2] ^= 1
    return bytes(out[:cut])


def test_a_frame_in_the_middle_costs_header_end_index_and_its_gop():
    file = CountingFile(LONG)
    decoder = StreamDecoder(file)
    reader = decoder.reader
    decoder.frame(1005)
    gop = sum(reader.gop_table[i].length for i in reader.gops_to_enter(reader.gop_of_frame(1005)))
    index = len(LONG) - END_LENGTH - (reader.gop_table[-1].offset + reader.gop_table[-1].length)
    head = reader.gop_table[0].offset
    assert file.count <= PREAMBLE + head + index + END_LENGTH + gop + 8 * FRAMING
    assert file.count < len(LONG) / 20


def test_a_stream_gives_the_frames_of_the_file():
    for data in (CLIP, IRREGULAR):
        stream = StreamDecoder(SequentialReader(io.BytesIO(data)))
        whole = StreamDecoder(data)
        for k, (a, b) in enumerate(zip(stream.frames(0, 34), whole.frames(0, 34), strict=True)):
            np.testing.assert_array_equal(a, b)
            assert stream.timeline.pts(k) == whole.timeline.pts(k)
        assert [stream.timeline.duration(33)] == [whole.timeline.duration(33)]


def test_a_stream_can_be_entered_late():
    stream = StreamDecoder(SequentialReader(io.BytesIO(CLIP)))
    np.testing.assert_array_equal(np.stack(list(stream.frames(15, 28))), FRAMES[15:28])


def test_frames_of_a_stream_come_before_the_next_gop_is_read():
    file = CountingFile(CLIP)
    frames = StreamDecoder(SequentialReader(file)).frames(0, 34)
    for _ in range(10):
        next(frames)
    assert file.count == TABLE[0].offset + TABLE[0].length


@pytest.mark.parametrize("gop", range(4))
def test_a_missing_frame_shows_the_last_one_before_it(gop):
    decoder = StreamDecoder(damaged(gop), keep_going=True)
    shown = np.stack(list(decoder.frames(0, 34)))
    lost = range(TABLE[gop].first_frame, TABLE[gop].end_frame)
    assert decoder.reader.missing() == [(lost[0], lost[-1] + 1)]
    for k, rgb in enumerate(shown):
        hold = (lost[0] - 1 if gop else lost[-1] + 1) if k in lost else k
        np.testing.assert_array_equal(rgb, FRAMES[hold])
    assert len(shown) == (30 if gop == 3 else 34)  # what is missing at the end is left out
    np.testing.assert_array_equal(decoder.frame(5), FRAMES[10 if gop == 0 else 5])


@pytest.mark.parametrize("gop", range(4))
def test_the_python_face_shows_what_is_left(gop):
    with VideoDecoder(damaged(gop), output="numpy", dimension_order="NHWC", keep_going=True) as video:
        lost = range(TABLE[gop].first_frame, TABLE[gop].end_frame)
        assert video.missing_frames == (lost,)
        (fault,) = video.faults
        assert str(fault).startswith(f"byte {TABLE[gop].offset:#x}, GOPD chunk")
        count = 30 if gop == 3 else 34
        held = [(lost[0] - 1 if gop else lost[-1] + 1) if k in lost else k for k in range(count)]
        assert len(video) == video.metadata.num_frames == len(list(video)) == count
        np.testing.assert_array_equal(video[:], FRAMES[held])
        assert video.metadata.end_stream_seconds == count / 25
        shown = min(lost[0], count - 1)
        np.testing.assert_array_equal(video.get_frame_played_at(shown / 25 + 0.01).data, FRAMES[held[shown]])
        with pytest.raises(IndexError):
            video[count]
    with VideoDecoder(CLIP, keep_going=True) as video:
        assert (len(video), video.missing_frames, video.faults) == (34, (), ())


def test_the_python_face_shows_a_file_that_is_being_written_and_refuses_damage_unasked():
    data = CLIP[: TABLE[2].offset + 5]
    with pytest.raises(FormatError):
        VideoDecoder(data)
    video = VideoDecoder(data, keep_going=True)
    assert (len(video), video.missing_frames) == (20, (range(20, 34),))
    assert any("does not end" in fault.message for fault in video.faults)
    with pytest.raises(MediaError, match="no GoP is whole"):
        VideoDecoder(damaged(0, 1, 2, 3), keep_going=True)


def test_a_damaged_stream_goes_on_where_it_can():
    decoder = StreamDecoder(SequentialReader(io.BytesIO(damaged(1)), lenient=True))
    shown = list(decoder.frames(0, 34))
    assert len(shown) == 34
    np.testing.assert_array_equal(shown[19], FRAMES[9])
    np.testing.assert_array_equal(shown[20], FRAMES[20])
    cut = StreamDecoder(SequentialReader(io.BytesIO(CLIP[: TABLE[2].offset + 5]), Limits(), lenient=True))
    assert len(list(cut.frames(0, 34))) == 20


def test_times_of_missing_frames_lie_between_their_neighbours():
    whole = StreamDecoder(IRREGULAR).timeline
    for gop in range(4):
        decoder = StreamDecoder(damaged(gop, data=IRREGULAR), keep_going=True)
        line, end = decoder.timeline, decoder.reader.end_frame
        pts = [line.pts(k) for k in range(end)]
        assert all(a < b for a, b in pairwise(pts))
        assert [pts[k] for k in range(end) if k // 10 != gop] == [whole.pts(k) for k in range(end) if k // 10 != gop]
        assert line.duration(end - 1) > 0


def test_nothing_left_is_said():
    for data in (CLIP[: TABLE[0].offset + 20], damaged(0, 1, 2, 3)):
        with pytest.raises(MediaError, match="no GoP is whole"):
            StreamDecoder(data, keep_going=True).frame(0)
        with pytest.raises(MediaError, match="no GoP is whole"):
            next(StreamDecoder(SequentialReader(io.BytesIO(data), lenient=True)).frames(0, 34))


class RangeServer(http.server.BaseHTTPRequestHandler):
    """Serves LONG, whole or by range, and counts what it sends."""

    sent = 0

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]), len(LONG) - 1) if asked and asked[2] else len(LONG) - 1
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(LONG)}")
        self.end_headers()
        if body:
            type(self).sent += last + 1 - first
            self.wfile.write(LONG[first : last + 1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    """Address of a server of LONG under every name but /none."""
    RangeServer.sent = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeServer) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/clip.gsv"
        running.shutdown()
        thread.join()


def test_a_url_fetches_only_what_it_needs(server):
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    decoder = StreamDecoder(server)
    np.testing.assert_array_equal(decoder.frame(1005), StreamDecoder(LONG).frame(1005))
    assert 0 < RangeServer.sent < len(LONG) / 2, (RangeServer.sent, len(LONG))


def test_a_url_that_is_not_there_is_said():
    pytest.importorskip("aiohttp")
    with pytest.raises(MediaError, match="cannot be read"):
        open_source("http://127.0.0.1:9/none.gsv", Limits())
