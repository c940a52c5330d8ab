# SPDX-License-Identifier: MIT
"""The deformation field for several times at once, as `gscodec.kernels.field` defines it. Imports torch and triton.

Training: hash kernels, and torch's matrix products for the network, which keep what the gradient needs. Decoding:
`FieldPlan` computes once what does not depend on the time; then two kernels per batch of frames look up features and go
from those to the heads (`network.py`), without a trip to memory between the layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gscodec.kernels.checks import Array
from gscodec.kernels.encoding import HashGeometry
from gscodec.kernels.field import FieldWeights
from gscodec.kernels.reference_field import time_features

from .hashing import hash_encode, hash_encode_backward
from .launch import tensor
from .network import MAX_FUSED, fused_heads
from .transfer import constant, send


@dataclass(frozen=True)
class Field:
    """A field on the device: what `gscodec.kernels.FieldWeights` holds, its ten arrays as tensors in that order."""

    tensors: tuple[Tensor, ...]
    geometry2: HashGeometry
    geometry3: HashGeometry
    input_scale: tuple[float, float, float]
    frequency_count: int
    mean_scale: float = 1.0
    colour_scale: float = 1.0

    @classmethod
    def of(cls, weights: FieldWeights, device: torch.device) -> Field:
        """Copy a field to the device."""
        x, y, t = weights.input_scale
        copies = tuple(send(weights.tensors, device))
        grids = weights.geometry2, weights.geometry3
        return cls(copies, *grids, (x, y, t), weights.frequency_count, weights.mean_scale, weights.colour_scale)

    def head(self) -> tuple[Tensor, Tensor]:
        """Both heads in one: weights [5, hidden] and bias [5]."""
        w_mean, b_mean, w_colour, b_colour = self.tensors[6:]
        return torch.cat([w_mean, w_colour]), torch.cat([b_mean, b_colour])

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """The columns of the first layer that belong to the 2D grid, to the 3D grid and to the time."""
        w1, width2 = self.tensors[2], self.geometry2.width
        return w1[:, :width2], w1[:, width2 : width2 + self.geometry3.width], w1[:, width2 + self.geometry3.width :]

    def places(self, xy: Tensor) -> Tensor:
        """[N, 2] coordinates in the grids of points in the frame: clamped and scaled; NaN counts as 0."""
        return tensor("xy", xy, (None, 2)).nan_to_num(nan=0.0).clamp(0, 1) * constant(self.input_scale[:2], xy.device)

    def times(self, t: Tensor) -> Tensor:
        """[B] coordinates in the 3D grid of times in 0..1."""
        return t.nan_to_num(nan=0.0).clamp(0, 1) * self.input_scale[2]

    def time_features(self, t: Tensor) -> Tensor:
        """[B, 2 * frequency_count] sin, cos of 2^k pi t; the angles are computed in float64."""
        angle = torch.pi * t.double()[:, None] * 2.0 ** torch.arange(self.frequency_count, device=t.device)
        return torch.stack([angle.sin(), angle.cos()], 2).flatten(1).float()


@dataclass(frozen=True)
class Activations:
    """What the gradient needs of a forward pass: coordinates, inputs and hidden layers."""

    places: Tensor  # [N, 2]
    times: Tensor  # [B]
    static: Tensor  # [N, features of the 2D grid]
    dynamic: Tensor  # [B * N, features of the 3D grid]
    phases: Tensor  # [B, 2 * frequency_count]
    hidden1: Tensor  # [B * N, hidden]
    hidden2: Tensor  # [B * N, hidden]


def field_forward(field: Field, xy: Tensor, t: Tensor) -> tuple[Tensor, Activations]:
    """Heads before scaling at times t [B] for points xy [N, 2]: [B, N, 5] float32, mean then colour.

    Also returns what `field_backward` takes. Raises ShapeError, BackendError.
    """
    table2, table3, _, b1, w2, b2 = field.tensors[:6]
    places, times, phases = field.places(xy), field.times(tensor("t", t, (None,))), field.time_features(t)
    static = hash_encode(places, table2, field.geometry2)
    dynamic = hash_encode(places, table3, field.geometry3, times)
    w_static, w_dynamic, w_time = field.split()
    weight, bias = field.head()
    with exact_products():
        of_time = torch.addmm(b1, phases, w_time.T)
        fixed = (static @ w_static.T)[None] + of_time[:, None]
        hidden1 = torch.addmm(fixed.flatten(0, 1), dynamic, w_dynamic.T).relu_()
        hidden2 = torch.addmm(b2, hidden1, w2.T).relu_()
        heads = torch.addmm(bias, hidden2, weight.T).view(len(t), len(xy), 5)
    return heads, Activations(places, times, static, dynamic, phases, hidden1, hidden2)


def field_backward(field: Field, seen: Activations, dheads: Tensor) -> list[Tensor]:
    """Gradients of `field.tensors`, in that order, from that of the heads [B, N, 5], unscaled. Raises ShapeError."""
    frames, count = len(seen.times), len(seen.places)
    dheads = tensor("dheads", dheads, (frames, count, 5)).flatten(0, 1)
    table2, table3, _, _, w2 = field.tensors[:5]
    (w_static, w_dynamic, _), (weight, _) = field.split(), field.head()
    with exact_products():
        d2 = (dheads @ weight) * (seen.hidden2 > 0)
        d1 = (d2 @ w2) * (seen.hidden1 > 0)
        by_frame = d1.view(frames, count, d1.shape[1])
        of_point, of_frame = by_frame.sum(0), by_frame.sum(1)
        dw1 = torch.cat([of_point.T @ seen.static, d1.T @ seen.dynamic, of_frame.T @ seen.phases], 1)
        dw2, dhead = d2.T @ seen.hidden1, dheads.T @ seen.hidden2
        dstatic, ddynamic = of_point @ w_static, d1 @ w_dynamic
    dtable2, _ = hash_encode_backward(seen.places, table2, field.geometry2, dstatic, want_coords=False)
    dtable3, _ = hash_encode_backward(seen.places, table3, field.geometry3, ddynamic, seen.times)
    dbias = dheads.sum(0)
    return [dtable2, dtable3, dw1, d1.sum(0), dw2, d2.sum(0), dhead[:2], dbias[:2], dhead[2:], dbias[2:]]


class FieldPlan:
    """A field at fixed points xy [N, 2]: what does not depend on the time is computed once."""

    def __init__(self, field: Field, xy: Tensor) -> None:
        """Prepare the evaluation. Raises ShapeError, BackendError."""
        self._field, self._places = field, field.places(xy)
        w_static, self._w_dynamic, w_time = (part.contiguous() for part in field.split())
        static = hash_encode(self._places, field.tensors[0], field.geometry2)
        with exact_products():
            self._fixed = torch.addmm(field.tensors[3], static, w_static.T)
        scale = constant((*[field.mean_scale] * 2, *[field.colour_scale] * 3), xy.device)
        weight, bias = field.head()
        self._head = weight * scale[:, None], bias * scale
        self._fused = len(field.tensors[3]) <= MAX_FUSED
        # This copy is waited for, so that whichever thread or stream draws finds all of the above done.
        self._w_time = w_time.cpu().numpy().astype(np.float64).T

    def inputs(self, t: Sequence[float]) -> tuple[Array, Array]:
        """What `heads` takes of times in 0..1, found on the host: [B] coordinates in the 3D grid, [B, hidden] sums."""
        field, count = self._field, self._field.frequency_count
        angles = np.stack([time_features(when, count) for when in t]) if len(t) else np.empty((0, 2 * count))
        times: Array = field.input_scale[2] * np.clip(np.nan_to_num(np.array(t, np.float32)), 0, 1)
        of_time: Array = angles @ self._w_time
        return times, of_time

    def heads(self, times: Tensor, of_time: Tensor) -> Tensor:
        """[B, N, 5] float32, scaled: offsets of means in coded pixels and of colours in the coded colour space."""
        field = self._field
        features = hash_encode(self._places, field.tensors[1], field.geometry3, times)
        layers = self._fixed, of_time, self._w_dynamic, *field.tensors[4:6], *self._head
        return fused_heads(features, *layers) if self._fused else layered_heads(features, *layers)

    @property
    def frame_bytes(self) -> int:
        """Memory of the device that `heads` takes for each time."""
        numbers = 5 + self._field.geometry3.width + (0 if self._fused else 2 * self._fixed.shape[1])
        return 4 * numbers * len(self._places)

    def evaluate(self, t: Sequence[float]) -> Tensor:
        """`heads` at times t in 0..1."""
        return self.heads(*send(self.inputs(t), self._places.device))


def layered_heads(
    features: Tensor,
    fixed: Tensor,
    of_time: Tensor,
    w_dynamic: Tensor,
    w2: Tensor,
    b2: Tensor,
    head: Tensor,
    bias: Tensor,
) -> Tensor:
    """As `network.fused_heads`, for any number of hidden units, layer by layer."""
    with exact_products():
        before = (fixed[None] + of_time[:, None]).flatten(0, 1)
        hidden1 = before.addmm_(features, w_dynamic.T).relu_()
        hidden2 = torch.addmm(b2, hidden1, w2.T).relu_()
        return torch.addmm(bias, hidden2, head.T).view(len(of_time), len(fixed), 5)


@contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products in float32 proper: TF32 has 10 bits, and pictures would leave the bounds of SPEC 8.2."""
    settings = torch.backends.cuda.matmul
    before = settings.allow_tf32
    if before:
        settings.allow_tf32 = False
    try:
        yield
    finally:
        if before:
            settings.allow_tf32 = True
