# SPDX-License-Identifier: MIT
"""Training with the GPU engine; in Triton's interpreter without a GPU, where the same seeds give the same pictures."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest

from gscodec.kernels import BackendError, backends, registry
from gscodec_cli.encoder import EncodeOptions, encode
from gscodec_cli.errors import BackendMissingError
from gscodec_cli.video.png import png_bytes
from gscodec_cli.video.reader import open_video
from tests.conftest import ROOT

GPU = next(backend for backend in backends() if backend.name == "triton")
STEPS = {"threads": 1, "key_iterations": 3, "joint_iterations": 3, "tune_iterations": 3, "gaussians": 10}
SMALL_FIELD = {"hash_levels": 2, "hash_table": 5, "hidden_width": 16}
SETTINGS = [
    {"profile": "main", "blend": "normalised", "drift": True, **SMALL_FIELD},
    {"profile": "stgv", **SMALL_FIELD},
]


@pytest.fixture
def clip(tmp_path):
    """Two pictures of one tile: a ramp that moves."""
    rows, columns = np.mgrid[:14, :16]
    for t in range(2):
        rgb = np.stack([15 * (columns - t), 16 * rows, 80 + 4 * (rows + columns + t)], -1).clip(0, 255).astype(np.uint8)
        (tmp_path / f"{t}.png").write_bytes(png_bytes(rgb))
    return tmp_path


@pytest.mark.skipif(not GPU.available, reason=f"the GPU engine cannot run: {GPU.reason}")
@pytest.mark.parametrize("setting", SETTINGS, ids=["main", "stgv"])
def test_training_on_the_gpu_reaches_what_the_cpu_reaches(clip, monkeypatch, setting):
    from gscodec.kernels.triton import raster

    drawn, loss = [], raster.splat_loss
    monkeypatch.setattr(raster, "splat_loss", lambda *arguments: drawn.append(1) or loss(*arguments))
    options, files = STEPS | setting, {}
    results = {}
    for device in ("cpu", "cuda"):
        files[device] = io.BytesIO()
        results[device] = encode(open_video(clip), files[device], EncodeOptions(**options, device=device))
    assert len(drawn) >= 9  # a step each
    assert results["cuda"].psnr == pytest.approx(results["cpu"].psnr, abs=0.5)
    assert results["cuda"].bpp == pytest.approx(results["cpu"].bpp, rel=0.1)


@pytest.mark.skipif(not GPU.available, reason=f"the GPU engine cannot run: {GPU.reason}")
def test_no_tensor_of_a_step_stays_behind():
    command = [sys.executable, "-m", "tests.encoder.placement"]
    options = {"cwd": ROOT, "env": {**os.environ, "TRITON_INTERPRET": "1"}, "timeout": 300}
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    told = ["mixtures are refused", "numbers are refused", "main", "stgv"]
    assert result.stdout.splitlines() == told, result.stderr[-2000:]


def test_without_a_gpu_it_is_refused_plainly(clip, monkeypatch):
    def nothing() -> None:
        raise BackendError("backend 'triton' is not available: no NVIDIA driver")

    monkeypatch.setattr(registry, "triton", nothing)
    with pytest.raises(BackendMissingError, match="no NVIDIA driver; use --device cpu"):
        encode(open_video(clip), io.BytesIO(), EncodeOptions(device="cuda"))
