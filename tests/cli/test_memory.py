# SPDX-License-Identifier: MIT
"""Memory of `gsv encode` and `gsv decode` does not grow with the clip: what benchmarks/memory.py measures, cheaply."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"
MEASURE = [sys.executable, str(SCRIPT), "--no-csv", "--size", "320x180"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_a_longer_clip_takes_as_much_memory():
    # Both have a scene cut, behind which a GoP takes more: 493 MB for 8 s, before the first one, then 506, 521 and 518
    # for 16, 32 and 40 s.
    words = [*MEASURE, "--seconds", "16", "--seconds", "40"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout
    short, short_back, long, long_back = (float(peak) for peak in re.findall(r"([\d.]+) MB", said))
    # 600 more frames of 320x180, kept, would take 104 MB as RGB and 52 MB as 4:2:0.
    assert long < short + 30, said
    assert long_back < short_back + 20, said
