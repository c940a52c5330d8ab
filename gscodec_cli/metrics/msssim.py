# SPDX-License-Identifier: MIT
"""MS-SSIM of 8-bit RGB frames (Wang, Simoncelli, Bovik, 2003), five scales, by pytorch-msssim.

Imports torch only when it is asked to measure: `gsv eval` runs without.
"""

import os
from collections.abc import Callable

import numpy as np

from gscodec_cli.metrics.psnr import in_eight_bits

SMALLEST_SIDE = 161  # five scales of an 11-tap window need more than 160 pixels


def load_ms_ssim(threads: int = 0) -> Callable[[np.ndarray, np.ndarray], float]:
    """A function that gives MS-SSIM in 0..1 of two [H, W, 3] frames with sides of at least SMALLEST_SIDE pixels.

    `threads` are torch's, 0 for its own choice. Raises ImportError where torch or pytorch-msssim is not installed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads leave the cores to the decoder
    import torch
    from pytorch_msssim import ms_ssim

    if threads:
        torch.set_num_threads(threads)

    def measure(reference: np.ndarray, frame: np.ndarray) -> float:
        pair = (
            torch.from_numpy(in_eight_bits(rgb).transpose(2, 0, 1)[None].astype(np.float32))
            for rgb in (reference, frame)
        )
        with torch.inference_mode():
            return float(ms_ssim(*pair, data_range=255))

    return measure
