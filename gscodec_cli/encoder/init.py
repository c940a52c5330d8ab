# SPDX-License-Identifier: MIT
"""Where Gaussians start: on the key frame (KFCI, paper 001 II.C) and, later, where and when the residual is largest."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from gscodec_cli.encoder.bend import Bend, bend_of
from gscodec_cli.encoder.camera import Scene
from gscodec_cli.encoder.hash_field import new_field
from gscodec_cli.encoder.home import array_of, tensor_of
from gscodec_cli.encoder.model import WINDOW_EDGE, GopModel, ycc
from gscodec_cli.encoder.tools import Tools

UNIFORM_SHARE = 0.3  # share of the first Gaussians that is spread evenly; the rest follows the gradient
COLOUR_SHARE = 0.4  # of the pixel's colour: about 2.5 Gaussians overlap at a pixel
CELL = 4  # px; births are drawn on a grid of this size
MOST_WEIGHTS = 1 << 24  # that torch.multinomial takes


def key_frame_model(frame: Tensor, count: int, tools: Tools, frames: int, generator: torch.Generator) -> GopModel:
    """A model of `count` Gaussians placed on the key frame [3, H, W] (float32, 0..1), dense where its gradient is
    large.
    """
    height, width = frame.shape[1:]
    density = _gradient(frame).flatten()
    density = density / density.sum().clamp_min(1e-9) * (1 - UNIFORM_SHARE) + UNIFORM_SHARE / density.numel()
    index = _drawn(density, count, generator)
    x, y = index % width, index // width
    radius = (1 / (density[index] * count)).sqrt().mul(0.5).clamp(0.7, 20).log()
    colour = frame[:, y, x].T
    params = _gaussians(
        torch.stack([x, y], 1) + 0.5, radius, colour if tools.normalised else colour * COLOUR_SHARE, tools
    )
    window = torch.tensor([[-WINDOW_EDGE / 2, frames - 1 + WINDOW_EDGE / 2]]).expand(count, 2)
    params.update(_motion_params(count, window, tools))
    if tools.field is not None:
        params.update(new_field(tools.field, generator))
    if tools.normalised:
        mean = frame.mean((1, 2))
        params["background"] = ycc(mean) @ mean if tools.ycc else mean
    return GopModel(params, tools, frames, (height, width))


class ResidualMap:
    """What is missing from the pictures of a GoP, in cells of CELL pixels, gathered frame by frame.

    energy: [h, w] squared residual of each frame; colour: [3, h, w] mean residual, or mean target under normalised
    blending.
    """

    def __init__(self, size: tuple[int, int], use_target: bool) -> None:
        self.size, self.use_target = size, use_target
        self.energy: list[Tensor] = []
        self.colour: list[Tensor] = []

    def add(self, picture: Tensor, target: Tensor) -> None:
        """Take in one frame: [3, H, W] float32 each."""
        residual = target - picture
        self.energy.append(_cells(residual.square().sum(0, keepdim=True))[0])
        self.colour.append(_cells(target if self.use_target else residual))


def add_gaussians(
    model: GopModel, found: ResidualMap, count: int, generator: torch.Generator, scene: Scene | None
) -> None:
    """Add `count` Gaussians where and when the squared residual is largest.

    With windows each new Gaussian lives around its frame; a map of one frame stands for the whole GoP. Where the
    `scene` is known they move as it does.
    """
    energy = torch.stack(found.energy)
    frames, rows, columns = energy.shape
    index = _drawn(energy.flatten() + 1e-12, count, generator)
    time, row, column = index // (rows * columns), index // columns % rows, index % columns
    jitter = torch.rand((2, count), generator=generator) * CELL
    height, width = found.size
    mean = torch.stack([(column * CELL + jitter[0]).clamp_max(width), (row * CELL + jitter[1]).clamp_max(height)], 1)
    colour = torch.stack(found.colour)[time, :, row, column]
    share = 1.0 if found.use_target else COLOUR_SHARE
    born = _gaussians(mean, torch.full((count,), math.log(2.0)), colour * share, model.tools)
    reach = max(2.0, model.frames / 6) if frames > 1 else float(model.frames)
    low, high = -WINDOW_EDGE / 2, model.frames - 1 + WINDOW_EDGE / 2
    window = torch.stack([(time - reach).clamp_min(low), (time + reach).clamp_max(high)], 1)
    born.update(_motion_params(count, window, model.tools))
    if scene is not None and frames > 1:
        follow(born, time, reach, scene, bend_of(model))
    for name, value in born.items():
        model.params[name] = torch.cat([model.params[name].detach(), value])


def follow(params: dict[str, Tensor], start: Tensor, reach: float, scene: Scene, bend: Bend | None) -> None:
    """Put Gaussians, whose means are those at frames `start` [N], on the lines along which the picture moves there.

    What `bend` adds, the field does; see Scene.lines. With windows they end where they cannot be followed any more.
    """
    frames = scene.flow.frames
    lines = scene.lines(array_of(start), array_of(params["mean"]), reach, bend)
    middle, time = torch.zeros(len(start)), tensor_of(lines.time)
    if "window" in params:
        first, last = tensor_of(lines.first) - 0.5, tensor_of(lines.last) + 0.5
        birth, death = params["window"].unbind(1)
        birth, death = torch.where(first > birth + 0.5, first, birth), torch.where(last < death - 0.5, last, death)
        params["window"] = torch.stack([birth, death], 1)
        middle = params["window"].clamp(0, frames - 1).mean(1)
    velocity = tensor_of(lines.velocity)
    params["mean"] = tensor_of(lines.place) + velocity * (middle - time)[:, None]
    params["motion"][:, 0] = velocity * (frames / 2)


def _drawn(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[count] indices of `weights` [n], drawn in proportion; twice only where `count` is over n / 2, or n is huge."""
    if len(weights) <= MOST_WEIGHTS:
        return torch.multinomial(weights, count, replacement=count > len(weights) // 2, generator=generator)
    total = weights.double().cumsum(0)
    place = torch.rand(count, generator=generator, dtype=torch.float64) * total[-1]
    return torch.searchsorted(total, place).clamp_max_(len(weights) - 1)


def _cells(image: Tensor) -> Tensor:
    """Mean of each cell of an image [C, H, W], the last ones smaller."""
    return functional.avg_pool2d(image[None], CELL, ceil_mode=True)[0]


def _gaussians(mean: Tensor, log_radius: Tensor, rgb: Tensor, tools: Tools) -> dict[str, Tensor]:
    shape = torch.stack([log_radius, torch.zeros_like(log_radius), log_radius], 1)
    return {"mean": mean.float(), "shape": shape, "colour": rgb @ ycc(rgb).T if tools.ycc else rgb.clone()}


def _motion_params(count: int, window: Tensor, tools: Tools) -> dict[str, Tensor]:
    params = {}
    if tools.window:
        params["window"] = window.float().clone()
    if tools.motion_degree:
        params["motion"] = torch.zeros(count, tools.motion_degree, 2)
    if tools.drift:
        params["drift"] = torch.zeros(count, 3)
    return params


def _gradient(frame: Tensor) -> Tensor:
    """Sum over channels of absolute horizontal and vertical differences, [H, W]."""
    out = torch.zeros(frame.shape[1:])
    out[:, :-1] += (frame[:, :, 1:] - frame[:, :, :-1]).abs().sum(0)
    out[:-1] += (frame[:, 1:] - frame[:, :-1]).abs().sum(0)
    return out
