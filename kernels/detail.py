# SPDX-License-Identifier: MIT
"""A detail picture that moves with the Gaussians: the public function. Imports numpy only."""

from __future__ import annotations

import numpy as np

from . import reference_detail, registry
from .checks import Array, float_array, frame_size, output_array


def blend_detail(
    drawn: Array,  # [4, H, W] float32: sums of RGB times weight, and of the weight
    moved: Array,  # [2, H, W] float32: sums of weight times displacement (x, y), pixels of the frame
    detail: Array,  # [h, w, 3] float32 RGB
    *,
    background: Array,  # [3] RGB
    epsilon: float,  # weight of the background, which does not move
    ratio: tuple[float, float],  # pixels of `detail` per pixel of the frame, x and y
    corner: tuple[float, float],  # where the frame's corner lies in the whole picture, in pixels of the frame
    threads: int = 0,
    backend: str | None = None,
    out: Array | None = None,
) -> Array:
    """The colours of normalised blending plus the detail there: [3, H, W] float32, not clamped (`out` if given).

    A pixel takes the detail from where its Gaussians were, on average, when the picture was that of the detail: from
    (x + 0.5 + corner - moved / (weight + epsilon)) * ratio, between pixel centres linearly; outside `detail` from its
    edge. A position that is not a number counts as 0. Sides of frame and detail are 1..65535.
    threads: 0 means all cores; the result does not depend on it. Raises ShapeError, BackendError.
    """
    drawn = float_array("drawn", drawn, (4, None, None))
    moved = float_array("moved", moved, (2, *drawn.shape[1:]))
    detail = float_array("detail", detail, (None, None, 3))
    frame_size((drawn.shape[1], drawn.shape[2]), "drawn")
    frame_size((detail.shape[0], detail.shape[1]), "detail")
    colour = float_array("background", background, (3,))
    image = output_array("out", out, (3, *drawn.shape[1:]), np.float32)
    engine = registry.select(backend)
    if engine.name == "cpu":
        registry.cpu.blend_detail(
            engine.isa, drawn, moved, detail, colour, epsilon, tuple(ratio), tuple(corner), image, threads
        )
    elif engine.name == "triton":
        image[:] = registry.triton().blend_detail(drawn, moved, detail, colour, epsilon, ratio, corner)
    else:
        image[:] = reference_detail.blend_detail(drawn, moved, detail, colour, epsilon, ratio, corner)
    return image
