# SPDX-License-Identifier: MIT
"""The model being trained: canonical Gaussians, their motion tools, and the hash field (paper 001, eq. 1-9).

`GopModel` holds float32 leaf tensors; `frame` turns them, or a quantised view of them, into what the rasteriser sums.
The arithmetic is that of SPEC 7.6-7.8, and `tests/encoder` checks that a decoded file gives the same picture. Must
not import the verbs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gscodec.kernels import HashGeometry
from gscodec.kernels.autograd import FieldFunction, Rasterize, SplatLoss
from gscodec_cli.encoder.tools import HashLayout, Tools

MIN_CHOL = 0.35  # px; a narrower Gaussian falls between pixel centres and gets no gradient
MAX_CHOL = 64.0
WINDOW_EDGE = 1.5  # frames over which a Gaussian fades in or out
BLEND_EPSILON = 0.2
MEAN_SCALE = 4.0  # px per unit of the field's output
COLOUR_SCALE = 0.5
YCC = torch.tensor(
    [[3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 0.0, -(2**-0.5)], [6**-0.5, -2 * 6**-0.5, 6**-0.5]], dtype=torch.float32
)


def field_geometries(layout: HashLayout) -> tuple[HashGeometry, HashGeometry]:
    """The 2D spatial and the 3D spatio-temporal grid of a layout."""
    size, resolutions = layout.log2_table_size, layout.resolutions()
    flat = HashGeometry.create(2, layout.features_2d, size, resolutions)
    return flat, HashGeometry.create(3, layout.features_3d, size, resolutions)


GAUSSIAN_PARAMS = ("mean", "shape", "colour", "motion", "drift", "window")
FIELD_TENSORS = ("table2", "table3", "w1", "b1", "w2", "b2", "w_mean", "b_mean", "w_colour", "b_colour")


def new_field(layout: HashLayout, generator: torch.Generator) -> dict[str, Tensor]:
    """A hash field that starts as no deformation at all.

    Small random tables, He-initialised layers, heads close to zero.
    """
    geometry2, geometry3 = field_geometries(layout)
    width = layout.hidden_width
    inputs = layout.levels * (layout.features_2d + layout.features_3d) + 2 * layout.frequencies

    def uniform(shape: tuple[int, ...], bound: float) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1) * bound

    return {
        "table2": uniform((sum(geometry2.entries), layout.features_2d), 1e-2),
        "table3": uniform((sum(geometry3.entries), layout.features_3d), 1e-2),
        "w1": uniform((width, inputs), math.sqrt(6 / inputs)),
        "b1": torch.zeros(width),
        "w2": uniform((width, width), math.sqrt(6 / width)),
        "b2": torch.zeros(width),
        "w_mean": uniform((2, width), 1e-3),
        "b_mean": torch.zeros(2),
        "w_colour": uniform((3, width), 1e-3),
        "b_colour": torch.zeros(3),
    }


@dataclass
class GopModel:
    """Parameters of one GoP, float32.

    mean [N, 2] px; shape [N, 3]: (ln l11, l21 / l22, ln l22), or (l11, l21, l22) in px when `log_shape` is False;
    colour [N, 3] weight in the coded colour space; motion [N, K, 2] px; drift [N, 3]; window [N, 2]: birth and death
    in frames; field: see FIELD_TENSORS.
    """

    params: dict[str, Tensor]
    tools: Tools
    frames: int
    size: tuple[int, int]  # (height, width)
    log_shape: bool = True

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return self.params["mean"].shape[0]

    @torch.no_grad()
    def keep(self, indices: Tensor) -> None:
        """Keep the Gaussians at `indices` only."""
        for name, value in self.params.items():
            if name in GAUSSIAN_PARAMS:
                self.params[name] = value.detach()[indices]

    def unit(self) -> Tensor:
        """[2] size in px as (width, height), which maps means to [0, 1]."""
        return torch.tensor([self.size[1], self.size[0]], dtype=torch.float32)

    def frame(
        self, index: float, view: dict[str, Tensor], threads: int, still: bool = False, gain: Tensor | None = None
    ) -> Tensor:
        """Draw frame position `index` from `view`: the parameters, or what quantisation makes of them.

        `still` draws the canonical Gaussians, all of them and unmoved. `gain` [N, 1] multiplies each Gaussian's weight.
        Returns [3, H, W] float32 RGB.
        """
        sums = Rasterize.apply(*self.splats(index, view, threads, still, gain), self.size, threads)
        if not self.tools.normalised:
            return sums
        background = self.background(view)[:, None, None]
        return (sums[:3] + BLEND_EPSILON * background) / (sums[3:] + BLEND_EPSILON)

    def loss(self, index: float, view: dict[str, Tensor], target: Tensor, threads: int, still: bool = False) -> Tensor:
        """Half the squared error of `frame`, summed, against a target [3, H, W], uint8 or uint16; a scalar.

        Full scale counts as 1. The picture itself is not made.
        """
        splats = self.splats(index, view, threads, still)
        background = self.background(view) if self.tools.normalised else torch.zeros(3)
        return SplatLoss.apply(*splats, background, target, BLEND_EPSILON, threads)

    def splats(
        self, index: float, view: dict[str, Tensor], threads: int, still: bool = False, gain: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the rasteriser sums for a frame: mean [n, 2], conic [n, 3], feature [n, 3 or 4]."""
        if still:
            mean, colour, weight, active, shape = view["mean"], view["colour"], None, None, view["shape"]
        else:
            mean, colour, weight, active = self.at(index, view, threads)
            shape = view["shape"] if active is None else view["shape"][active]
        if gain is not None:
            gain = gain if active is None else gain[active]
            weight = gain if weight is None else weight * gain
        rgb = colour @ YCC if self.tools.ycc else colour
        if weight is not None:
            rgb = rgb * weight
        if self.tools.normalised:
            rgb = torch.cat([rgb, torch.ones(len(mean), 1) if weight is None else weight], 1)
        return mean, conic(shape, self.log_shape), rgb

    def background(self, view: dict[str, Tensor]) -> Tensor:
        """[3] RGB behind normalised blending."""
        return view["background"] @ YCC if self.tools.ycc else view["background"]

    def at(
        self, index: float, view: dict[str, Tensor], threads: int
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Means [n, 2], colours [n, 3], window weights [n, 1] or None, and indices [n] or None at frame position
        `index` (SPEC 7.7).
        """
        mean, colour = view["mean"], view["colour"]
        weight, active, tau = None, None, torch.tensor(2.0 * index / self.frames)
        if self.tools.window:
            weight, centre = window_weight(view["window"], index, self.frames)
            active = torch.nonzero(weight.detach()[:, 1] > 0.02).squeeze(1)
            weight = weight[active, :1]
            tau = (2.0 * (index - centre[active]) / self.frames)[:, None]
            mean, colour = mean[active], colour[active]
        canonical = mean
        if self.tools.motion_degree:
            motion = view["motion"] if active is None else view["motion"][active]
            for degree in range(self.tools.motion_degree):
                mean = mean + motion[:, degree] * tau ** (degree + 1)
        if self.tools.drift:
            drift = view["drift"] if active is None else view["drift"][active]
            colour = colour + drift * tau
        if self.tools.field is not None:
            dmean, dcolour = self._field(canonical, index, view, threads)
            mean, colour = mean + MEAN_SCALE * dmean, colour + COLOUR_SCALE * dcolour
        return mean, colour, weight, active

    def _field(self, canonical: Tensor, index: float, view: dict[str, Tensor], threads: int) -> tuple[Tensor, Tensor]:
        layout = self.tools.field
        assert layout is not None
        geometry2, geometry3 = field_geometries(layout)
        xy = (canonical.detach() / self.unit()).clamp(0, 1)
        time = (index + 0.5) / self.frames
        tensors = [view[name] for name in FIELD_TENSORS]
        geometry = (geometry2, geometry3, layout.input_scale, layout.frequencies)
        return FieldFunction.apply(xy, time, *tensors, *geometry, threads)


class _Ramp(torch.autograd.Function):
    """clamp(x + 1/2, 0, 1) forwards.

    Backwards the slope of a logistic, so that a window can still grow from outside its ramp.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x + 0.5).clamp(0, 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x / 0.27)
        return grad * s * (1 - s) / 0.27


