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
def test_a_clip_six_times_as_long_takes_as_much_memory():
    words = [*MEASURE, "--seconds", "4", "--seconds", "24"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout
    short, short_back, long, long_back = (float(peak) for peak in re.findall(r"([\d.]+) MB", said))
    # 500 more frames of 320x180, kept, would take 86 MB as RGB and 43 MB as 4:2:0.
    assert long < short + 35, said
    assert long_back < short_back + 20, said
