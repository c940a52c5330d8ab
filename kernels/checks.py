# SPDX-License-Identifier: MIT
"""Checks at the boundary of the package: shapes, types, sizes. Imports numpy only."""

from typing import Any

import numpy as np

from .errors import ShapeError

Array = np.ndarray[Any, np.dtype[Any]]

MAX_SIDE = 65535


def float_array(name: str, value: Array, shape: tuple[int | None, ...]) -> Array:
    """Return `value` as C-contiguous float32 of the given shape (None matches any length); a copy only if needed.

    Raises ShapeError, naming the argument, for another shape or for anything that is not a real numeric array.
    """
    array = np.asarray(value)
    if array.dtype != np.float32:
        if array.dtype.kind not in "fiu":
            raise ShapeError(f"{name}: found dtype {array.dtype}, expected float32")
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    if array.ndim != len(shape) or any(
        want is not None and want != got for want, got in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ShapeError(f"{name}: found shape {array.shape}, expected ({wanted})")
    return np.ascontiguousarray(array)


def output_array(name: str, value: Array | None, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return `value` after checking that a kernel can write into it, or a new uninitialised array."""
    if value is None:
        return np.empty(shape, dtype)
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != dtype:
        raise ShapeError(f"{name}: expected a numpy array of shape {shape} and dtype {np.dtype(dtype)}")
    if not value.flags.c_contiguous or not value.flags.writeable:
        raise ShapeError(f"{name}: expected a C-contiguous, writable array")
    return value


def frame_size(size: tuple[int, int], name: str = "size") -> tuple[int, int]:
    """Return (height, width) as ints after checking that both are in 1..65535.

    Raises ShapeError, naming the argument.
    """
    height, width = (int(side) for side in size)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ShapeError(f"{name}: found {(height, width)}, expected height and width in 1..{MAX_SIDE}")
    return height, width


def splat_arrays(mean: Array, conic: Array, feature: Array) -> tuple[Array, Array, Array]:
    """Check the three arrays of a set of Gaussians: [N, 2], [N, 3] and [N, 3 or 4] float32."""
    mean = float_array("mean", mean, (None, 2))
    conic = float_array("conic", conic, (len(mean), 3))
    feature = float_array("feature", feature, (len(mean), None))
    if feature.shape[1] not in (3, 4):
        raise ShapeError(f"feature: found {feature.shape[1]} channels, expected 3 or 4")
    return mean, conic, feature
