# SPDX-License-Identifier: MIT
"""The functions of `gscodec.kernels.autograd` for tensors on the GPU. Imports torch and triton.

Same names, arguments and gradients; `gscodec.kernels.autograd` comes here when its tensors are on a GPU. Nothing waits
for the device, except where means have no gradient: what is not a step of training, and is looked at, loses no pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gscodec.kernels.encoding import HashGeometry
from gscodec.kernels.place import PlaceSettings

from . import field as fields
from . import hashing, mixture, raster, raster_backward, training
from .binning import Bins, bin_pairs, boxes_of
from .quantise import quantise
from .room import room_for
from .splats import Splats


def binned(mean: Tensor, conic: Tensor, feature: Tensor, size: tuple[int, int], *, wait: bool) -> tuple[Splats, Bins]:
    """Gaussians of a frame, or of several, and their pairs: in the room that has been enough for as many before, or all
    of them after a `wait` for their number.
    """
    splats = Splats.of(mean.detach(), conic.detach(), feature.detach())
    boxes = boxes_of(splats.mean, splats.conic, splats.feature, size)
    if not len(splats.mean):
        return splats, bin_pairs(boxes, splats.mean, splats.conic, splats.counts, size, 1)
    room = room_for((mean.device, size, len(splats.counts)))
    capacity = room.before(boxes.end[-1], wait=wait)
    return splats, bin_pairs(boxes, splats.mean, splats.conic, splats.counts, size, capacity)


class Rasterize(torch.autograd.Function):
    """See `gscodec.kernels.autograd.Rasterize`."""

    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, conic: Tensor, feature: Tensor, size: tuple[int, int], threads: int = 0
    ) -> Tensor:
        ctx.found = splats, bins = binned(mean, conic, feature, size, wait=not ctx.needs_input_grad[0])
        return raster.rasterize(splats, bins)[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        splats, bins = ctx.found
        return *raster_backward.rasterize_backward(splats, bins, grads[0][None]), None, None


class SplatLoss(torch.autograd.Function):
    """See `gscodec.kernels.autograd.SplatLoss`; here also of B frames at once, each of N Gaussians: their losses' sum.

    Then mean is [B, N, 2], conic [B, N, 3], feature [B, N, C] and target [B, 3, H, W].
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
        frames = target if target.ndim == 4 else target[None]
        size = frames.shape[2], frames.shape[3]
        splats, bins = binned(mean, conic, feature, size, wait=not ctx.needs_input_grad[0])
        errors, *found = raster.splat_loss(splats, bins, background.detach(), frames, epsilon)
        given = mean, conic, feature, background
        ctx.found = [grad.view_as(tensor) for grad, tensor in zip(found, given, strict=True)]
        return (errors.sum() / 2).float()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return *torch._foreach_mul(ctx.found, grads[0]), None, None, None


class MixtureBits(torch.autograd.Function):
    """See `gscodec.kernels.autograd.MixtureBits`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, mean: Tensor, log_scale: Tensor, logit: Tensor, threads: int = 0
    ) -> Tensor:
        bits, *ctx.found = mixture.mixture_bits(x, step, mean, log_scale, logit)
        return bits.float()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        dx, *parts = torch._foreach_mul(ctx.found, grads[0])
        return dx, None, *parts, None


class Place(torch.autograd.Function):
    """See `gscodec.kernels.autograd.Place`."""

    @staticmethod
    def forward(
        ctx: Any, settings: PlaceSettings, active: Tensor | None, tau: Tensor, threads: int, *parameters: Tensor | None
    ) -> Any:
        ctx.settings, ctx.there = settings, [part is not None for part in parameters]
        ctx.save_for_backward(active, tau, *parameters)
        return training.place(settings, active, tau, parameters)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        active, tau, *parameters = ctx.saved_tensors
        return None, None, None, None, *training.place_backward(ctx.settings, active, tau, parameters, grads)


class Quantise(torch.autograd.Function):
    """See `gscodec.kernels.autograd.Quantise`."""

    @staticmethod
    def forward(ctx: Any, steps: Sequence[Any], seed: int | Tensor | None, threads: int, *tensors: Tensor) -> Any:
        parts, limits, places = [], [], []
        for value, step in zip(tensors, steps, strict=True):
            ranges, limit = (((0, None),), step) if isinstance(step, Tensor) else step
            places.append(len(ranges))
            parts += [value.detach()[begin:end] for begin, end in ranges]
            limits += [limit] * len(ranges)
        found = iter(quantise(parts, limits, seed))
        taken = ([next(found) for _ in range(count)] for count in places)
        return tuple(one[0] if len(one) == 1 else torch.cat(one) for one in taken)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, None, None, *grads


class HashEncode(torch.autograd.Function):
    """See `gscodec.kernels.autograd.HashEncode`."""

    @staticmethod
    def forward(ctx: Any, coords: Tensor, table: Tensor, geometry: HashGeometry) -> Tensor:
        ctx.save_for_backward(coords, table)
        ctx.geometry = geometry
        return hashing.hash_encode(coords, table, geometry)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        coords, table = ctx.saved_tensors
        dtable, dcoords = hashing.hash_encode_backward(coords, table, ctx.geometry, grads[0].contiguous())
        return dcoords, dtable.view_as(table), None


class FieldFunction(torch.autograd.Function):
    """See `gscodec.kernels.autograd.FieldFunction`."""

    @staticmethod
    def forward(ctx: Any, xy: Tensor, t: float | Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
        tensors, (geometry2, geometry3, scale, frequencies) = arguments[:10], arguments[10:14]
        held = tuple(part.detach().contiguous() for part in tensors)
        ctx.field = fields.Field(held, geometry2, geometry3, tuple(scale), frequencies)
        ctx.extra = len(arguments) - 10
        times = t if isinstance(t, Tensor) else torch.full((1,), float(t), device=xy.device)
        heads, ctx.seen = fields.field_forward(ctx.field, xy, times)
        heads = heads if isinstance(t, Tensor) else heads[0]
        return heads[..., :2].contiguous(), heads[..., 2:].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        dheads = torch.cat([grads[0], grads[1]], -1).view(len(ctx.seen.times), len(ctx.seen.places), 5)
        found = fields.field_backward(ctx.field, ctx.seen, dheads)
        shaped = [grad.view_as(part) for grad, part in zip(found, ctx.field.tensors, strict=True)]
        return None, None, *shaped, *[None] * ctx.extra
