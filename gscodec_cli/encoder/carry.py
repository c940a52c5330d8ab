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
from gscodec_cli.encoder.bend import ROUNDS, teach
from gscodec_cli.encoder.camera import Scene, lines_of, moved_by, steadied
from gscodec_cli.encoder.flow import Floats
from gscodec_cli.encoder.home import array_of, tensor_of
from gscodec_cli.encoder.model import (
    FIELD_TENSORS,
    MEAN_SCALE,
    WINDOW_EDGE,
    Carried,
    GopModel,
    keep_in_range,
    norm,
    ycc,
)
from gscodec_cli.encoder.tools import Tools

TURN = 2.0  # px in half a GoP: by less a Gaussian's velocity is not changed before training, which takes bits
KNOWN_VELOCITY = 0.1  # weight of the velocity that is expected, against a place at the end of the GoP


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


def predicted_model(
    reference: Reference, frames: int, size: tuple[int, int], generator: torch.Generator, scene: Scene | None = None
) -> GopModel:
    """The model a predicted GoP of `frames` frames begins with: every candidate, at its predicted place.

    With a `scene` the field bends the paths of the candidates as the picture moves.
    """
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
        _continue_field(model, reference, generator, scene)
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
        slopes = tensor_of(lines_of(record.camera, size)[-1, :, 1:])
        origin = tensor_of(moved_by(record.camera, -1, array_of(origin), size))
        velocity = velocity + velocity @ slopes.T
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


def _continue_field(model: GopModel, reference: Reference, generator: torch.Generator, scene: Scene | None) -> None:
    """Begin with a field that moves every carried Gaussian, at the new GoP's start, as the old one did at its end, and
    from there on as the scene moves.
    """
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
    added: Floats = array_of(shift * MEAN_SCALE)
    wanted, seen = np.repeat(added[:, None], length, axis=1), np.ones((carried.count, length), bool)
    if scene is not None:
        wanted, seen = _follow(model, carried, added, scene)
    for rate in ROUNDS:
        teach(model, array_of(model.params["mean"]), wanted, seen, rate, generator, tint)


def _follow(model: GopModel, carried: Carried, shift: Floats, scene: Scene) -> tuple[Floats, np.ndarray]:
    """Give carried Gaussians that turn off their line the velocity with which the picture goes on.

    shift: [M, 2] px, what the old field did at its end. Returns what is left for the new one, [M, T, 2] px, and in
    which frames that is known, [M, T].
    """
    frames, times = model.frames, np.arange(model.frames, dtype=np.float32)
    line = array_of(carried.origin)[:, None] + array_of(carried.velocity)[:, None] * times[:, None]
    begin = line[:, 0] + shift
    if scene.camera is not None:
        begin = moved_by(scene.camera, 0, begin, model.size)
    path, seen = scene.flow.paths(np.zeros(len(begin), np.int64), begin)
    away = steadied(path, scene.camera, model.size) - line
    offset = seen * times
    spread = (offset * times).sum(1) + KNOWN_VELOCITY * frames**2
    change = (offset[..., None] * (away - shift[:, None])).sum(1) / spread[:, None]
    change[np.linalg.norm(change, axis=1) * frames / 2 < TURN] = 0
    centre = np.zeros((len(change), 1), np.float32)
    if model.tools.window:
        centre = array_of(model.params["window"].clamp(0, frames - 1).mean(1))[:, None]
    model.params["mean"] = model.params["mean"] + tensor_of((change * centre).astype(np.float32))
    model.params["motion"][:, 0] += tensor_of((change * (frames / 2)).astype(np.float32))
    wanted: Floats = (away - change[:, None] * times[:, None]).astype(np.float32)
    return wanted, seen
