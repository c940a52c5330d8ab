# SPDX-License-Identifier: MIT
"""Runs the installed `gsv`; makes small files to run it on."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.decoder.synthetic import make_file, make_header

GSV = str(Path(sys.executable).with_name("gsv"))


@dataclass
class Result:
    """What a run of `gsv` gave."""

    code: int
    out: bytes
    lines: list[str]  # of standard error

    @property
    def error(self) -> str:
        """The one line on standard error; fails where there are several or a traceback."""
        assert len(self.lines) == 1, self.lines
        assert self.lines[0].startswith("gsv: "), self.lines
        return self.lines[0]


@pytest.fixture(autouse=True, scope="session")
def _interrupts_reach_gsv():
    """A shell ignores Ctrl-C in what it runs in the background, and so would every `gsv` that is started here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def limit_file_size(size: int = 8192) -> None:
    """Files of this process end at `size` bytes: writing on fails as it does on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


Run = Callable[..., Result]


@pytest.fixture
def gsv(tmp_path) -> Run:
    """Run the installed program in the test's own folder."""

    def run(*arguments: object, **options) -> Result:
        command = [GSV, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=tmp_path, **options)
        return Result(done.returncode, done.stdout, done.stderr.decode().splitlines())

    return run


@pytest.fixture
def clip(tmp_path) -> Path:
    """A file of 24 frames of 48x32 pixels in three GoPs."""
    header = make_header(
        frames=24,
        sar_num=4,
        sar_den=3,
        colour_primaries=9,
        transfer_characteristics=16,
        matrix_coefficients=9,
        full_range=0,
        time_base_den=30000,
        frame_duration=1001,
        start_pts=500,
    )
    (tmp_path / "clip.gsv").write_bytes(make_file(header, tools=("motion", "window", "field")))
    return tmp_path / "clip.gsv"
