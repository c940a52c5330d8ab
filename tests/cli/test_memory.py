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
def test_a_clip_four_times_as_long_takes_as_much_memory():
    # In the first GoPs the allocator's memory still grows: 454, 468, 473 MB for 4, 8, 12 s, 482 to 489 from 24 to 48.
    words = [*MEASURE, "--seconds", "8", "--seconds", "32"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout
    short, short_back, long, long_back = (float(peak) for peak in re.findall(r"([\d.]+) MB", said))
    # 600 more frames of 320x180, kept, would take 104 MB as RGB and 52 MB as 4:2:0.
    assert long < short + 35, said
    assert long_back < short_back + 20, said
