# SPDX-License-Identifier: MIT
"""`gsv decode -` and `gsv info -`: files that come through a pipe, GoP by GoP; `--time`."""

from __future__ import annotations

import os
import signal
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec_cli.video.reader import open_video
from tests.cli.conftest import GSV
from tests.decoder.synthetic import make_file, make_header

IRREGULAR = make_file(make_header(frames=24, frame_duration=0, time_base_den=1000, start_pts=7))


def test_a_pipe_gives_what_the_file_gives(gsv, clip, tmp_path):
    assert gsv("decode", clip, "-o", "-").out == gsv("decode", "-", "-o", "-", input=clip.read_bytes()).out
    assert gsv("info", clip, "--json").out == gsv("info", "-", "--json", input=clip.read_bytes()).out
    assert gsv("decode", "-", "-o", "a.mp4", "-q", input=IRREGULAR).code == 0
    source = open_video(tmp_path / "a.mp4")
    assert [p * source.info.time_base * 1000 for p in source.pts] == [7 + 100 * f + 13 * (f % 3) for f in range(24)]


def test_a_named_pipe_is_read_front_to_back(gsv, clip, tmp_path):
    os.mkfifo(tmp_path / "pipe.gsv")
    with subprocess.Popen(["cp", clip, tmp_path / "pipe.gsv"]):
        assert gsv("decode", "pipe.gsv", "-o", "a.npy", "-q").code == 0
    assert len(np.load(tmp_path / "a.npy")) == 24


def test_frames_come_out_while_the_rest_is_still_to_come(clip):
    data = clip.read_bytes()
    entry = ContainerReader(data).gop_table[1]
    with subprocess.Popen([GSV, "decode", "-", "-o", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(data[: entry.offset])
        process.stdin.flush()
        assert len(process.stdout.read(10 * 48 * 32 * 3)) == 10 * 48 * 32 * 3  # the pipe is still open
        process.stdin.write(data[entry.offset :])
        process.stdin.flush()
        assert len(process.stdout.read(14 * 48 * 32 * 3)) == 14 * 48 * 32 * 3
        assert process.wait(20) == 0  # the file's end ends it, not that of the pipe


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_for_bytes_can_be_broken_off(clip, tmp_path, number):
    data = clip.read_bytes()
    command = [GSV, "decode", "-", "-o", str(tmp_path / "a.npy"), "-q"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(data[: len(data) // 2])
        process.stdin.flush()
        while not any(path.suffix == ".part" for path in tmp_path.iterdir()):
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(20) == 130
        assert process.stderr.read() == b"gsv: interrupted\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.gsv"]


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.98])
def test_a_pipe_that_ends_early_is_said(gsv, clip, tmp_path, share):
    data = clip.read_bytes()
    for verb in (["decode", "-", "-o", "a.npy", "-q"], ["info", "-"]):
        result = gsv(*verb, input=data[: int(len(data) * share)])
        assert result.code == 1
        assert "standard input: not a valid .gsv file" in result.error
    assert not (tmp_path / "a.npy").exists()


@pytest.mark.parametrize("verb", ["decode - -o a.npy", "info -", "verify -"])
def test_a_closed_standard_input_is_said(clip, tmp_path, verb):
    done = subprocess.run(f"'{GSV}' {verb} <&-", shell=True, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"gsv: standard input: cannot be read: Bad file descriptor\n")
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize("verb", ["decode clip.gsv -o -", "info clip.gsv", "verify clip.gsv", "--help"])
def test_a_closed_standard_output_is_said(clip, tmp_path, verb):
    done = subprocess.run(f"'{GSV}' {verb} >&-", shell=True, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == b"gsv: standard output: cannot be written: Bad file descriptor\n"
    assert list(tmp_path.iterdir()) == [clip]


def test_nothing_is_printed_into_a_file_that_takes_the_place_of_a_closed_stream(clip, tmp_path):
    command = f"'{GSV}' decode clip.gsv -o a.npy <&- >&- 2>&-"
    assert subprocess.run(command, shell=True, cwd=tmp_path, timeout=60, check=False).returncode == 0
    assert np.load(tmp_path / "a.npy").shape == (24, 32, 48, 3)


def test_times_that_are_not_known_yet_are_refused(gsv):
    for option in (["--fps", "50"], ["--time", "1:2"]):
        result = gsv("decode", "-", "-o", "a.npy", *option, input=IRREGULAR)
        assert (result.code, "use a file" in result.error) == (2, True)
    assert "use a file" in gsv("info", "-", "--offsets", input=IRREGULAR).error


def test_time_means_what_is_on_screen(gsv, clip, tmp_path):
    (tmp_path / "v.gsv").write_bytes(IRREGULAR)
    assert gsv("decode", clip, "-o", "all.npy", "-q").code == 0
    frames = np.load(tmp_path / "all.npy")
    for name, span, expected in (
        ("clip.gsv", "0.2:0.4", (5, 12)),  # 29.97 a second: frame 5 from 0.167 s, frame 11 from 0.367 s
        ("clip.gsv", ":0.01", (0, 1)),
        ("clip.gsv", "0.7:", (20, 24)),
        ("v.gsv", "0.113:0.226", (1, 2)),
    ):
        assert gsv("decode", name, "-o", "part.npy", "--time", span, "-q", "-y").code == 0
        part = np.load(tmp_path / "part.npy")
        assert len(part) == expected[1] - expected[0]
        if name == "clip.gsv":
            np.testing.assert_array_equal(part, frames[slice(*expected)])
    assert Fraction(30000, 1001) * Fraction("0.2") > 5
    assert "clip ends after 0.801 s" in gsv("decode", clip, "-o", "b.npy", "--time", "0.9:1").error
    for wrong in ("2", "3:1", "a:b", "-1:2"):
        assert gsv("decode", clip, "-o", "b.npy", f"--time={wrong}").code == 2
    assert gsv("decode", clip, "-o", "b.npy", "--time", "0:1", "--frames", "0:1").code == 2
