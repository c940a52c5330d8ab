# SPDX-License-Identifier: MIT
"""The kernels as torch autograd functions. Imports torch; besides it only the GPU engine does.

Tensors are float32, contiguous or made so; gradients are those of the numpy functions of the same name. CPU tensors are
not copied. Tensors on a GPU, and all where the engine `triton` is chosen and interpreted, go to the functions of the
same name in `gscodec.kernels.triton.autograd`.
"""

import importlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import registry
from .checks import Array
from .encoding import HashGeometry, hash_encode, hash_encode_backward
from .field import FieldWeights, field_backward, field_forward
from .loss import mixture_bits, splat_loss
from .place import PlaceSettings, place, place_backward
from .quantise import quantise
from .raster import rasterize, rasterize_backward


def on_gpu(*tensors: Any) -> bool:
    """Whether the GPU engine takes them: one is on a GPU, or the engine `triton` is chosen and interpreted."""
    there = any(isinstance(value, Tensor) and value.is_cuda for value in tensors)
    return there or (registry.interpreting() and os.environ.get("GSV_BACKEND") == "triton")


def _gpu_twin(name: str, tensors: Sequence[Any]) -> Any:
    """The GPU engine's function of that name where the tensors are its, else None."""
    if not on_gpu(*tensors):
        return None
    registry.select("triton")
    return getattr(importlib.import_module("gscodec.kernels.triton.autograd"), name)


def _with_twin(function: Any) -> Any:
    """Let a function's two directions be those of its twin where the tensors are on a GPU."""
    forward, backward = function.forward, function.backward

    def either(ctx: Any, *arguments: Any) -> Any:
        ctx.twin = _gpu_twin(function.__name__, arguments)
        return ctx.twin.forward(ctx, *arguments) if ctx.twin else forward(ctx, *arguments)

    def back(ctx: Any, *grads: Any) -> Any:
        return ctx.twin.backward(ctx, *grads) if ctx.twin else backward(ctx, *grads)

    function.forward, function.backward = staticmethod(either), staticmethod(back)
    return function


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().numpy()


@_with_twin
class Rasterize(torch.autograd.Function):
    """apply(mean [N, 2], conic [N, 3], feature [N, C], (height, width), threads=0) -> image [C, height, width].

    Differentiable in all three tensors. Source: `raster.rasterize`.
    """

    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, conic: Tensor, feature: Tensor, size: tuple[int, int], threads: int = 0
    ) -> Tensor:
        ctx.save_for_backward(mean, conic, feature)
        ctx.threads = threads
        return torch.from_numpy(rasterize(_numpy(mean), _numpy(conic), _numpy(feature), size, threads=threads))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        mean, conic, feature = map(_numpy, ctx.saved_tensors)
        found = rasterize_backward(mean, conic, feature, _numpy(grads[0]), threads=ctx.threads)
        return *map(torch.from_numpy, found), None, None


@_with_twin
class SplatLoss(torch.autograd.Function):
    """apply(mean [N, 2], conic [N, 3], feature [N, C], background [3], target [3, H, W], epsilon, threads=0) -> loss.

    The loss, a float32 scalar, is half the sum of squared differences. Differentiable in the first four tensors; the
    gradients are found along with the loss. Source: `loss.splat_loss`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        mean: Tensor,
        conic: Tensor,
        feature: Tensor,
        background: Tensor,
        target: Tensor,
        epsilon: float,
        threads: int = 0,
    ) -> Tensor:
        arrays = _numpy(mean), _numpy(conic), _numpy(feature), _numpy(background), _numpy(target)
        error, *ctx.found = splat_loss(*arrays, epsilon=epsilon, threads=threads)
        return torch.tensor(error / 2)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return *_scaled(ctx.found, grads[0]), None, None, None


@_with_twin
class MixtureBits(torch.autograd.Function):
    """apply(x [N, C], step [C] or [N, C], mean [C, 3], log_scale [C, 3], logit [C, 3], threads=0) -> bits.

    Bits are a float32 scalar, differentiable in all tensors but `step`. Source: `loss.mixture_bits`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, mean: Tensor, log_scale: Tensor, logit: Tensor, threads: int = 0
    ) -> Tensor:
        arrays = map(_numpy, (x, step, mean, log_scale, logit))
        bits, *ctx.found = mixture_bits(*arrays, threads=threads)
        return torch.tensor(bits)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        dx, *mixture = _scaled(ctx.found, grads[0])
        return dx, None, *mixture, None


@_with_twin
class Place(torch.autograd.Function):
    """apply(settings, active, tau, threads, *parameters) -> mean [n, 2], conic [n, 3], feature [n, 3 or 4].

    active [n] and tau as tensors, active may be None. Differentiable in the parameters, which are those of
    `place.PARAMETERS`; each may be None. Source: `place.place`. On a GPU also of B frames at once, whose positions
    `settings.index` are a tensor [B]: then tau is [B] or [B, n], the field's outputs and the results are [B, n, ...].
    """

    @staticmethod
    def forward(
        ctx: Any, settings: PlaceSettings, active: Tensor | None, tau: Tensor, threads: int, *parameters: Tensor | None
    ) -> Any:
        arrays = [None if tensor is None else _numpy(tensor) for tensor in parameters]
        ctx.found = settings, None if active is None else active.numpy(), _numpy(tau), arrays
        ctx.threads = threads
        return tuple(map(torch.from_numpy, place(*ctx.found, threads=threads)))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        settings, active, tau, arrays = ctx.found
        dplaced = [_numpy(grad) for grad in grads]
        found = place_backward(settings, active, tau, arrays, dplaced, threads=ctx.threads)
        return None, None, None, None, *(None if grad is None else torch.from_numpy(grad) for grad in found)


