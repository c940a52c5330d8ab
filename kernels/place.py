# SPDX-License-Identifier: MIT
"""Moving Gaussians at one time, as the rasteriser takes them, and the gradients back. Imports numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import reference_place, registry
from .checks import Array, float_array
from .errors import ShapeError

PARAMETERS = ("mean", "shape", "colour", "motion", "drift", "window", "field_mean", "field_colour")
_ALL = np.empty(0, np.int64)
_NONE = np.empty(0, np.float32)


@dataclass(frozen=True)
class PlaceSettings:
    """What is the same for all Gaussians of a frame."""

    index: Any  # frame position, a number; for tensors on a GPU also those of several frames, a tensor [B]
    edge: float  # frames over which a window rises or falls, > 0
    mean_scale: float  # px per unit of the field's output
    colour_scale: float
    matrix: tuple[tuple[float, float, float], ...]  # a colour, as a row, times this [3, 3] is RGB
    log_shape: bool  # shapes are (ln l11, l21 / l22, ln l22), or (l11, l21, l22) in pixels
    weighted: bool  # features have the weight as fourth channel


def active_windows(
    window: Array,  # [N, 2] float32, birth and death in frames
    index: float,
    edge: float,
    *,
    backend: str | None = None,
) -> Array:
    """Rows [n] int64, ascending, of the Gaussians that take part at a frame position.

    Those whose soft weight, a logistic that reaches beyond each ramp so that gradients still matter, is above 1/50.
    Raises ShapeError, BackendError.
    """
    window = float_array("window", window, (None, 2))
    engine = registry.select(backend)
    if engine.name != "cpu":
        return reference_place.active_windows(window, index, edge)
    found = np.empty(len(window), np.int64)
    return found[: registry.cpu.active_windows(engine.isa, window, index, edge, found)]


def place(
    settings: PlaceSettings,
    active: Array | None,  # [n] int64, ascending rows that take part; None for all
    tau: Array,  # [n] or [1] float32, time of each; it has no gradient
    parameters: Sequence[Array | None],  # as PARAMETERS names them, float32; None where a model has no such parameter
    *,
    threads: int = 0,
    backend: str | None = None,
) -> tuple[Array, Array, Array]:
    """Mean [n, 2], conic [n, 3] and feature [n, 3 or 4] of Gaussians at a time (SPEC 7.7).

    parameters: mean [N, 2], shape [N, 3], colour [N, 3], motion [N, K, 2] (sum of motion[k] tau^(k + 1)), drift [N, 3]
    (times tau), window [N, 2], and the field's output for those that take part, [n, 2] and [n, 3].
    feature is RGB times the window's weight, and the weight. Raises ShapeError, BackendError.
    """
    arrays, rows = _checked(active, tau, parameters)
    engine = registry.select(backend)
    if engine.name == "triton":
        placed: tuple[Array, Array, Array] = registry.triton().place(settings, rows, tau, parameters)
        return placed
    if engine.name != "cpu":
        found = reference_place.place(settings, rows, tau, arrays)
        return tuple(array.astype(np.float32) for array in found)  # type: ignore[return-value]
    count = len(arrays[0]) if rows is None else len(rows)
    out = (
        np.empty((count, 2), np.float32),
        np.empty((count, 3), np.float32),
        np.empty((count, 3 + settings.weighted), np.float32),
    )
    registry.cpu.place(engine.isa, *_arguments(settings, rows, tau, arrays), *out, threads)
    return out


def place_backward(
    settings: PlaceSettings,
    active: Array | None,
    tau: Array,
    parameters: Sequence[Array | None],
    grads: Sequence[Array],  # by the three arrays of `place`
    *,
    threads: int = 0,
    backend: str | None = None,
) -> list[Array | None]:
    """Gradients of `place` by its parameters, zero for those that do not take part.

    Those of a window's ramps are the slopes of a logistic, so that it can grow from outside them.
    Raises ShapeError, BackendError.
    """
    arrays, rows = _checked(active, tau, parameters)
    count = len(arrays[0]) if rows is None else len(rows)
    shapes = (count, 2), (count, 3), (count, 3 + settings.weighted)
    checked = [float_array("grads", grad, shape) for grad, shape in zip(grads, shapes, strict=True)]
    engine = registry.select(backend)
    if engine.name == "triton":
        slopes: list[Array | None] = registry.triton().place_backward(settings, rows, tau, parameters, checked)
        return slopes
    if engine.name != "cpu":
        found = reference_place.place_backward(settings, rows, tau, arrays, checked)
        return [None if array is None else array.astype(np.float32) for array in found]
    out = [
        np.empty_like(array) if given is not None else _NONE for array, given in zip(arrays, parameters, strict=True)
    ]
    flat = [array.reshape(-1) for array in out]
    registry.cpu.place_backward(engine.isa, *_arguments(settings, rows, tau, arrays), *checked, flat, threads)
    return [array if given is not None else None for array, given in zip(out, parameters, strict=True)]


def _checked(active: Array | None, tau: Array, parameters: Sequence[Array | None]) -> tuple[list[Array], Array | None]:
    given = dict(zip(PARAMETERS, parameters, strict=True))
    if given["mean"] is None or given["shape"] is None or given["colour"] is None:
        raise ShapeError("parameters: mean, shape and colour are needed")
    total = len(given["mean"])
    if active is not None and (active.dtype != np.int64 or active.ndim != 1 or not active.flags.c_contiguous):
        raise ShapeError(f"active: found {active.dtype} {active.shape}, expected contiguous int64 (any)")
    count = total if active is None else len(active)
    if tau.dtype != np.float32 or tau.shape not in ((1,), (count,)):
        raise ShapeError(f"tau: found {tau.dtype} {tau.shape}, expected float32 (1,) or ({count},)")
    shapes: dict[str, tuple[int | None, ...]] = {
        "mean": (total, 2),
        "motion": (total, None, 2),
        "window": (total, 2),
        "field_mean": (count, 2),
        "field_colour": (count, 3),
    }
    arrays = [
        _NONE if array is None else float_array(name, array, shapes.get(name, (total, 3)))
        for name, array in given.items()
    ]
    if (given["field_mean"] is None) != (given["field_colour"] is None):
        raise ShapeError("parameters: the field has two outputs or none")
    return arrays, active


def _arguments(settings: PlaceSettings, rows: Array | None, tau: Array, arrays: list[Array]) -> tuple[object, ...]:
    """What both directions of the compiled engine begin with."""
    _, _, _, motion, drift, window, field, _ = arrays
    degree = motion.shape[1] if motion.ndim == 3 else 0
    there = [array is not _NONE for array in (window, drift, field)]
    matrix = [number for row in settings.matrix for number in row]
    scales = settings.index, settings.edge, settings.mean_scale, settings.colour_scale
    compiled = registry.cpu.PlaceSettings(*scales, matrix, settings.log_shape, *there, degree, 3 + settings.weighted)
    chosen = (_ALL, False) if rows is None else (rows, True)
    return compiled, [array.reshape(-1) for array in arrays], len(arrays[0]), *chosen, tau
