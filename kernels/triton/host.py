# SPDX-License-Identifier: MIT
"""The engine as `gscodec.kernels` calls it: numpy arrays in and out, one frame at a time. Imports torch and triton.

Every call copies its arrays to the device and the result back; programs that draw many frames keep tensors there
instead, with the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gscodec.kernels.checks import Array
from gscodec.kernels.encoding import HashGeometry
from gscodec.kernels.field import FieldWeights

from . import detail as details
from . import field as fields
from . import filter as filters
from . import hashing, mixture, optimiser, raster, training
from .binning import Bins
from .launch import default_device, engine_name
from .quantise import quantise as _quantise
from .raster_backward import rasterize_backward as _backward
from .splats import Splats, bin_splats

__all__ = [
    "FieldPlan",
    "adam_step",
    "blend_detail",
    "default_device",
    "engine_name",
    "field_backward",
    "field_forward",
    "filter_picture",
    "hash_encode",
    "hash_encode_backward",
    "mixture_bits",
    "place",
    "place_backward",
    "quantise",
    "rasterize",
    "rasterize_backward",
    "render_rgb8",
    "splat_loss",
]


def _send(*arrays: Array) -> tuple[Tensor, ...]:
    device = default_device()
    return tuple(torch.from_numpy(array if array.flags.writeable else array.copy()).to(device) for array in arrays)


def _send_some(*arrays: Array | None) -> list[Any]:
    return [None if array is None else _send(array)[0] for array in arrays]


def _fetch(*tensors: Tensor) -> tuple[Array, ...]:
    return tuple(value.cpu().numpy() for value in tensors)


def _binned(mean: Array, conic: Array, feature: Array, size: tuple[int, int]) -> tuple[Splats, Bins]:
    centre, shape, colour = _send(mean, conic, feature)
    splats = Splats.of(centre, shape, colour)
    return splats, bin_splats(splats, size)


def rasterize(mean: Array, conic: Array, feature: Array, size: tuple[int, int]) -> Array:
    """See `gscodec.kernels.rasterize`."""
    return _fetch(raster.rasterize(*_binned(mean, conic, feature, size))[0])[0]


def rasterize_backward(mean: Array, conic: Array, feature: Array, grad: Array) -> tuple[Array, ...]:
    """See `gscodec.kernels.rasterize_backward`."""
    splats, bins = _binned(mean, conic, feature, (grad.shape[1], grad.shape[2]))
    return _fetch(*_backward(splats, bins, _send(grad)[0][None]))


def render_rgb8(
    mean: Array, conic: Array, feature: Array, size: tuple[int, int], background: Array, epsilon: float
) -> Array:
    """See `gscodec.kernels.render_rgb8`."""
    splats, bins = _binned(mean, conic, feature, size)
    return _fetch(raster.render_rgb8(splats, bins, _send(background)[0], epsilon)[0])[0]


def splat_loss(
    mean: Array, conic: Array, feature: Array, background: Array, target: Array, epsilon: float
) -> tuple[Any, ...]:
    """See `gscodec.kernels.splat_loss`."""
    splats, bins = _binned(mean, conic, feature, (target.shape[1], target.shape[2]))
    colour, wanted = _send(background, target)
    errors, *grads = raster.splat_loss(splats, bins, colour, wanted[None], epsilon)
    return float(errors.sum()), *_fetch(*grads)


def blend_detail(
    drawn: Array,
    moved: Array,
    detail: Array,
    background: Array,
    epsilon: float,
    ratio: tuple[float, float],
    corner: tuple[float, float],
) -> Array:
    """See `gscodec.kernels.blend_detail`."""
    sums, shift, picture, colour = _send(drawn, moved, detail, background)
    return _fetch(details.blend_detail(sums[None], shift[None], picture, colour, epsilon, ratio, corner))[0][0]


def filter_picture(picture: Array, weights: Array) -> Array:
    """See `gscodec.kernels.filter_picture`."""
    frame, shares = _send(picture, weights)
    return _fetch(filters.filter_picture(frame[None], shares))[0][0]


def mixture_bits(*arrays: Array) -> tuple[Any, ...]:
    """See `gscodec.kernels.mixture_bits`."""
    bits, *grads = mixture.mixture_bits(*_send(*arrays))
    return float(bits), *_fetch(*grads)


def place(settings: Any, rows: Array | None, tau: Array, parameters: Sequence[Array | None]) -> tuple[Array, ...]:
    """See `gscodec.kernels.place`."""
    chosen, when = _send_some(rows, tau)
    return _fetch(*training.place(settings, chosen, when, _send_some(*parameters)))


def place_backward(
    settings: Any, rows: Array | None, tau: Array, parameters: Sequence[Array | None], grads: Sequence[Array]
) -> list[Array | None]:
    """See `gscodec.kernels.place_backward`."""
    chosen, when = _send_some(rows, tau)
    found = training.place_backward(settings, chosen, when, _send_some(*parameters), _send(*grads))
    return [None if value is None else value.cpu().numpy() for value in found]


def quantise(values: Sequence[Array], steps: Sequence[Array | int], seed: int | None) -> list[Array]:
    """See `gscodec.kernels.quantise`."""
    sent = [step if isinstance(step, int) else _send(np.asarray(step, np.float32))[0] for step in steps]
    return list(_fetch(*_quantise(_send(*values), sent, seed)))


def hash_encode(coords: Array, table: Array, geometry: HashGeometry) -> Array:
    """See `gscodec.kernels.hash_encode`."""
    points, entries = _send(coords, table)
    return _fetch(hashing.hash_encode(points, entries, geometry))[0]


def hash_encode_backward(coords: Array, table: Array, geometry: HashGeometry, grad: Array) -> tuple[Array, ...]:
    """See `gscodec.kernels.hash_encode_backward`."""
    points, entries, gradient = _send(coords, table, grad)
    dtable, dcoords = hashing.hash_encode_backward(points, entries, geometry, gradient)
    assert dcoords is not None
    return _fetch(dtable, dcoords)


def field_forward(weights: FieldWeights, xy: Array, t: float) -> tuple[Array, Array]:
    """See `gscodec.kernels.field_forward`."""
    points, when = _send(xy, np.array([t], np.float32))
    heads = fields.field_forward(fields.Field.of(weights, points.device), points, when)[0]
    mean, colour = _fetch(heads[0, :, :2], heads[0, :, 2:])
    return np.ascontiguousarray(mean), np.ascontiguousarray(colour)


def field_backward(weights: FieldWeights, xy: Array, t: float, dmean: Array, dcolour: Array) -> list[Array]:
    """See `gscodec.kernels.field_backward`."""
    points, when, dheads = _send(xy, np.array([t], np.float32), np.concatenate([dmean, dcolour], 1))
    field = fields.Field.of(weights, points.device)
    seen = fields.field_forward(field, points, when)[1]
    return list(_fetch(*fields.field_backward(field, seen, dheads[None])))


class FieldPlan:
    """See `gscodec.kernels.FieldPlan`; `device_plan` is the same for tensors."""

    def __init__(self, weights: FieldWeights, xy: Array) -> None:
        points = _send(xy)[0]
        self.device_plan = fields.FieldPlan(fields.Field.of(weights, points.device), points)

    def evaluate(self, t: float) -> tuple[Array, Array]:
        """See `gscodec.kernels.FieldPlan.evaluate`."""
        heads = _fetch(self.device_plan.evaluate([t])[0])[0]
        return np.ascontiguousarray(heads[:, :2]), np.ascontiguousarray(heads[:, 2:])


def adam_step(param: Array, grad: Array, m: Array, v: Array, *numbers: Any) -> None:
    """See `gscodec.kernels.adam_step`; changes param, m and v in place."""
    moved, slope, first, second = _send(param, grad, m, v)
    optimiser.adam_step(moved, slope, first, second, *numbers)
    for array, changed in zip((param, m, v), (moved, first, second), strict=True):
        np.copyto(array, changed.cpu().numpy())
