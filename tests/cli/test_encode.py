# SPDX-License-Identifier: MIT
"""`gsv encode` as a user runs it: a tiny clip there and back, its options, its failures."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import wave
from dataclasses import fields
from fractions import Fraction
from functools import partial

import click
import numpy as np
import pytest

from gscodec_cli.encoder.options import CHOICES, EncodeOptions
from gscodec_cli.verbs.encode import PRESETS, PROFILES, command
from gscodec_cli.video.writer import ClipFormat, WriteOptions, open_writer
from tests.cli.conftest import GSV, limit_file_size

TINY = ("--gaussians", 40, "--key-iterations", 4, "--joint-iterations", 12, "--tune-iterations", 4)


@pytest.fixture
def source(tmp_path):
    """Six frames of a moving bright square, 40x24, 30000/1001 fps."""
    clip = ClipFormat(40, 24, 6, Fraction(1, 30000), 1001, Fraction(4, 3), 1, 1, 1, 1)
    with open_writer(str(tmp_path / "in.mp4"), clip, WriteOptions()) as writer:
        for t in range(6):
            rgb = np.full((24, 40, 3), (40, 60, 90), np.uint8)
            rgb[6:16, 4 + 3 * t : 14 + 3 * t] = 220
            writer.write(rgb, 1001 * t, 1001)
    return tmp_path / "in.mp4"


@pytest.mark.parametrize("profile", PROFILES)
def test_there_and_back(gsv, source, tmp_path, profile):
    result = gsv("encode", source, "-o", "a.gsv", "--profile", profile, "--frames", "1:6", *TINY, "--json")
    assert result.code == 0, result.lines
    report = json.loads(result.out)
    assert (report["frames"], report["bytes"]) == (5, (tmp_path / "a.gsv").stat().st_size)
    assert report["bpp"] == pytest.approx(8 * report["bytes"] / (5 * 40 * 24))
    facts = json.loads(gsv("info", "a.gsv", "--json").out)
    assert (facts["profile"], facts["frames"], facts["fps"]) == (profile, 5, pytest.approx(30000 / 1001))
    assert (facts["sample_aspect_ratio"], facts["matrix_coefficients"], facts["full_range"]) == ("4/3", 1, 1)
    assert (facts["start_pts"], facts["time_base"]) == (1001, "1/30000")
    measured = json.loads(gsv("eval", source, "a.gsv", "--frames", "1:6", "--json").out)
    assert measured["psnr_rgb"] == pytest.approx(report["psnr"], abs=0.01)
    assert measured["psnr_rgb"] > 12


def test_every_option_of_the_trainer_is_an_option_of_the_verb():
    named = {item.name for item in command.params if isinstance(item, click.Option)} | {"audio"}
    assert {item.name for item in fields(EncodeOptions)} <= named
    choices = {item.name: tuple(item.type.choices) for item in command.params if isinstance(item.type, click.Choice)}
    assert {name: sorted(values) for name, values in choices.items()} == {n: sorted(v) for n, v in CHOICES.items()}
    assert (PRESETS, sorted(PROFILES)) == (CHOICES["preset"], sorted(CHOICES["profile"]))


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["none.mp4", "-o", "a.gsv"], 1, "No such file"),
        (["in.mp4", "-o", "none/a.gsv"], 1, "no folder"),
        (["in.mp4", "-o", "in.mp4", "-y"], 2, "the same file"),
        (["in.mp4", "-o", "old.gsv"], 2, "-y"),
        (["in.mp4", "-o", "a.gsv", "--frames", "4:99"], 1, "outside the clip's 6 frames"),
        (["in.mp4", "-o", "a.gsv", "--gaussians", "0"], 2, "--gaussians 0"),
        (["in.mp4", "-o", "a.gsv", "--profile", "stgv", "--motion-degree", "2"], 2, "profile stgv"),
        (["text.mp4", "-o", "a.gsv"], 1, "text.mp4: not a readable video"),
        (["sound.wav", "-o", "a.gsv"], 1, "sound.wav: no video stream"),
        (["empty.y4m", "-o", "a.gsv"], 1, "empty.y4m: the video has no frames"),
        (["folder", "-o", "a.gsv"], 1, "folder: no pictures"),
        (["none_%d.png", "-o", "a.gsv"], 1, "no file matches the pattern"),
        (["in.mp4", "-o", "folder"], 1, "folder: is a folder"),
        (["in.mp4", "-o", "-"], 2, "give it a name"),
        (["in.mp4", "-o", "a.gsv", "--resize", "20000x20000", "--frames", "0:1"], 3, "use a smaller --resize"),
    ],
)
def test_failures_leave_nothing_behind(gsv, source, tmp_path, arguments, code, expected):
    (tmp_path / "old.gsv").write_text("precious")
    (tmp_path / "text.mp4").write_text("this is no video " * 9)
    (tmp_path / "empty.y4m").write_text("YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n")
    (tmp_path / "folder").mkdir()
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    before = sorted(tmp_path.iterdir())
    result = gsv("encode", *arguments, "--quiet")
    assert result.code == code
    assert expected in result.error
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.gsv").read_text() == "precious"


def test_a_full_disk_is_said_and_cleaned_up(gsv, source, tmp_path):
    result = gsv("encode", source, "-o", "a.gsv", *TINY, "--quiet", preexec_fn=partial(limit_file_size, 300))
    assert result.code == 1
    assert "a.gsv: cannot be written: File too large" in result.error
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_encode_leaves_nothing(source, tmp_path, number):
    arguments = ["encode", "in.mp4", "-o", "a.gsv", "--preset", "veryslow", "--gaussians", "40", "--quiet"]
    with subprocess.Popen([GSV, *arguments], cwd=tmp_path, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) == 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(3)  # let training begin
        process.send_signal(number)
        message = process.stderr.read().decode()
        assert process.wait(60) == 130
    assert message.splitlines() == ["gsv: interrupted"]
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
