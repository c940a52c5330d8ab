# SPDX-License-Identifier: MIT
"""An encode that is broken off at any moment goes on from its last finished GoP and ends with the same bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from gscodec.format.chunks import FRAMING, PREAMBLE, read_chunk_header
from gscodec.format.container import ContainerReader
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.encoder import Encode, EncodeOptions
from gscodec_cli.encoder.budget import other_bits
from gscodec_cli.encoder.chain import FinishedGop
from gscodec_cli.encoder.checkpoint import Checkpoint
from gscodec_cli.encoder.rate import Cost
from gscodec_cli.errors import UsageError
from gscodec_cli.video.reader import open_video

from .conftest import moving_disc, write_clip

QUICK = {"key_iterations": 6, "joint_iterations": 12, "tune_iterations": 8, "threads": 1}
# Three chains of two GoPs; bits are asked for, so GoPs depend on what those before took.
OPTIONS = EncodeOptions(gop=2, keyint=4, bpp=2.0, **QUICK)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """A lossless clip of 12 frames."""
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mkv", moving_disc(12))


class Broken(Exception):
    """Breaks an encode off."""


def run(clip, partial, options=OPTIONS, *, resume=False, stop_after=None, **how):
    """The bytes of an encode; with `stop_after` it is broken off when so many GoPs are finished."""
    encode = Encode(open_video(clip), options, partial, resume=resume)

    def progress(status):
        if stop_after is not None and encode.finished >= stop_after:
            raise Broken

    encode.train(progress, **how)
    out = io.BytesIO()
    encode.write(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def whole(long_clip):
    """The file of a run that nothing disturbs, and its partial file."""
    partial = io.BytesIO()
    return run(long_clip, partial), partial.getvalue()


def test_the_clip_is_divided_as_these_tests_need_it(whole):
    with ContainerReader(whole[0]) as reader:
        assert [entry.entry_delta for entry in reader.gop_table] == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("finished", [1, 2, 3, 5])
def test_what_goes_on_after_a_break_ends_with_the_same_bytes(long_clip, whole, finished):
    partial = io.BytesIO()
    with pytest.raises(Broken):
        run(long_clip, partial, stop_after=finished)
    kept = partial.getvalue()
    assert Checkpoint(io.BytesIO(kept)).count == finished
    trained = []
    encode = Encode(open_video(long_clip), OPTIONS, io.BytesIO(kept), resume=True)
    encode.train(lambda status: trained.append(status.gop))
    out = io.BytesIO()
    encode.write(out)
    assert out.getvalue() == whole[0]
    assert min(trained) == finished  # nothing is trained twice


def test_a_partial_file_that_is_cut_anywhere_goes_on(long_clip, whole):
    """As after kill -9 or a power cut: each cut keeps the GoPs that are whole, and those lead to the same bytes."""
    data = whole[1]
    counts = [Checkpoint(io.BytesIO(data[:size])).count for size in range(len(data) + 1)]
    assert counts == sorted(counts)
    assert set(counts) == set(range(7))
    for size in (0, PREAMBLE + 3, *(counts.index(gops) - 1 for gops in (2, 6))):
        partial = io.BytesIO(data[:size])
        assert run(long_clip, partial, resume=True) == whole[0]


def test_a_partial_file_can_be_watched(long_clip, tmp_path):
    with open(tmp_path / "a.gsv.part", "w+b", buffering=0) as partial, pytest.raises(Broken):
        run(long_clip, partial, stop_after=4)
    decoder = StreamDecoder(str(tmp_path / "a.gsv.part"), keep_going=True)
    assert [entry.first_frame for entry in decoder.reader.gop_table] == [0, 2, 4, 6]
    assert decoder.reader.missing() == [(8, 12)]
    shown = np.stack(list(decoder.frames(0, 8)))
    assert np.abs(shown.astype(int) - moving_disc(8)).mean() < 30


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bpp": 1.9}, "with --bpp 2.0, not 1.9"),
        ({"seed": 1}, "with --seed 0, not 1"),
        ({"preset": "fast"}, "with --preset medium, not fast"),
        ({"hidden_width": 8}, "with --hidden-width default, not 8"),
    ],
)
def test_other_options_are_refused(long_clip, whole, change, expected):
    options = EncodeOptions(**{"gop": 2, "keyint": 4, "bpp": 2.0, **QUICK, **change})
    with pytest.raises(UsageError, match=expected):
        run(long_clip, io.BytesIO(whole[1]), options, resume=True)


def test_another_clip_is_refused(whole, tmp_path):
    other = write_clip(tmp_path / "other.mkv", 255 - moving_disc(12))
    with pytest.raises(UsageError, match="of another clip"):
        run(other, io.BytesIO(whole[1]), resume=True)


def test_threads_may_change_and_change_no_byte(long_clip, whole):
    threads = EncodeOptions(**{"gop": 2, "keyint": 4, "bpp": 2.0, **QUICK, "threads": 3})
    partial = io.BytesIO()
    with pytest.raises(Broken):
        run(long_clip, partial, stop_after=2)
    assert run(long_clip, partial, threads, resume=True) == whole[0]


def test_a_file_that_is_no_encode_is_begun_anew(long_clip, whole):
    assert run(long_clip, io.BytesIO(b"something else" * 9), resume=True) == whole[0]


def test_the_facts_survive_bit_by_bit():
    file = io.BytesIO()
    gop = FinishedGop(0, 2, False, b"payload", 5, 56, 0.1 + 0.2, Cost(56, 7, 1 / 3), (30.1, 1e-7 / 3), 0.7)
    checkpoint = Checkpoint(file)
    checkpoint.add(gop)
    assert checkpoint.gop(0) == gop
    assert read_chunk_header(file.getvalue()[:9], 0, FRAMING + 500).kind == "fact"


def _end(number, bits, allowed):
    return FinishedGop(number, 8, True, b"", 9, bits, allowed, Cost(bits, 0, 1.0), (), None)


def test_bits_that_are_left_go_to_gops_that_can_take_them():
    ends = [_end(3, 1000, 1005.0), _end(7, 400, 4000.0), _end(11, 2000, 2001.0)]
    assert other_bits(ends, 20, 10_000) == {}
    assert other_bits(ends, 500, 10_000) == {11: 2500}
    assert other_bits(ends, 900, 10_000) == pytest.approx({11: 2600, 3: 1300})
    assert other_bits(ends, -300, 10_000) == {11: 1700}
    assert other_bits([_end(7, 400, 4000.0)], 3600, 10_000) == {}
