# SPDX-License-Identifier: MIT
"""What a GoP leaves to the next: the Gaussians that are still there at its end, and where its field has moved them.

Predictions follow SPEC 7.3, in floats and to the grid: training needs no more, and `format` computes the integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gscodec.format.dequant import dequantise
from gscodec.format.records import BLEND_NORMALISED, GopRecord, UniformQuantiser
from gscodec_cli.encoder.camera import lines_of
from gscodec_cli.encoder.home import array_of, tensor_of
from gscodec_cli.encoder.model import FIELD_TENSORS, WINDOW_EDGE, Carried, GopModel, keep_in_range, norm, ycc
from gscodec_cli.encoder.tools import Tools

FIELD_STEPS, FIELD_RATE = 200, 5e-3  # to make the new field go on where the old one ended


@dataclass(frozen=True)
class Reference:
    """A coded GoP: its integers, its field as decoded (empty without one), and the tools it was made with."""

    record: GopRecord
    field: dict[str, Tensor]
    tools: Tools


def reference_of(record: GopRecord, tools: Tools) -> Reference:
    """What a GoP leaves to the next, from its record alone. Blending is the record's: a GoP may choose its own."""
    field = dequantise(record).field
    tensors = {name: tensor_of(getattr(field, name)) for name in FIELD_TENSORS} if field else {}
    return Reference(record, tensors, replace(tools, normalised=record.blend_mode == BLEND_NORMALISED))


def candidates(record: GopRecord) -> np.ndarray:
    """Indices of the Gaussians that may be carried over: those whose window reaches the last frame (SPEC 6.5)."""
    if record.window is None:
        return np.arange(record.gaussian_count)
    death = record.window.birth + record.window.duration
    return np.flatnonzero(death >= (record.frame_count - 1) * record.window.denominator)


def predicted_model(reference: Reference, frames: int, size: tuple[int, int], generator: torch.Generator) -> GopModel:
    """The model a predicted GoP of `frames` frames begins with: every candidate, at its predicted place."""
    tools = reference.tools
    carried = _carried(reference.record, frames, size)
    last = float(frames - 1 + WINDOW_EDGE / 2)
    params = {"shape": carried.shape.clone()}
    params["colour"] = carried.amplitude / (norm(carried.shape, True) if tools.energy_colour else 1.0)
    death = torch.full((carried.count,), last)
    centre = (carried.birth.clamp(0, frames - 1) + death.clamp(0, frames - 1)) / 2 if tools.window else 0 * death
    params["mean"] = carried.origin + carried.velocity * centre[:, None]
    if tools.window:
        params["window"] = torch.stack([carried.birth.clamp_min(-WINDOW_EDGE / 2), death], 1)
    if tools.motion_degree:
        params["motion"] = carried.motion.clone()
    if tools.drift:
        params["drift"] = carried.drift / (norm(carried.shape, True) if tools.energy_colour else 1.0)
    if tools.normalised:
        background = torch.tensor(reference.record.background)
        params["background"] = ycc(background) @ background if tools.ycc else background
    model = GopModel(params, tools, frames, size, carried=carried)
    keep_in_range(model)
    if tools.field is not None:
        _continue_field(model, reference, generator)
    return model


def _carried(record: GopRecord, frames: int, size: tuple[int, int]) -> Carried:
    index = candidates(record)

    def values(coded) -> Tensor:
        assert isinstance(coded.quantiser, UniformQuantiser)
        steps, offsets = (torch.tensor(v) for v in (coded.quantiser.steps, coded.quantiser.offsets))
        return tensor_of(coded.symbols[index]).float() * steps + offsets

    count, length = len(index), record.frame_count
    mean = tensor_of(record.mean.grid[index]).float() * 2.0**-record.mean.fraction_bits - record.mean.margin
    birth, centre = torch.zeros(count), torch.zeros(count)
    if record.window is not None:
        start = tensor_of(record.window.birth[index]).float() / record.window.denominator
        end = start + tensor_of(record.window.duration[index]).float() / record.window.denominator
        centre = (start.clamp(0, length - 1) + end.clamp(0, length - 1)) / 2
        birth = start - length
    motion = torch.zeros(count, 0, 2)
    if record.motion is not None:
        motion = torch.stack([values(degree) for degree in record.motion.degrees], 1)
    velocity = motion[:, 0] * (2 / length) if motion.shape[1] else torch.zeros(count, 2)
    if motion.shape[1]:
        motion[:, 0] = motion[:, 0] * (frames / length)
    origin = mean + velocity * (length - centre)[:, None]
    if record.camera is not None:
        # where they were in the last frame: from there the new GoP's camera goes on (SPEC 7.5)
        lines = tensor_of(lines_of(record.camera, size)[-1])
        middle = torch.tensor([size[1], size[0]]) / 2
        origin = origin + lines[:, 0] + (origin - middle) @ lines[:, 1:].T
        velocity = velocity + velocity @ lines[:, 1:].T
    return Carried(
        index=tensor_of(index),
        birth=birth,
        shape=values(record.shape.coded),
        amplitude=values(record.colour.coded),
        motion=motion,
        drift=values(record.drift.coded) if record.drift is not None else torch.zeros(count, 3),
        origin=origin,
        velocity=velocity,
    )


def _continue_field(model: GopModel, reference: Reference, generator: torch.Generator) -> None:
    """Begin with a field that moves every carried Gaussian, at the new GoP's start, as the old one did at its end."""
    record, carried = reference.record, model.carried
    assert carried is not None
    model.params.update({name: reference.field[name].detach().clone() for name in FIELD_TENSORS})
    if not carried.count:
        return
    old = tensor_of(record.mean.grid[array_of(carried.index)]).float()
    old = old * 2.0**-record.mean.fraction_bits - record.mean.margin
    length, model.frames = model.frames, record.frame_count
    with torch.no_grad():
        shift, tint = model.field_at(old, record.frame_count - 0.5, model.params, 0)
    model.frames = length
    tensors = {name: model.params[name].requires_grad_() for name in FIELD_TENSORS}
    optimiser = torch.optim.Adam(tensors.values(), lr=FIELD_RATE)
    for _ in range(FIELD_STEPS):
        time = float(torch.rand((), generator=generator)) * length
        moved, tinted = model.field_at(model.params["mean"], time, tensors, 0)
        loss = (moved - shift).square().sum() + (tinted - tint).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.params.update({name: value.detach() for name, value in tensors.items()})
