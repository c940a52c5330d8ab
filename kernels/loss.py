# SPDX-License-Identifier: MIT
"""What training measures, with its gradients in the same pass: squared error of a drawn frame, bits of coded values.

Imports numpy only.
"""

from __future__ import annotations

import numpy as np

from . import reference_loss, registry
from .checks import Array, float_array, frame_size, splat_arrays
from .errors import ShapeError

MIXTURE_PARTS = 3  # logistics in a mixture
MOST_COMPONENTS = 8
LEAST_PROBABILITY = 1e-7  # below it a value costs no more bits, and has no gradient


def splat_loss(
    mean: Array,  # [N, 2] float32, pixels
    conic: Array,  # [N, 3] float32, 1/pixel^2
    feature: Array,  # [N, C] float32: C = 3, RGB; C = 4, RGB times weight, and the weight
    background: Array,  # [3] float32, RGB; used by the normalised form, C = 4
    target: Array,  # [3, H, W] uint8 or uint16, full scale 255 or 65535
    *,
    epsilon: float = 0.0,  # weight of the background, > 0 with C = 4
    threads: int = 0,
    backend: str | None = None,
) -> tuple[float, Array, Array, Array, Array]:
    """Squared error of the drawn frame, as `rasterize` and the blending of `render_rgb8` give it before rounding.

    Returns the sum of squares over the frame, in units where full scale is 1, and the gradients of its half: by mean,
    conic, feature and background. No picture is stored. The result does not depend on `threads`.
    Raises ShapeError, BackendError.
    """
    mean, conic, feature = splat_arrays(mean, conic, feature)
    background = float_array("background", background, (3,))
    if target.dtype not in (np.uint8, np.uint16) or target.ndim != 3 or len(target) != 3:
        raise ShapeError(f"target: found {target.dtype} {target.shape}, expected uint8 or uint16 (3, height, width)")
    frame_size(target.shape[1:])
    if feature.shape[1] == 4 and not epsilon > 0:
        raise ShapeError(f"epsilon: found {epsilon}, expected a positive number with four channels")
    engine = registry.select(backend)
    if engine.name == "reference":
        error, *grads = reference_loss.splat_loss(mean, conic, feature, background, target, epsilon)
        return error, *(grad.astype(np.float32) for grad in grads)  # type: ignore[return-value]
    if engine.name == "triton":
        arrays = mean, conic, feature, background, np.ascontiguousarray(target)
        drawn: tuple[float, Array, Array, Array, Array] = registry.triton().splat_loss(*arrays, epsilon)
        return drawn
    out = np.empty_like(mean), np.empty_like(conic), np.empty_like(feature), np.empty(3, np.float32)
    samples = np.ascontiguousarray(target)
    kernel = registry.cpu.splat_loss8 if samples.dtype == np.uint8 else registry.cpu.splat_loss16
    error = kernel(engine.isa, mean, conic, feature, background, samples, epsilon, *out, threads)
    return error, *out


def mixture_bits(
    x: Array,  # [N, C] float32, C in 1..8
    step: Array,  # [C] or [N, C] float32, > 0
    mean: Array,  # [C, 3] float32: a column of x is a mixture of three logistics
    log_scale: Array,  # [C, 3] float32
    logit: Array,  # [C, 3] float32; shares are their softmax
    *,
    threads: int = 0,
    backend: str | None = None,
) -> tuple[float, Array, Array, Array, Array]:
    """Bits of all of x when it is coded in steps: -log2 of the mixture's mass over one step around each value.

    Returns the bits and their gradients by x, mean, log_scale and logit. A mass below LEAST_PROBABILITY counts as that.
    The result does not depend on `threads`. Raises ShapeError, BackendError.
    Source: the entropy constraint of paper 002, with mixtures in place of single densities.
    """
    x = float_array("x", x, (None, None))
    count, columns = x.shape
    if not 1 <= columns <= MOST_COMPONENTS:
        raise ShapeError(f"x: found {columns} columns, expected 1..{MOST_COMPONENTS}")
    step = float_array("step", step, (columns,) if np.ndim(step) == 1 else (count, columns)).reshape(-1, columns)
    shape = columns, MIXTURE_PARTS
    mean, log_scale = float_array("mean", mean, shape), float_array("log_scale", log_scale, shape)
    mixture = mean, log_scale, float_array("logit", logit, shape)
    engine = registry.select(backend)
    if engine.name == "reference":
        bits, *grads = reference_loss.mixture_bits(x, step, *mixture, LEAST_PROBABILITY)
        return bits, *(grad.astype(np.float32) for grad in grads)  # type: ignore[return-value]
    if engine.name == "triton":
        found: tuple[float, Array, Array, Array, Array] = registry.triton().mixture_bits(x, step, *mixture)
        return found
    out = np.empty_like(x), *(np.empty(shape, np.float32) for _ in mixture)
    bits = registry.cpu.mixture_bits(engine.isa, x, step, *mixture, *out, threads)
    return bits, *out