def window_weight(window: Tensor, index: float, frames: int) -> tuple[Tensor, Tensor]:
    """Weight of each window at frame position `index` and the centre of its time axis.

    Returns ([N, 2]: the weight, and a soft version above zero also just outside the window, where gradients still
    matter; [N] frames).
    """
    rise, fall = (index - window[:, 0]) / WINDOW_EDGE, (window[:, 1] - index) / WINDOW_EDGE
    soft = torch.sigmoid(rise.detach() / 0.27 + 1.9) * torch.sigmoid(fall.detach() / 0.27 + 1.9)
    weight = _Ramp.apply(rise) * _Ramp.apply(fall)
    return torch.stack([weight, soft], 1), window.detach().clamp(0, frames - 1).mean(1)


def conic(shape: Tensor, log_shape: bool) -> Tensor:
    """Inverse covariance (a, b, c) [N, 3] of Cholesky factors [N, 3] (SPEC 7.7; paper 001 eq. 1)."""
    if log_shape:
        ratio, inv11, inv22 = shape[:, 1], torch.exp(-shape[:, 0]), torch.exp(-shape[:, 2])
    else:
        inv11, inv22 = 1 / shape[:, 0], 1 / shape[:, 2]
        ratio = shape[:, 1] * inv22
    return torch.stack([(1 + ratio * ratio) * inv11 * inv11, -ratio * inv11 * inv22, inv22 * inv22], 1)


def norm(shape: Tensor, log_shape: bool) -> Tensor:
    """L2 norm sqrt(pi l11 l22) of each Gaussian, [N, 1] px: what turns a colour weight into an energy amplitude."""
    area = torch.exp(shape[:, 0] + shape[:, 2]) if log_shape else shape[:, 0] * shape[:, 2]
    return torch.sqrt(math.pi * area)[:, None]


@torch.no_grad()
def keep_in_range(model: GopModel) -> None:
    """Clamp shapes, means and windows to what the rasteriser can see and the stream can hold."""
    shape = model.params["shape"]
    low, high = (math.log(MIN_CHOL), math.log(MAX_CHOL)) if model.log_shape else (MIN_CHOL, MAX_CHOL)
    shape[:, 0::2].clamp_(low, high)
    shape[:, 1].clamp_(*((-6, 6) if model.log_shape else (-MAX_CHOL, MAX_CHOL)))
    height, width = model.size
    mean = model.params["mean"]
    mean[:, 0].clamp_(-MARGIN + 1, width + MARGIN - 1)
    mean[:, 1].clamp_(-MARGIN + 1, height + MARGIN - 1)
    if model.tools.window:
        window = model.params["window"]
        # Where a ramp lies outside the GoP altogether it needs no precision: one position for all of them costs least.
        window.clamp_(-WINDOW_EDGE / 2, model.frames - 1 + WINDOW_EDGE / 2)
        window[:, 1] = torch.maximum(window[:, 1], window[:, 0])


MARGIN = 16  # px around the frame in which a mean may lie
