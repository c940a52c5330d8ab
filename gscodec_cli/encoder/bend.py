# SPDX-License-Identifier: MIT
"""Teaches the field, before anything is drawn, what straight lines miss of the paths that optical flow finds.

Neighbours bend together, so the shared field says it once for all of them; by gradients of pictures alone it learns
slowly. Takes a model and its scene. Knows no bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gscodec_cli.encoder.camera import Scene, steadied
from gscodec_cli.encoder.flow import Floats, lines_along
from gscodec_cli.encoder.hash_field import FIELD_TENSORS
from gscodec_cli.encoder.home import array_of, tensor_of
from gscodec_cli.encoder.model import MEAN_SCALE, GopModel

POINTS = 6000  # whose paths are looked at
ROUNDS = (1e-2, 5e-3, 2e-3)  # learning rate of each round; between them the lines are fitted anew
STEPS = 200  # of a round, at one time each

Bend = Callable[[Floats], Floats]  # means [n, 2] px -> what the field adds in all frames, [n, T, 2] px


def bend_of(model: GopModel) -> Bend | None:
    """What the model's field adds to means, None without one."""
    if model.tools.field is None:
        return None
    params = {name: model.params[name].detach() for name in FIELD_TENSORS}

    @torch.no_grad()
    def bend(mean: Floats) -> Floats:
        at = tensor_of(mean)
        found = [model.field_at(at, float(t), params, 0)[0] for t in range(model.frames)]
        return array_of(torch.stack(found, 1) * MEAN_SCALE)

    return bend


def learn_bends(model: GopModel, scene: Scene, generator: torch.Generator) -> None:
    """Let the field move random points as the picture moves them, but for a straight line of their own."""
    count, (height, width) = POINTS, model.size
    start = array_of(torch.randint(0, model.frames, (count,), generator=generator))
    place = array_of(torch.rand((count, 2), generator=generator) * torch.tensor([width, height]))
    path, seen = scene.flow.paths(start, place)
    path = steadied(path, scene.camera, model.size)
    lines = lines_along(path, seen, start)
    for rate in ROUNDS:
        middle = lines.middle()
        teach(model, middle, path - lines.at_frames(model.frames), seen, rate, generator)
        bend = bend_of(model)
        if bend is not None and rate != ROUNDS[-1]:  # nobody looks at the lines of the last round
            lines = lines_along(path - bend(middle), seen, start)


def teach(
    model: GopModel,
    mean: Floats,
    wanted: Floats,
    seen: np.ndarray,
    rate: float,
    generator: torch.Generator,
    tint: Tensor | None = None,
) -> None:
    """Train the field to add `wanted` [n, T, 2] px to means [n, 2] where `seen` [n, T], and `tint` [n, 3] to colours.

    Without a `tint` it should leave them as they are.
    """
    tensors = {name: model.params[name].detach().requires_grad_() for name in FIELD_TENSORS}
    at, target, there = tensor_of(mean), tensor_of(wanted / np.float32(MEAN_SCALE)), tensor_of(seen.astype(np.float32))
    optimiser = torch.optim.Adam(tensors.values(), lr=rate)
    for time in torch.randint(0, model.frames, (STEPS,), generator=generator).tolist():  # each alone would be a wait
        moved, tinted = model.field_at(at, float(time), tensors, 0)
        missed = functional.huber_loss(moved, target[:, time], delta=1 / MEAN_SCALE, reduction="none").sum(1)
        colour = (tinted - (0 if tint is None else tint)).square().sum()
        optimiser.zero_grad()
        ((missed * there[:, time]).sum() + 0.1 * colour).backward()
        optimiser.step()
    model.params.update({name: value.detach() for name, value in tensors.items()})
