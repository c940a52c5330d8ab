# SPDX-License-Identifier: MIT
"""`gsv encode` that is killed, stopped, or out of disk: what is finished is kept, and `--resume` ends as ever."""

from __future__ import annotations

import signal
import subprocess
import time
from functools import partial

import pytest

from gscodec_cli.output import PartialFile
from tests.cli.conftest import GSV, limit_file_size
from tests.cli.media import make_clip

pytest.importorskip("torch")

# Twelve GoPs, each decoded alone.
TINY = ("--gop", "1", "--keyint", "1", "--no-field", "--gaussians", "30", "--threads", "1", "--quiet")
STEPS = ("--key-iterations", "20", "--joint-iterations", "40", "--tune-iterations", "20")


@pytest.fixture
def command(tmp_path) -> list[str]:
    """An encode of a small clip to a.gsv."""
    make_clip(tmp_path / "in.mp4", size=(40, 32), pts=range(12))
    return ["encode", "in.mp4", "-o", "a.gsv", *TINY, *STEPS]


def stop(command, folder, number) -> tuple[int, str]:
    """Run the command until a few GoPs are finished, then send it a signal: its exit code and what it said."""
    part = folder / "a.gsv.part"
    with subprocess.Popen([GSV, *command], cwd=folder, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 90
        while (not part.exists() or part.read_bytes().count(b"GOPD") < 3) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        message = process.stderr.read().decode()
        return process.wait(60), message


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_kill_9_leaves_no_file_and_resume_ends_with_the_same_bytes(gsv, command, tmp_path):
    assert gsv(*command[:3], "whole.gsv", *command[4:]).code == 0
    assert names(tmp_path) == ["in.mp4", "whole.gsv"]
    assert stop(command, tmp_path, signal.SIGKILL) == (-9, "")
    assert names(tmp_path) == ["a.gsv.part", "in.mp4", "whole.gsv"]
    refused = gsv(*command)
    assert refused.code == 2
    assert "a.gsv.part: is an unfinished encode; go on with --resume, or begin anew with -y" in refused.error
    other = gsv(*command, "--seed", 5, "--resume")
    assert other.code == 2
    assert "with --seed 0, not 5" in other.error
    assert gsv(*command, "--resume", "--jobs", 2).code == 0
    assert names(tmp_path) == ["a.gsv", "in.mp4", "whole.gsv"]
    assert (tmp_path / "a.gsv").read_bytes() == (tmp_path / "whole.gsv").read_bytes()


def test_an_interrupted_encode_says_how_to_go_on(command, tmp_path):
    code, message = stop(command, tmp_path, signal.SIGTERM)
    assert code == 130
    assert len(message.splitlines()) == 1
    assert message.startswith("gsv: interrupted; ")
    assert message.endswith(" of 12 GoPs are kept in a.gsv.part: go on with --resume\n")
    assert names(tmp_path) == ["a.gsv.part", "in.mp4"]


def test_a_disk_that_fills_up_keeps_what_is_finished(gsv, command, tmp_path):
    full = gsv(*command, preexec_fn=partial(limit_file_size, 4000))
    assert full.code == 1
    assert "a.gsv: cannot be written: File too large; free some space and run again; " in full.error
    assert "are kept in a.gsv.part: go on with --resume" in full.error
    assert names(tmp_path) == ["a.gsv.part", "in.mp4"]
    assert gsv(*command, "--resume").code == 0
    assert names(tmp_path) == ["a.gsv", "in.mp4"]


def test_two_runs_do_not_write_the_same_file(gsv, command, tmp_path):
    with PartialFile(tmp_path / "a.gsv", resume=False, overwrite=False):
        result = gsv(*command, "--resume")
    assert result.code == 2
    assert "a.gsv.part: another gsv is at work on it" in result.error
