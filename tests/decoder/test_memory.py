# SPDX-License-Identifier: MIT
"""Memory of a decode does not grow with the clip. Runs in processes of their own, whose peak the system counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.decoder.synthetic import make_file, make_header

CODE = """
import sys
from gscodec_cli.decoder.decode import StreamDecoder
decoder = StreamDecoder(sys.argv[1])
for rgb in decoder.frames(0, decoder.frame_count):
    pass
with open("/proc/self/status") as status:  # getrusage would count the parent's memory before exec
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def peak_megabytes(path) -> int:
    """Peak resident memory of a process that decodes the file."""
    result = subprocess.run([sys.executable, "-c", CODE, str(path)], check=True, capture_output=True, timeout=120)
    return int(result.stdout) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")
def test_a_long_clip_takes_no_more_than_a_short_one(tmp_path):
    peaks = []
    for frames in (30, 900):
        path = tmp_path / f"{frames}.gsv"
        path.write_bytes(make_file(make_header(640, 360, frames, level=2), 2000, ("motion", "window")))
        peaks.append(peak_megabytes(path))
    assert max(peaks) < 300
    assert peaks[1] < peaks[0] + 15, peaks