@_with_twin
class Quantise(torch.autograd.Function):
    """apply(steps, seed, threads, *tensors) -> what coding makes of each tensor; gradients pass straight through.

    steps: for each tensor a Tensor of steps, or (parts, limit): row ranges with one symmetric step each. seed: None,
    a number, or on a GPU a tensor of one int64 there. Source: `quantise.quantise`.
    """

    @staticmethod
    def forward(ctx: Any, steps: Sequence[Any], seed: int | None, threads: int, *tensors: Tensor) -> Any:
        arrays, limits, places = [], [], []
        for tensor, step in zip(tensors, steps, strict=True):
            parts, limit = (((0, None),), _numpy(step)) if isinstance(step, Tensor) else step
            places.append(len(parts))
            arrays += [_numpy(tensor)[begin:end] for begin, end in parts]
            limits += [limit] * len(parts)
        found = iter(quantise(arrays, limits, seed, threads=threads))
        taken = ([next(found) for _ in range(count)] for count in places)
        return tuple(torch.from_numpy(one[0] if len(one) == 1 else np.concatenate(one)) for one in taken)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, None, None, *grads


def _scaled(found: Sequence[Array], factor: Tensor) -> list[Tensor]:
    """Gradients that are known already, times that of their loss; changed in place."""
    number = np.float32(factor.item())
    if number != 1:
        for array in found:
            np.multiply(array, number, out=array)  # torch would wake its threads for it
    return [torch.from_numpy(array) for array in found]


@_with_twin
class HashEncode(torch.autograd.Function):
    """apply(coords [N, D], table [entries, F], geometry) -> features [N, levels * F].

    Differentiable in both tensors. Source: `encoding.hash_encode`.
    """

    @staticmethod
    def forward(ctx: Any, coords: Tensor, table: Tensor, geometry: HashGeometry) -> Tensor:
        ctx.save_for_backward(coords, table)
        ctx.geometry = geometry
        return torch.from_numpy(hash_encode(_numpy(coords), _numpy(table), geometry))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        coords, table = map(_numpy, ctx.saved_tensors)
        dtable, dcoords = hash_encode_backward(coords, table, ctx.geometry, _numpy(grads[0]))
        return torch.from_numpy(dcoords), torch.from_numpy(dtable).view_as(ctx.saved_tensors[1]), None


@_with_twin
class FieldFunction(torch.autograd.Function):
    """The field's heads before scaling, at one time for all points.

    apply(xy [N, 2], t, table2, table3, w1, b1, w2, b2, w_mean, b_mean, w_colour, b_colour, geometry2, geometry3,
    input_scale, frequency_count, threads=0, sample=slice(None)) -> (dmean_raw [N, 2], dcolour_raw [N, 3]).
    Differentiable in the ten tables and weights, not in xy and t. Source: `field.field_forward`. The gradients are
    estimated from the points of `sample` alone, scaled to stand for all; on a GPU all points are taken. There t may be
    a tensor [B] of times, and the results are [B, N, 2] and [B, N, 3].
    """

    @staticmethod
    def forward(ctx: Any, xy: Tensor, t: float, *arguments: Any) -> tuple[Tensor, Tensor]:
        tensors, settings, ctx.extra = arguments[:10], arguments[10:14], len(arguments) - 10
        ctx.threads = arguments[14] if arguments[14:] else 0
        ctx.sample = arguments[15] if arguments[15:] else slice(None)
        ctx.save_for_backward(xy, *tensors)
        ctx.t, ctx.settings = float(t), settings
        dmean, dcolour = field_forward(_field_weights(tensors, settings), _numpy(xy), ctx.t, threads=ctx.threads)
        return torch.from_numpy(dmean), torch.from_numpy(dcolour)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        xy, *tensors = ctx.saved_tensors
        weights = _field_weights(tensors, ctx.settings)
        at, *heads = (_numpy(values[ctx.sample]) for values in (xy, *grads))
        found = field_backward(weights, at, ctx.t, *heads, threads=ctx.threads)
        share = max(1, len(xy)) / max(1, len(at))
        shaped = [torch.from_numpy(grad).view_as(tensor) for grad, tensor in zip(found, tensors, strict=True)]
        return None, None, *(grad if share == 1 else grad.mul_(share) for grad in shaped), *[None] * ctx.extra


def _field_weights(tensors: Sequence[Tensor], settings: Sequence[Any]) -> FieldWeights:
    table2, table3, w1, b1, w2, b2, w_mean, b_mean, w_colour, b_colour = map(_numpy, tensors)
    geometry2, geometry3, input_scale, frequencies = settings
    grids = geometry2, table2, geometry3, table3
    return FieldWeights(w1, b1, w2, b2, w_mean, b_mean, w_colour, b_colour, *grids, tuple(input_scale), frequencies)
