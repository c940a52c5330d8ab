# SPDX-License-Identifier: MIT
"""Everything that can go wrong on the command line: one line, the right exit code, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from gscodec_cli.errors import exit_code_of
from tests.cli.conftest import GSV, limit_file_size
from tests.decoder.synthetic import make_file, make_header


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ([], 0, None),
        (["fly"], 2, "No such command 'fly'"),
        (["decode", "clip.gsv"], 2, "Missing option '-o'"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--frames", "9:3"], 2, "A < B"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--frames", "20:30"], 1, "outside the clip's 24 frames"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--size", "0x5"], 2, "1 to 65535"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--size", "5x5", "--scale", "2"], 2, "use one of them"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--scale", "1000"], 2, "--limit-pixels"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--crf", "60"], 2, "0<=x<=51"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--scale", "nan"], 2, "nan is not a number"),
        (["encode", "clip.gsv", "-o", "a.gsv", "--size", "9" * 320], 2, "expected bytes"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--fps", "0"], 2, "more than 0"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--lossless", "--crf", "1"], 2, "leave out --crf"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--lossless", "--pixel-format", "yuv444p"], 2, "--pixel-format"),
        (["decode", "clip.gsv", "-o", "a.y4m", "--lossless"], 2, "y4m holds no RGB"),
        (["decode", "folder", "-o", "a.mp4"], 1, "folder: cannot be read: Is a directory"),
        (["info", "clip.gsv", "--json", "--offsets"], 2, "use one of them"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--backend", "abacus"], 4, "abacus"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--limit-pixels", "10"], 3, "--limit-pixels"),
        (["decode", "clip.gsv", "-o", "a.mp4", "--limit-covered-pixels", "10"], 3, "--limit-covered-pixels"),
        (["decode", "clip.gsv", "-o", "none/a.mp4"], 1, "no folder"),
        (["decode", "clip.gsv", "-o", "a.avi"], 2, "expected one of"),
        (["decode", "missing.gsv", "-o", "a.mp4"], 1, "No such file"),
        (["decode", "text.gsv", "-o", "a.mp4"], 1, "text.gsv: not a valid .gsv file: byte 0x0"),
        (["info", "text.gsv"], 1, "text.gsv: not a valid .gsv file"),
        (["eval", "clip.gsv", "text.gsv"], 1, "text.gsv: not a valid .gsv file"),
        (["eval", "text.mp4", "clip.gsv"], 1, "not a readable video"),
    ],
)
def test_one_line_and_the_right_code(gsv, clip, tmp_path, arguments, code, expected):
    (tmp_path / "text.gsv").write_text("this is no gsv file " * 9)
    (tmp_path / "text.mp4").write_text("this is no video " * 9)
    (tmp_path / "folder").mkdir()
    before = names(tmp_path)
    result = gsv(*arguments)
    if arguments:
        assert result.code == code
        assert expected in result.error
    assert names(tmp_path) == before


@pytest.mark.parametrize("size", [(0, 0), (0.3, 30), (1, -1)], ids=["empty", "cut", "one byte short"])
def test_cut_files_are_refused(gsv, clip, tmp_path, size):
    share, extra = size
    data = clip.read_bytes()
    (tmp_path / "cut.gsv").write_bytes(data[: int(len(data) * share) + extra])
    result = gsv("decode", "cut.gsv", "-o", "a.mp4")
    assert result.code == 1
    assert "not a valid .gsv file" in result.error
    assert names(tmp_path) == ["clip.gsv", "cut.gsv"]


def test_damage_in_a_later_gop_leaves_no_file(gsv, clip, tmp_path):
    data = bytearray(clip.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    (tmp_path / "bad.gsv").write_bytes(data)
    for output in ("a.mp4", "a.npy", "p/%d.png"):
        result = gsv("decode", "bad.gsv", "-o", output, "-q")
        assert result.code == 1
        assert "byte 0x" in result.error
    assert names(tmp_path) == ["bad.gsv", "clip.gsv"]


def test_existing_outputs_need_yes(gsv, clip, tmp_path):
    (tmp_path / "a.mp4").write_text("precious")
    result = gsv("decode", clip, "-o", "a.mp4")
    assert result.code == 2
    assert "-y" in result.error
    assert (tmp_path / "a.mp4").read_text() == "precious"
    assert gsv("decode", clip, "-o", "a.mp4", "-y").code == 0
    assert (tmp_path / "a.mp4").stat().st_size > 100


@pytest.mark.parametrize("output", ["a.npy", "a.mkv", "a.mp4", "a.y4m", "p/%d.png"])
@pytest.mark.parametrize("size", [1, 8192, 32768])  # PyAV writes blocks of 32 KiB
def test_a_full_disk_is_said_and_cleaned_up(gsv, tmp_path, output, size):
    (tmp_path / "big.gsv").write_bytes(make_file(make_header(256, 192, 30), 900, gain=1.0))
    result = gsv("decode", "big.gsv", "-o", output, "--crf", "0", "-q", preexec_fn=partial(limit_file_size, size))
    assert result.code == 1
    assert "cannot be written" in result.error
    assert names(tmp_path) == ["big.gsv"]


def test_a_full_device_is_said(gsv, clip):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "wb") as full:
        command = [GSV, "decode", str(clip), "-o", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1
    assert b"cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr


def test_pipes_take_mkv_but_no_mp4(gsv, clip, tmp_path):
    for name in ("a.mkv", "a.mp4"):
        os.mkfifo(tmp_path / name)
    with subprocess.Popen(["cat", tmp_path / "a.mkv"], stdout=subprocess.PIPE) as reader:
        assert gsv("decode", clip, "-o", "a.mkv", "-q").code == 0
        assert len(reader.stdout.read()) > 1000
    with subprocess.Popen(["cat", tmp_path / "a.mp4"], stdout=subprocess.DEVNULL):
        result = gsv("decode", clip, "-o", "a.mp4", "-q")
    assert result.code == 1
    assert "cannot be written to a pipe; use .mkv" in result.error


def test_a_reader_that_leaves_is_said(clip, tmp_path):
    large = tmp_path / "large.gsv"
    large.write_bytes(make_file(make_header(256, 192, 30), 50))
    command = [GSV, "decode", str(large), "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(10)
        process.stdout.close()
        message = process.stderr.read().decode()
        assert process.wait(60) == 1
    assert message.splitlines() == ["gsv: standard output: the reader of the output closed it early"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("output", ["a.mp4", "p/%d.png"])
def test_interrupted_runs_leave_nothing(tmp_path, output, number):
    (tmp_path / "long.gsv").write_bytes(make_file(make_header(640, 480, 600), 200))
    before = names(tmp_path)
    command = [GSV, "decode", "long.gsv", "-o", output]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while names(tmp_path) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        for _ in range(3):  # impatience must not disturb the cleaning up
            process.send_signal(number)
            time.sleep(0.005)
        message = process.stderr.read().decode()
        assert process.wait(60) == 130
    assert message.splitlines() == ["gsv: interrupted"]
    assert names(tmp_path) == before


def test_debug_shows_where(gsv):
    result = gsv("info", "none.gsv", env={**os.environ, "GSV_DEBUG": "1"})
    assert any("Traceback" in line for line in result.lines)
    assert result.code == 1


def test_unexpected_errors_are_named_not_shown(tmp_path):
    code = (
        "import sys, gscodec_cli.verbs.info as info\n"
        "def broken(decoder): raise ZeroDivisionError('by zero')\n"
        "info._facts = broken\nfrom gscodec_cli.main import run\nsys.exit(run(sys.argv[1:]))"
    )
    (tmp_path / "a.gsv").write_bytes(make_file())
    command = [sys.executable, "-c", code, "info", str(tmp_path / "a.gsv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "gsv: unexpected ZeroDivisionError: by zero; set GSV_DEBUG=1 to see where\n"


def test_exit_codes_of_the_layers_below():
    from gscodec.format.errors import FormatError, LimitError
    from gscodec.kernels.errors import BackendError

    assert exit_code_of(FormatError("bad")) == 1
    assert exit_code_of(LimitError("pixels", 2, 1, "--limit-pixels")) == 3
    assert exit_code_of(BackendError("none")) == 4
    assert exit_code_of(KeyboardInterrupt()) == 130
