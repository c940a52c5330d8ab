# SPDX-License-Identifier: MIT
"""A made-up clip of a few frames, and points that no encoder made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.points import CurveName, Point, make_point
from gscodec_cli.metrics.compare import Distortion
from gscodec_cli.video.png import png_bytes

ORIGIN = {"commit": "abc", "dirty": 0, "date": "2026-01-01T00:00:00Z", "machine": "none", "cores": 2}
SHAPE = (10, 100, 100)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of six frames of 192x176: a bright bar over a soft pattern, both moving."""
    folder = tmp_path_factory.mktemp("data") / "bar"
    folder.mkdir()
    y, x = np.mgrid[:176, :192]
    for number in range(6):
        waves = 128 + 50 * np.sin((x + 2 * number) / 9) + 40 * np.cos((y - number) / 7)
        rgb = np.stack([waves, 255 - waves, waves / 2], 2)
        rgb[:, 20 + 8 * number : 50 + 8 * number] = (230, 200, 40)
        (folder / f"{number}.png").write_bytes(png_bytes(rgb.round().clip(0, 255).astype(np.uint8)))
    return folder


@pytest.fixture
def point() -> Callable[..., Point]:
    """Makes a point of a clip of 100 000 pixels from its bpp and RGB-PSNR."""

    def make(bpp: float, psnr: float, *, codec="gsv", options="--keyint 144", rate="", seconds=2.0, ms_ssim=0.9):
        curve = CurveName("clip.mp4", "0:10", codec, options)
        found = Distortion(psnr, psnr - 1, psnr + 1, ms_ssim)
        spent = (seconds, 2 * seconds)
        return make_point(curve, rate or f"--bpp {bpp:g}", SHAPE, round(bpp * 12500), found, spent, ORIGIN)

    return make
