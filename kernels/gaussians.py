# SPDX-License-Identifier: MIT
"""The set of Gaussians of one frame, as the rasteriser takes it. Imports numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Gaussians2D:
    """Gaussians ready to be drawn.

    mean: [N, 2] float32, pixels, x right, y down, pixel centres at +0.5.
    conic: [N, 3] float32, (a, b, c) of sigma = 0.5 (a dx^2 + 2 b dx dy + c dy^2), 1/pixel^2.
    feature: [N, C] float32; C = 3: RGB, C = 4: RGB times weight, and the weight.
    """

    mean: Array
    conic: Array
    feature: Array


def chol_to_conic(chol: Array) -> Array:
    """Conic [N, 3] of Cholesky factors [N, 3] = (l11, l21, l22) in pixels, l11 > 0 and l22 > 0; same dtype.

    Sigma = L L^T with L = [[l11, 0], [l21, l22]]; the conic is Sigma^-1 = (a, b, c).
    """
    inverse11 = 1 / chol[:, 0]
    inverse22 = 1 / chol[:, 2]
    inverse21 = -chol[:, 1] * inverse11 * inverse22
    return np.stack(
        [inverse11 * inverse11 + inverse21 * inverse21, inverse21 * inverse22, inverse22 * inverse22], axis=1
    )
