# SPDX-License-Identifier: MIT
"""The model being trained: canonical Gaussians, their motion tools, and the hash field (paper 001, eq. 1-9).

`GopModel` holds float32 leaf tensors; `frame` turns them, or a quantised view of them, into what the rasteriser sums.
The arithmetic is that of SPEC 7.6-7.8, and `tests/encoder` checks that a decoded file gives the same picture. Must
not import the verbs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gscodec.kernels import PlaceSettings, active_windows
from gscodec.kernels.autograd import FieldFunction, Place, Rasterize, SplatLoss, on_gpu
from gscodec_cli.encoder.hash_field import ALL, FIELD_TENSORS, field_geometries, sample_of
from gscodec_cli.encoder.tools import Tools

if TYPE_CHECKING:
    from gscodec_cli.encoder.lattice import DeviceLattice, Lattice

MIN_CHOL = 0.35  # px; a narrower Gaussian falls between pixel centres and gets no gradient
MAX_CHOL = 64.0
WINDOW_EDGE = 1.5  # frames over which a Gaussian fades in or out
BLEND_EPSILON = 0.2
MEAN_SCALE = 4.0  # px per unit of the field's output
COLOUR_SCALE = 0.5
YCC = torch.tensor(
    [[3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 0.0, -(2**-0.5)], [6**-0.5, -2 * 6**-0.5, 6**-0.5]], dtype=torch.float32
)
_YCC_ROWS = tuple(tuple(row) for row in YCC.tolist())
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@lru_cache(maxsize=64)
def constant(numbers: tuple[Any, ...], device: torch.device) -> Tensor:
    """Numbers that stay the same, float32, sent to a device once: each time would be to wait for a GPU."""
    return torch.tensor(numbers, dtype=torch.float32, device=device)


def ycc(like: Tensor) -> Tensor:
    """YCC on the device of `like`."""
    return constant(_YCC_ROWS, like.device) if like.is_cuda else YCC


GAUSSIAN_PARAMS = ("mean", "shape", "colour", "motion", "drift", "window")


@dataclass
class Carried:
    """What is predicted for the M Gaussians of a GoP that come from the GoP before, in the units of `GopModel`.

    index [M]: place in the record of the GoP before. birth [M] frames. shape [M, 3], amplitude [M, 3], motion
    [M, K, 2], drift [M, 3]; origin [M, 2] px, the place at frame 0, on the grid of the means.
    """

    index: Tensor
    birth: Tensor
    shape: Tensor
    amplitude: Tensor
    motion: Tensor
    drift: Tensor
    origin: Tensor

    @property
    def count(self) -> int:
        """M."""
        return len(self.index)

    def means(self, motion: Tensor, window: Tensor | None, frames: int) -> Tensor:
        """[M, 2] px where they are expected (SPEC 7.5): from `origin` their new velocity takes them to mid-life.

        motion [N, K, 2] and window [N, 2] are those of the new GoP of so many frames; the first M are theirs.
        """
        if not motion.shape[1]:
            return self.origin
        return self.origin + motion[: self.count, 0] * (2 / frames) * self.centre(window, frames)[:, None]

    def centre(self, window: Tensor | None, frames: int) -> Tensor:
        """[M] frames, the middle of each life inside the new GoP; 0 without windows, where paths begin at frame 0."""
        if window is None:
            return torch.zeros(self.count)
        return window.detach()[: self.count].clamp(0, frames - 1).mean(1)

    def at(self, indices: Tensor) -> Carried:
        """Those at `indices` only."""
        return Carried(**{f.name: getattr(self, f.name)[indices] for f in fields(self)})


@dataclass
class GopModel:
    """Parameters of one GoP, float32.

    mean [N, 2] px; shape [N, 3]: (ln l11, l21 / l22, ln l22), or (l11, l21, l22) in px when `log_shape` is False;
    colour [N, 3] weight in the coded colour space; motion [N, K, 2] px; drift [N, 3]; window [N, 2]: birth and death
    in frames; field: see FIELD_TENSORS; camera [T, 2, 3] where there is one: as decoder.camera says, but slopes in px
    at the border of the picture, so that all its numbers have one learning rate.
    """

    params: dict[str, Tensor]
    tools: Tools
    frames: int
    size: tuple[int, int]  # (height, width)
    log_shape: bool = True
    carried: Carried | None = None  # of a predicted GoP: its first Gaussians, that come from the GoP before

    @property
    def margin(self) -> int:
        """px around the frame in which a mean may lie: far out where a camera can bring it in."""
        return margin_of(self.size, self.tools)

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return self.params["mean"].shape[0]

    def loads(self) -> Tensor:
        """[N] bits of each Gaussian relative to those of a new one: what is carried over costs its change only."""
        loads = torch.ones(self.count)
        if self.carried is not None:
            loads[: self.carried.count] = CARRIED_LOAD
        return loads

    @property
    def load(self) -> float:
        """Sum of `loads`."""
        return float(self.loads().sum())

    @torch.no_grad()
    def keep(self, indices: Tensor) -> None:
        """Keep the Gaussians at `indices`, ascending, only."""
        if self.carried is not None:
            self.carried = self.carried.at(indices[indices < self.carried.count])
        for name, value in self.params.items():
            if name in GAUSSIAN_PARAMS:
                self.params[name] = value.detach()[indices]

    def state(self) -> tuple[dict[str, Tensor], Carried | None]:
        """What `keep` changes, for `restore`."""
        return {name: value.detach() for name, value in self.params.items()}, self.carried

    def restore(self, state: tuple[dict[str, Tensor], Carried | None]) -> None:
        """Go back to a `state`."""
        self.params, self.carried = dict(state[0]), state[1]

    def maps(self) -> Tensor:
        """[T, 2, 3] where the camera, which must be there, takes means in each frame, as decoder.camera says."""
        return self.params["camera"].detach() / self._border()

    def set_maps(self, maps: Tensor) -> None:
        """Let a camera take means where `maps` say."""
        self.params["camera"] = maps * self._border()

    def _border(self) -> Tensor:
        """[3] px of a camera's offset and slopes at the border of the picture."""
        half = max(self.size) / 2
        return constant((1.0, half, half), self.params["mean"].device)

    def unit(self) -> Tensor:
        """[2] size in px as (width, height), which maps means to [0, 1]."""
        return constant((self.size[1], self.size[0]), self.params["mean"].device)

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

    def loss(
        self,
        index: float | Tensor,
        view: dict[str, Tensor],
        target: Tensor,
        threads: int,
        still: bool = False,
        lattice: Lattice | DeviceLattice | None = None,
    ) -> Tensor:
        """Half the squared error of `frame`, summed, against a target [3, H, W], uint8 or uint16; a scalar.

        Full scale counts as 1. The picture itself is not made. With a `lattice` an estimate from its pixels. On a GPU
        also the mean over frames `index`, an int64 tensor [B], against targets [B, 3, H, W].
        """
        mean, conic, feature = self.splats(index, view, threads, still)
        background = self.background(view) if self.tools.normalised else torch.zeros(3)
        seen = target
        if lattice is not None:
            seen, (mean, conic) = lattice.of(target), lattice.splats(mean, conic)
        loss = SplatLoss.apply(mean, conic, feature, background, seen, BLEND_EPSILON, threads)
        share = target.numel() / seen.numel() / (len(target) if target.ndim == 4 else 1)
        return loss if share == 1 else share * loss

    def splats(
        self,
        index: float | Tensor,
        view: dict[str, Tensor],
        threads: int,
        still: bool = False,
        gain: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the rasteriser sums for a frame: mean [n, 2], conic [n, 3], feature [n, 3 or 4] (SPEC 7.7).

        For frames `index`, an int64 tensor [B] on a GPU, [B, N, ...].
        """
        tools, active, taking = self.tools, None, None
        moving: list[Tensor | None] = [None] * 5  # motion, drift, window and the field's two outputs
        if not still:
            there = ("motion", tools.motion_degree > 0), ("drift", tools.drift), ("window", tools.window)
            moving[:3] = [view[name] if used else None for name, used in there]
        if moving[2] is not None:
            if not (isinstance(index, Tensor) or on_gpu(moving[2])):
                # a GPU takes all along: to know how many take part would be to wait for it
                active = torch.from_numpy(active_windows(moving[2].detach().numpy(), index, WINDOW_EDGE))
            taking = moving[2].detach() if active is None else moving[2].detach()[active]
        if tools.field is not None and not still:
            mean = view["mean"].detach()
            mean = mean if active is None else mean[active]
            moving[3:] = self.field_at(mean, index, view, threads, sample_of(len(mean)))
        settings = PlaceSettings(
            index, WINDOW_EDGE, MEAN_SCALE, COLOUR_SCALE, _rows(tools), self.log_shape, tools.normalised
        )
        canonical = view["mean"], view["shape"], view["colour"]
        tau = self._tau(index, taking)
        mean, inverse, feature = Place.apply(settings, active, tau, threads, *canonical, *moving)
        if "camera" in view and not still:
            mean = self._moved(mean, view["camera"], index)
        if gain is not None:
            feature = feature * (gain if active is None else gain[active])
        return mean, inverse, feature

    def _tau(self, index: float | Tensor, window: Tensor | None) -> Tensor:
        """Time of the one path or, with windows [n, 2], of each: [1] or [n] float32; [B] or [B, n] for frames [B]."""
        if window is None:
            tau = 2.0 * index / self.frames
            return tau if isinstance(tau, Tensor) else torch.full((1,), tau)
        centre = window.clamp(0, self.frames - 1).mean(1)
        return 2.0 * ((index[:, None] if isinstance(index, Tensor) else index) - centre) / self.frames

    def _moved(self, mean: Tensor, camera: Tensor, index: float | Tensor) -> Tensor:
        """Means [n, 2] or [B, n, 2] px where the `camera` [T, 2, 3] takes them in a frame, or in frames [B]."""
        line = camera.index_select(0, index) if isinstance(index, Tensor) else camera[round(index)]
        away = (mean - self.unit() / 2) * (2 / max(self.size))
        if on_gpu(mean):
            away = away.nan_to_num(nan=0.0)  # who takes no part would make the camera's gradient NaN: it is NaN times 0
        return mean + line[..., None, :, 0] + away @ line[..., 1:].mT

    def background(self, view: dict[str, Tensor]) -> Tensor:
        """[3] RGB behind normalised blending."""
        return view["background"] @ ycc(view["background"]) if self.tools.ycc else view["background"]

    def field_at(
        self, canonical: Tensor, index: float | Tensor, view: dict[str, Tensor], threads: int, sample: slice = ALL
    ) -> tuple[Tensor, Tensor]:
        """Output of the field's two heads, [N, 2] and [N, 3], for canonical means at frame position `index`.

        Its gradient is estimated from the Gaussians of `sample`. At frames [B] on a GPU [B, N, 2] and [B, N, 3].
        """
        layout = self.tools.field
        assert layout is not None
        geometry2, geometry3 = field_geometries(layout)
        xy = (canonical.detach() / self.unit()).clamp(0, 1)
        time = (index + 0.5) / self.frames
        tensors = [view[name] for name in FIELD_TENSORS]
        geometry = (geometry2, geometry3, layout.input_scale, layout.frequencies)
        return FieldFunction.apply(xy, time, *tensors, *geometry, threads, sample)


def _rows(tools: Tools) -> tuple[tuple[float, float, float], ...]:
    """The matrix that turns a coded colour, a row, into RGB."""
    return _YCC_ROWS if tools.ycc else _IDENTITY


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
    margin = model.margin
    mean[:, 0].clamp_(-margin + 1, width + margin - 1)
    mean[:, 1].clamp_(-margin + 1, height + margin - 1)
    if model.tools.window:
        window = model.params["window"]
        # Where a ramp lies outside the GoP altogether it needs no precision: one position for all of them costs least.
        window.clamp_(-WINDOW_EDGE / 2, model.frames - 1 + WINDOW_EDGE / 2)
        window[:, 1] = torch.maximum(window[:, 1], window[:, 0])


def margin_of(size: tuple[int, int], tools: Tools) -> int:
    """See GopModel.margin."""
    return max(MARGIN, max(size) // 2) if tools.camera else MARGIN


CARRIED_LOAD = 0.4  # bits of a Gaussian that is carried over, against those of a new one
MARGIN = 16  # px; see margin_of
