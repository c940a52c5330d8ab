# SPDX-License-Identifier: MIT
"""MS-SSIM through pytorch-msssim where torch is installed; torch is imported inside the function only."""

from collections.abc import Callable

import numpy as np

SMALLEST_SIDE = 161  # five scales of an 11-tap window need more than 160 pixels


def ms_ssim_function(height: int, width: int) -> tuple[Callable[[np.ndarray, np.ndarray], float] | None, str]:
    """Return (function of two [H, W, 3] uint8 frames -> MS-SSIM in 0..1, ''), or (None, why there is none).

    Five scales on RGB, as in the tables of the learned-compression papers.
    """
    if min(height, width) < SMALLEST_SIDE:
        return None, f"MS-SSIM needs frames of at least {SMALLEST_SIDE} pixels a side, these are {width}x{height}"
    try:
        import torch
        from pytorch_msssim import ms_ssim
    except ImportError:
        return None, "MS-SSIM needs torch and pytorch-msssim: install gscodec[encode]"

    def tensor(frame: np.ndarray) -> "torch.Tensor":
        return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))[None].astype(np.float32))

    def measure(reference: np.ndarray, frame: np.ndarray) -> float:
        with torch.no_grad():
            return float(ms_ssim(tensor(reference), tensor(frame), data_range=255.0))

    return measure, ""
