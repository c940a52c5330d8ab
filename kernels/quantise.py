# SPDX-License-Identifier: MIT
"""What coding and decoding make of values, or noise of the same size in place of rounding. Imports numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import registry
from .checks import Array, float_array
from .errors import ShapeError

MOST_COLUMNS = 8
LEAST_RANGE = 1e-8
_NONE = np.empty(0, np.float32)


def quantise(
    values: Sequence[Array],  # float32, any shapes
    steps: Sequence[
        Array | int
    ],  # for each: [C] float32 along its last axis, C <= 8; or one for each value; or a limit
    seed: int | None = None,  # 0..2^64-1
    *,
    threads: int = 0,
    backend: str | None = None,
) -> list[Array]:
    """Each array rounded to the nearest multiples of its steps, ties to even; new float32 arrays of the same shapes.

    An integer in place of steps is a limit: one step for the whole array, its largest magnitude over the limit. With a
    seed, uniform noise of one step is added in place of rounding, the same for the same seed wherever it runs.
    Raises ShapeError, BackendError.
    """
    if len(values) != len(steps):
        raise ShapeError(f"steps: found {len(steps)}, expected {len(values)}, one for each array")
    checked = [_checked(*pair) for pair in zip(values, steps, strict=True)]
    engine = registry.select(backend)
    if engine.name == "triton":
        rounded: list[Array] = registry.triton().quantise([x for x, _, _, _ in checked], steps, seed)
        return rounded
    if engine.name != "cpu":
        return [_reference(*item, seed, i) for i, item in enumerate(checked)]
    flat = [x.reshape(-1) for x, _, _, _ in checked]
    out = [np.empty_like(x) for x in flat]
    columns, limits = [item[2] for item in checked], [item[3] for item in checked]
    step = [item[1].reshape(-1) for item in checked]
    registry.cpu.quantise(engine.isa, flat, step, columns, limits, out, seed is not None, seed or 0, threads)
    return [found.reshape(x.shape) for found, (x, _, _, _) in zip(out, checked, strict=True)]


def symmetric_step(x: Array, limit: int) -> np.float32:
    """The step that a limit stands for."""
    return np.float32(max(float(np.abs(x).max(initial=0)), LEAST_RANGE) / limit)


def _checked(x: Array, step: Array | int) -> tuple[Array, Array, int, int]:
    """Values, steps, columns (0: one step for each value) and limit (0: none)."""
    x = float_array("values", x, np.shape(x))
    if isinstance(step, int):
        if step < 1:
            raise ShapeError(f"steps: found limit {step}, expected a positive number")
        return x, _NONE, 1, step
    if np.ndim(step) == 1 and x.ndim and x.shape[-1] == len(step) <= MOST_COLUMNS and x.ndim > 1:
        return x, float_array("steps", step, (None,)), len(step), 0
    return x, float_array("steps", step, x.shape), 0, 0


def _reference(x: Array, step: Array, columns: int, limit: int, seed: int | None, number: int) -> Array:
    """One array, in float32: a decoder too multiplies float32 steps by integers."""
    if limit:
        step = np.array(symmetric_step(x, limit))
    if seed is None:
        return np.asarray(np.round(x / step) * step, np.float32)
    words = np.uint32(seed & 0xFFFFFFFF), np.uint32(((seed >> 32) + 0x9E3779B9 * number) & 0xFFFFFFFF)
    h = np.arange(x.size, dtype=np.uint32) + words[0]
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D) + words[1]
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    noise = ((h ^ (h >> np.uint32(15))) >> np.uint32(8)) / np.float64(2**24) - 0.5
    return np.asarray(x + noise.reshape(x.shape) * step, np.float32)
