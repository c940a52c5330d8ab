# SPDX-License-Identifier: MIT
"""Random access, times between frames, ranges, and memory that does not grow with the clip."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from gscodec.format.errors import FormatError
from gscodec_cli.decoder.decode import KEPT_GOPS, StreamDecoder
from gscodec_cli.errors import MediaError
from tests.decoder.synthetic import make_file, make_header

TOOLS = ("motion", "window")
IRREGULAR = {"frame_duration": 0, "time_base_den": 1000, "start_pts": 7}


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_file(make_header(frames=34), tools=TOOLS)


@pytest.fixture(scope="module")
def irregular() -> bytes:
    return make_file(make_header(frames=24, **IRREGULAR), tools=TOOLS)


class CountingFile(io.BytesIO):
    """Remembers which bytes were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.seen: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.seen.update(range(start, start + len(data)))
        return data


def test_any_order_gives_the_same_frames(clip):
    whole = list(StreamDecoder(clip).frames(0, 34))
    decoder = StreamDecoder(clip)
    for index in np.random.default_rng(0).permutation(34):
        np.testing.assert_array_equal(decoder.frame(int(index)), whole[index])
    for start, stop in ((0, 1), (9, 11), (25, 34)):
        for expected, got in zip(whole[start:stop], decoder.frames(start, stop), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_only_the_gops_that_are_needed_are_read(clip):
    file = CountingFile(clip)
    decoder = StreamDecoder(file)
    table = decoder.reader.gop_table
    list(decoder.frames(12, 18))
    for gop, entry in enumerate(table):
        touched = file.seen & set(range(entry.offset, entry.offset + entry.length))
        assert bool(touched) == (gop == 1), f"GoP {gop}"


def test_few_gops_are_kept(clip):
    decoder = StreamDecoder(clip)
    for _ in decoder.frames(0, 34):
        assert len(decoder._gops) <= KEPT_GOPS
    for index in (0, 33, 12, 25, 5):
        decoder.frame(index)
        assert len(decoder._gops) <= KEPT_GOPS


def test_a_damaged_gop_stops_only_those_who_need_it(clip):
    decoder = StreamDecoder(clip)
    entry = decoder.reader.gop_table[1]
    broken = bytearray(clip)
    broken[entry.offset + entry.length // 2] ^= 4
    decoder = StreamDecoder(bytes(broken))
    assert len(list(decoder.frames(0, 10))) == 10
    decoder.frame(25)
    with pytest.raises(FormatError, match="GoP 1"):
        decoder.frame(10)
    with pytest.raises(FormatError, match="GoP 1"):
        list(decoder.frames(0, 34))
    with pytest.raises(FormatError):
        decoder.verify()


def test_positions_between_frames_lie_between_them(clip):
    decoder = StreamDecoder(clip)
    np.testing.assert_array_equal(decoder.frame_at_position(Fraction(4)), decoder.frame(4))
    for inside, gop in ((9.4, 0), (9.5, 1), (9.9, 1)):
        renderer = decoder.renderer(gop)
        expected = renderer.render(inside - 10 * gop)
        np.testing.assert_array_equal(decoder.frame_at_position(Fraction(inside)), expected)


def test_regular_times(clip):
    line = StreamDecoder(clip).timeline
    assert (line.pts(0), line.pts(33), line.pts(34)) == (0, 33, 34)
    assert [line.frame_at(line.seconds(i)) for i in range(34)] == list(range(34))
    assert line.frame_at(-5.0) == 0
    assert line.frame_at(99.0) == 33
    assert line.position_at(Fraction(7, 50)) == Fraction(7, 2)


def test_irregular_times(irregular):
    line = StreamDecoder(irregular).timeline
    expected = [7 + 100 * f + 13 * (f % 3) for f in range(24)]
    assert [line.pts(i) for i in range(24)] == expected
    assert [line.duration(i) for i in range(23)] == np.diff(expected).tolist()
    assert line.duration(23) == line.duration(22)
    assert [line.frame_at(line.seconds(i)) for i in range(24)] == list(range(24))
    assert line.frame_at(0.5) == 4
    assert line.position_at(Fraction(expected[10] + expected[11], 2000)) == Fraction(21, 2)


def test_a_search_for_a_time_reads_few_gops():
    file = CountingFile(make_file(make_header(frames=160, **IRREGULAR), gaussians=5))
    decoder = StreamDecoder(file)
    decoder.timeline.frame_at(8.0)
    touched = [e for e in decoder.reader.gop_table if file.seen & set(range(e.offset, e.offset + e.length))]
    assert len(touched) <= 5


def test_the_last_frame_of_a_single_one_is_shown_for_a_while():
    decoder = StreamDecoder(make_file(make_header(frames=1, **IRREGULAR)))
    assert decoder.timeline.duration(0) == 40


@pytest.mark.parametrize("frames", [(0, 35), (34, None), (5, 5)])
def test_ranges_outside_the_clip(clip, frames):
    with pytest.raises(MediaError, match="outside the clip's 34 frames"):
        StreamDecoder(clip).check_range(frames)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(MediaError, match="cannot be read"):
        StreamDecoder(tmp_path / "none.gsv")


def test_leaving_early_stops_the_reading_thread(clip):
    frames = StreamDecoder(clip).frames(0, 34)
    next(frames)
    frames.close()
