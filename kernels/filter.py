# SPDX-License-Identifier: MIT
"""A filter behind the picture: the public function. Imports numpy only."""

from __future__ import annotations

import numpy as np

from . import reference_filter, registry
from .checks import Array, float_array, frame_size, output_array


def filter_picture(
    picture: Array,  # [3, H, W] float32 RGB
    weights: Array,  # [3, 12] float32, finite, for y, u and v: of the pairs `reference_filter.OFFSETS`
    *,
    threads: int = 0,
    backend: str | None = None,
    out: Array | None = None,
) -> Array:
    """The picture after twelve symmetric taps per component: [3, H, W] float32 RGB, not clamped (`out` if given).

    The picture's numbers are clamped to 0..1 first, NaN counts as 0, and become orthonormal YCC: y = (R + G + B) /
    sqrt 3, u = (R - B) / sqrt 2, v = (R - 2 G + B) / sqrt 6. To each component c at p is added the sum over k of
    weights[c, k] * (c(p + o_k) + c(p - o_k) - 2 c(p)); outside the picture lies its edge. Sides are 1..65535.
    threads: 0 means all cores; the result does not depend on it. `out` may be the picture itself, which then is copied
    first. Raises ShapeError, BackendError.
    """
    picture = float_array("picture", picture, (3, None, None))
    weights = float_array("weights", weights, (3, len(reference_filter.OFFSETS)))
    frame_size((picture.shape[1], picture.shape[2]), "picture")
    image = output_array("out", out, picture.shape, np.float32)
    engine = registry.select(backend)
    if engine.name == "cpu":
        if np.may_share_memory(image, picture):
            picture = picture.copy()
        registry.cpu.filter_picture(engine.isa, picture, weights, image, threads)
    elif engine.name == "triton":
        image[:] = registry.triton().filter_picture(picture, weights)
    else:
        image[:] = reference_filter.filter_picture(picture, weights)
    return image
