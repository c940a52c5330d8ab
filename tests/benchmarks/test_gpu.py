# SPDX-License-Identifier: MIT
"""The one command that measures the GPU engine's targets, in Triton's interpreter: that it runs, not how fast."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gscodec.kernels import backends
from gscodec_cli.video.png import png_bytes

GPU = next(backend for backend in backends() if backend.name == "triton")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not GPU.available, reason=f"the GPU engine cannot run: {GPU.reason}")
def test_every_target_is_measured_and_a_miss_is_said(tmp_path):
    rows, columns = np.mgrid[:16, :24]
    for t in range(2):
        rgb = np.stack([10 * (columns - t), 12 * rows, 80 + 4 * (rows + columns + t)], -1).clip(0, 255).astype(np.uint8)
        (tmp_path / f"{t}.png").write_bytes(png_bytes(rgb))
    command = [sys.executable, "benchmarks/gpu.py", str(tmp_path), "--draw", "24x16,10,0", "--batch", "2"]
    command += ["--rounds", "1", "--brief", "--no-csv"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr  # nobody reaches the paper's PSNR in a few steps
    assert [line.split(":")[0].split(",")[0] for line in lines] == [
        "drawing 24x16",
        *["stgv"] * 3,
        "main slow 0.1 bpp",
        *["main"] * 2,
    ]
    missed = [line for line in lines if line.endswith("MISSED")]
    assert {"PSNR before quantisation" in line or "PSNR of the file" in line for line in missed} == {True}
    assert len(missed) == 2
