# SPDX-License-Identifier: MIT
"""Distortion of a clip against its reference, frame by frame: what `gsv eval` and the benchmarks report."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from gscodec_cli.metrics.psnr import mse_luma, mse_rgb, psnr_of_mse

Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Distortion:
    """Means over frames: PSNR in dB of RGB (and of the worst frame) and of luma; MS-SSIM in 0..1, None if not asked."""

    psnr_rgb: float
    psnr_rgb_min: float
    psnr_y: float
    ms_ssim: float | None


def compare(
    reference: Iterable[np.ndarray],
    distorted: Iterable[np.ndarray],
    matrix: int,
    ms_ssim: Metric | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Distortion:
    """Compare two clips of [H, W, 3] frames (uint8, or uint16 of full scale) with equally many frames.

    `matrix` is the H.273 code luma is taken with; `advance` is called with 1 after every frame. Raises ValueError when
    one clip ends before the other.
    """
    rgb, luma, structure = [], [], []
    for first, second in zip(reference, distorted, strict=True):
        rgb.append(psnr_of_mse(mse_rgb(first, second)))
        luma.append(psnr_of_mse(mse_luma(first, second, matrix)))
        if ms_ssim is not None:
            structure.append(ms_ssim(first, second))
        advance(1)
    return Distortion(
        psnr_rgb=float(np.mean(rgb)),
        psnr_rgb_min=min(rgb),
        psnr_y=float(np.mean(luma)),
        ms_ssim=float(np.mean(structure)) if structure else None,
    )
