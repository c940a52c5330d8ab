# SPDX-License-Identifier: MIT
"""What a GoP leaves to the next: the Gaussians that are still there at its end, and where its field has moved them.

What is expected of them is `format`'s own prediction (SPEC 7.5), so that to change nothing is to code zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gscodec.format.dequant import dequantise
from gscodec.format.errors import Place
from gscodec.format.prediction import candidates, predict
from gscodec.format.records import BLEND_NORMALISED, Coded, GopRecord, Int64, SequenceHeader, UniformQuantiser
from gscodec_cli.encoder.bend import ROUNDS, teach
from gscodec_cli.encoder.camera import Scene, moved_by, steadied
from gscodec_cli.encoder.compression import motion_step
from gscodec_cli.encoder.flow import Floats
from gscodec_cli.encoder.hash_field import FIELD_TENSORS
from gscodec_cli.encoder.home import array_of, tensor_of
from gscodec_cli.encoder.model import (
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


def predicted_model(
    reference: Reference, frames: int, header: SequenceHeader, generator: torch.Generator, scene: Scene | None = None
) -> GopModel:
    """The model a predicted GoP of `frames` frames begins with: every candidate, at its predicted place.

    With a `scene` the field bends the paths of the candidates as the picture moves.
    """
    tools = reference.tools
    carried = _carried(reference.record, frames, header)
    last = float(frames - 1 + WINDOW_EDGE / 2)
    params = {"shape": carried.shape.clone()}
    params["colour"] = carried.amplitude / (norm(carried.shape, True) if tools.energy_colour else 1.0)
    if tools.window:
        death = torch.full((carried.count,), last)
        params["window"] = torch.stack([carried.birth.clamp_min(-WINDOW_EDGE / 2), death], 1)
    params["mean"] = carried.means(carried.motion, params.get("window"), frames).clone()
    if tools.motion_degree:
        params["motion"] = carried.motion.clone()
    if tools.drift:
        params["drift"] = carried.drift / (norm(carried.shape, True) if tools.energy_colour else 1.0)
    if tools.normalised:
        background = torch.tensor(reference.record.background)
        params["background"] = ycc(background) @ background if tools.ycc else background
    model = GopModel(params, tools, frames, (header.height, header.width), carried=carried)
    keep_in_range(model)
    if tools.field is not None:
        _continue_field(model, reference, generator, scene)
    return model


def _carried(record: GopRecord, frames: int, header: SequenceHeader) -> Carried:
    index = candidates(record)
    death = np.zeros(len(index), np.int64)  # not known yet, and of no matter to what is asked for here
    expected = predict(record, index, frames, death, header, Place())

    def values(coded: Coded) -> Tensor:
        assert isinstance(coded.quantiser, UniformQuantiser)
        steps, offsets = (torch.tensor(v) for v in (coded.quantiser.steps, coded.quantiser.offsets))
        return tensor_of(coded.symbols).float() * steps + offsets

    motion, drift, birth = torch.zeros(len(index), 0, 2), torch.zeros(len(index), 3), torch.zeros(len(index))
    if expected.motion:
        motion = torch.stack([values(degree) for degree in expected.motion], 1)
    if expected.drift is not None:
        drift = values(expected.drift)
    if expected.window is not None:
        birth = tensor_of(expected.window.birth).float() / expected.window.denominator
    return Carried(
        index=tensor_of(index),
        birth=birth,
        shape=values(expected.shape),
        amplitude=values(expected.colour),
        motion=motion,
        drift=drift,
        origin=_places(record, expected.begin),
    )


def _places(record: GopRecord, grid: Int64) -> Tensor:
    """Grid positions [n, 2] of a record in px."""
    return tensor_of(grid).float() * 2.0**-record.mean.fraction_bits - record.mean.margin


def _continue_field(model: GopModel, reference: Reference, generator: torch.Generator, scene: Scene | None) -> None:
    """Begin with a field that moves every carried Gaussian, at the new GoP's start, as the old one did at its end, and
    from there on as the scene moves.
    """
    record, carried = reference.record, model.carried
    assert carried is not None
    model.params.update({name: reference.field[name].detach().clone() for name in FIELD_TENSORS})
    if not carried.count:
        return
    old = _places(record, record.mean.grid[array_of(carried.index)])
    length, model.frames = model.frames, record.distinct_count
    with torch.no_grad():
        shift, tint = model.field_at(old, record.distinct_count - 0.5, model.params, 0)
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
    motion = model.params["motion"][:, 0]
    velocity = array_of(motion * (2 / frames))
    line: Floats = array_of(carried.origin)[:, None] + velocity[:, None] * times[:, None]
    begin = line[:, 0] + shift
    if scene.camera is not None:
        begin = moved_by(scene.camera, 0, begin, model.size)
    path, seen = scene.flow.paths(np.zeros(len(begin), np.int64), begin)
    away = steadied(path, scene.camera, model.size) - line
    offset = seen * times
    spread = (offset * times).sum(1) + KNOWN_VELOCITY * frames**2
    change = (offset[..., None] * (away - shift[:, None])).sum(1) / spread[:, None]
    change[np.linalg.norm(change, axis=1) * frames / 2 < TURN] = 0
    # In whole steps, so that the means begin where they are expected.
    step = motion_step(model.size, model.tools)
    turn = np.rint(change * (frames / 2) / step) * step
    motion += tensor_of(turn.astype(np.float32))
    model.params["mean"] = carried.means(model.params["motion"], model.params.get("window"), frames)
    keep_in_range(model)
    change = turn * (2 / frames)
    wanted: Floats = (away - change[:, None] * times[:, None]).astype(np.float32)
    return wanted, seen
