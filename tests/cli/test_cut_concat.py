# SPDX-License-Identifier: MIT
"""`gsv cut` and `gsv concat` as a user runs them, with everything that can go wrong."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest

from tests.cli.conftest import limit_file_size
from tests.decoder.synthetic import make_file, make_header


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def frames_of(gsv, tmp_path, name) -> np.ndarray:
    assert gsv("decode", name, "-o", "f.npy", "-q", "-y").code == 0
    return np.load(tmp_path / "f.npy")


def test_cut_and_put_together_again(gsv, clip, tmp_path):
    result = gsv("cut", clip, "-o", "head.gsv", "--frames", "3:9")
    assert result.code == 0
    assert "head.gsv: frames 0:10 of" in result.error
    assert "asked for 3:9; a file is cut between GoPs" in result.error
    assert gsv("cut", clip, "-o", "tail.gsv", "--time", "0.34:", "-q").lines == []
    whole = frames_of(gsv, tmp_path, clip)
    np.testing.assert_array_equal(frames_of(gsv, tmp_path, "head.gsv"), whole[:10])
    np.testing.assert_array_equal(frames_of(gsv, tmp_path, "tail.gsv"), whole[10:])
    result = gsv("concat", "head.gsv", "tail.gsv", "-o", "again.gsv")
    assert (result.code, "again.gsv: 24 frames of 2 files" in result.error) == (0, True)
    assert (tmp_path / "again.gsv").read_bytes() == clip.read_bytes()
    assert gsv("verify", "tail.gsv").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["cut", "clip.gsv", "-o", "a.gsv"], 2, "--frames A:B or --time A:B"),
        (["cut", "clip.gsv", "-o", "a.gsv", "--frames", "1:2", "--time", "1:2"], 2, "use one of them"),
        (["cut", "clip.gsv", "-o", "a.gsv", "--frames", "20:30"], 1, "outside the clip's 24 frames"),
        (["cut", "clip.gsv", "-o", "clip.gsv", "--frames", "0:5", "-y"], 2, "same file"),
        (["cut", "clip.gsv", "-o", "there.gsv", "--frames", "0:5"], 2, "-y"),
        (["cut", "none.gsv", "-o", "a.gsv", "--frames", "0:5"], 1, "No such file"),
        (["cut", "clip.gsv", "-o", "no/a.gsv", "--frames", "0:5"], 1, "no folder"),
        (["cut", "bad.gsv", "-o", "a.gsv", "--frames", "0:5"], 1, "bad.gsv: not a valid .gsv file"),
        (["cut", "pipe", "-o", "a.gsv", "--frames", "0:5"], 2, "a pipe cannot be cut"),
        (["cut", "clip.gsv", "-o", "a.gsv", "--frames", "0:5", "--limit-frames", "3"], 3, "--limit-frames"),
        (["concat", "clip.gsv", "-o", "a.gsv"], 2, "at least two files"),
        (["concat", "-o", "a.gsv"], 2, "Missing argument"),
        (["concat", "clip.gsv", "there.gsv", "-o", "there.gsv", "-y"], 2, "same file"),
        (["concat", "clip.gsv", "clip.gsv", "-o", "there.gsv"], 2, "-y"),
        (["concat", "clip.gsv", "large.gsv", "-o", "a.gsv"], 1, "large.gsv: width is 64, clip.gsv has 48"),
        (["concat", "clip.gsv", "bad.gsv", "-o", "a.gsv"], 1, "bad.gsv: not a valid .gsv file: "),
        (["concat", "clip.gsv", "none.gsv", "-o", "a.gsv"], 1, "none.gsv: cannot be read"),
        (["concat", "clip.gsv", "clip.gsv", "-o", "a.gsv", "--limit-frames", "30"], 3, "--limit-frames"),
    ],
)
def test_one_line_and_the_right_code(gsv, clip, tmp_path, arguments, code, expected):
    (tmp_path / "there.gsv").write_bytes(b"precious")
    (tmp_path / "large.gsv").write_bytes(make_file(make_header(64, 48)))
    data = bytearray(clip.read_bytes())
    data[300] ^= 1
    (tmp_path / "bad.gsv").write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    if "pipe" in arguments:
        pipe = os.open(tmp_path / "pipe", os.O_RDWR)
        os.write(pipe, clip.read_bytes()[:200])
        result = gsv(*arguments)
        os.close(pipe)
    else:
        result = gsv(*arguments)
    assert result.code == code, result.lines
    assert expected in result.error
    assert names(tmp_path) == before
    assert (tmp_path / "there.gsv").read_bytes() == b"precious"


@pytest.mark.parametrize("verb", [["cut", "clip.gsv", "--frames", "0:24"], ["concat", "clip.gsv", "clip.gsv"]])
def test_a_full_disk_is_said_and_cleaned_up(gsv, clip, tmp_path, verb):
    result = gsv(*verb, "-o", "a.gsv", preexec_fn=partial(limit_file_size, 2000))
    assert result.code == 1
    assert "a.gsv: cannot be written" in result.error
    assert names(tmp_path) == ["clip.gsv"]
