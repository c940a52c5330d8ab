# SPDX-License-Identifier: MIT
"""Drawing Gaussians: the public functions. Checks, then hands over to an engine. Imports numpy only.

Weight of a Gaussian at a pixel: exp(-sigma) - exp(-4.5) where sigma < 4.5, else 0. A frame is the plain sum of
weight times feature: there is no order. A Gaussian with a non-finite number, with a <= 0 or a*c - b*b <= 0 (exact
arithmetic on the float32 values) is not drawn and has zero gradient.
"""

from typing import Any

import numpy as np

from . import reference, registry
from .checks import Array, float_array, frame_size, output_array, splat_arrays


def rasterize(
    mean: Array,  # [N, 2] float32, pixels
    conic: Array,  # [N, 3] float32, 1/pixel^2
    feature: Array,  # [N, C] float32, C = 3 or 4
    size: tuple[int, int],  # (height, width), 1..65535
    *,
    threads: int = 0,
    backend: str | None = None,
    out: Array | None = None,
) -> Array:
    """Sum N Gaussians into an image; returns [C, height, width] float32, not clamped (`out` if given).

    threads: 0 means all cores; the result does not depend on it. backend: see `registry`.
    Raises ShapeError, BackendError. Source: accumulated blending of GaussianImage (Zhang et al., ECCV 2024), with a
    weight that ends continuously.
    """
    mean, conic, feature = splat_arrays(mean, conic, feature)
    height, width = frame_size(size)
    image = output_array("out", out, (feature.shape[1], height, width), np.float32)
    engine = registry.select(backend)
    if engine.name == "cpu":
        registry.cpu.rasterize(engine.isa, mean, conic, feature, image, threads)
    elif engine.name == "triton":
        image[:] = registry.triton().rasterize(mean, conic, feature, (height, width))
    else:
        image[:] = reference.rasterize(mean, conic, feature, (height, width))
    return image


def rasterize_backward(
    mean: Array,
    conic: Array,
    feature: Array,
    grad: Array,  # [C, H, W] float32, finite
    *,
    threads: int = 0,
    backend: str | None = None,
) -> tuple[Array, Array, Array]:
    """Gradient of `rasterize`: given dLoss/dimage, returns (dmean [N, 2], dconic [N, 3], dfeature [N, C]) float32.

    Raises ShapeError, BackendError.
    """
    mean, conic, feature = splat_arrays(mean, conic, feature)
    grad = float_array("grad", grad, (feature.shape[1], None, None))
    frame_size((grad.shape[1], grad.shape[2]))
    engine = registry.select(backend)
    if engine.name == "reference":
        dmean, dconic, dfeature = reference.rasterize_backward(mean, conic, feature, grad)
        return dmean.astype(np.float32), dconic.astype(np.float32), dfeature.astype(np.float32)
    if engine.name == "triton":
        found: tuple[Array, Array, Array] = registry.triton().rasterize_backward(mean, conic, feature, grad)
        return found
    out = np.empty_like(mean), np.empty_like(conic), np.empty_like(feature)
    registry.cpu.rasterize_backward(engine.isa, mean, conic, feature, grad, *out, threads)
    return out


def render_rgb8(
    mean: Array,
    conic: Array,
    feature: Array,  # [N, 3] RGB, summed; or [N, 4] RGB times weight and the weight, normalised
    size: tuple[int, int],
    *,
    background: Any = None,  # 3 floats, RGB; black if None; used by the normalised form only
    epsilon: float = 0.0,  # weight of the background
    threads: int = 0,
    backend: str | None = None,
    out: Array | None = None,
) -> Array:
    """Draw a frame as 8-bit RGB: floor(clamp(v, 0, 1) * 255 + 0.5); returns [height, width, 3] uint8 (`out` if given).

    With four channels v = (sum_rgb + epsilon * background) / (sum_weight + epsilon). NaN becomes 0.
    Raises ShapeError, BackendError.
    """
    mean, conic, feature = splat_arrays(mean, conic, feature)
    height, width = frame_size(size)
    image = output_array("out", out, (height, width, 3), np.uint8)
    colour = float_array("background", np.zeros(3, np.float32) if background is None else background, (3,))
    engine = registry.select(backend)
    if engine.name == "cpu":
        registry.cpu.render_rgb8(engine.isa, mean, conic, feature, colour, epsilon, image, threads)
    elif engine.name == "triton":
        image[:] = registry.triton().render_rgb8(mean, conic, feature, (height, width), colour, epsilon)
    else:
        image[:] = reference.render_rgb8(mean, conic, feature, (height, width), colour, epsilon)
    return image


def covered_pixels(mean: Array, conic: Array, size: tuple[int, int]) -> int:
    """Work needed to draw the Gaussians: sum of the areas of their bounding boxes, clipped to (height, width).

    A box holds the pixels whose centres lie within the extent of the support; what is not drawn counts 0.
    Raises ShapeError.
    """
    mean = float_array("mean", mean, (None, 2))
    conic = float_array("conic", conic, (len(mean), 3))
    height, width = frame_size(size)
    if registry.cpu is not None:
        return int(registry.cpu.covered_pixels(mean, conic, height, width))
    return reference.covered_pixels(mean, conic, (height, width))
