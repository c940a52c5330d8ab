# SPDX-License-Identifier: MIT
"""Compression simulated while training: which quantiser serves which parameter of a GoP.

`Compression.view` gives the parameters as the decoder will see them. `export` reads the same quantisers, so what was
trained is what is written.
"""

from __future__ import annotations

import math
from enum import Enum

import torch
from torch import Tensor

from gscodec_cli.encoder.hash_field import FIELD_TENSORS, field_geometries
from gscodec_cli.encoder.model import GopModel, margin_of, norm
from gscodec_cli.encoder.quantise import Symmetric, Uniform, fake
from gscodec_cli.encoder.rate_model import RateModel
from gscodec_cli.encoder.rvq import COMMITMENT, EntropyConstrained, ResidualVector
from gscodec_cli.encoder.tools import Tools

WINDOW_DENOMINATOR = 4  # windows are coded in quarter frames: whole frames cost 0.38 dB, quarters 0.03 dB
# Steps that fit each other: with each of a Gaussian's numbers moved at random by up to half of its step, every kind of
# number should cost the picture about as much (docs/decisions/018).
SHAPE_PARTS = (0.5, 1.0, 0.5)  # steps of ln l11, l21 / l22 and ln l22, in those that `shape_bits` stands for
MOTION_STEPS = 0.25, 0.5  # px of displacement at the ends of the GoP, for every degree; the second where
COARSE_MOTION = 0.3  # amplitudes have larger steps than that
# Squared amplitude error that is worth one bit of an RVQ index, against what the training holds a bit to be worth: with
# the default rate slope about ln 2 / 6 squared steps, where a uniform quantiser of that step stands.
INDEX_SLOPE = 11.6


class Coding(Enum):
    """What of coding is simulated: of what is carried over only, all of it with noise for rounding, all of it."""

    CARRIED = 0
    NOISE = 1
    ROUND = 2


class Compression:
    """The quantisers of one GoP, made from a model that has been trained without them."""

    def __init__(self, model: GopModel, generator: torch.Generator) -> None:
        tools = model.tools
        self.model = model
        self.fraction_bits = mean_fraction_bits(model.size, tools)
        self.mean = Uniform.fixed(torch.full((2,), 2.0**-self.fraction_bits))
        self.amplitude: Uniform | ResidualVector | EntropyConstrained
        if tools.energy_colour:
            self.amplitude = energy_quantiser(tools, generator)
            self.shape = Uniform.fixed(torch.tensor(SHAPE_PARTS) * 2.0 ** (3 - tools.shape_bits))
        else:
            self.amplitude = ResidualVector(
                self.amplitudes(model.params), tools.rvq_stages, tools.rvq_codebook, generator
            )
            self.shape = Uniform.asymmetric(model.params["shape"].detach(), tools.shape_bits)
        self.window = Uniform.fixed(torch.full((2,), 1 / WINDOW_DENOMINATOR))
        self.motion = Uniform.fixed(torch.full((2,), motion_step(model.size, tools)))
        self.drift = Uniform.fixed(torch.full((3,), 2 * tools.amplitude_step or 1.0))
        self.field = field_quantisers(model)
        self._coded: dict[str, tuple[Tensor, Tensor]] = {}
        self.rate_model = RateModel()

    def amplitudes(self, params: dict[str, Tensor]) -> Tensor:
        """Colours [N, 3] in the domain in which they are coded: weight, or weight times the Gaussian's norm."""
        return params["colour"] * self.norms(params)

    def norms(self, params: dict[str, Tensor]) -> Tensor | float:
        """What turns a colour weight into its coded value: the Gaussian's norm [N, 1], or 1."""
        return norm(params["shape"], self.model.log_shape) if self.model.tools.energy_colour else 1.0

    def coded_norms(self) -> Tensor | float:
        """The norms that the decoder will know: those of the quantised shapes."""
        return self.norms({"shape": self.shape.fake(self.model.params["shape"], noise=False)})

    @torch.no_grad()
    def prepare(self, coding: Coding) -> None:
        """Begin to model what this coding codes."""
        self.view(coding)
        self.rate_model.begin(self._coded)

    def repeats(self, coding: Coding) -> bool:
        """Whether a step does the same as the one before, with other numbers."""
        return coding is Coding.NOISE or not isinstance(self.amplitude, EntropyConstrained)

    def view(self, coding: Coding) -> dict[str, Tensor]:
        """The model's parameters as the decoder will see them, with gradients."""
        params = self.model.params
        planes = [name for name in ("mean", "shape", "window", "motion") if name in params]
        field = self.field if coding is not Coding.CARRIED else ()
        view = {**params, **self._rounded({name: params[name] for name in (*planes, *field)}, coding)}
        if "window" in view:
            view["window"] = self._with_known_births(view["window"])
        size = self.norms(view)
        # The amplitude is rounded at the norm that the decoder knows, that of the quantised shape.
        weights = {"amplitude": params["colour"] * size}
        if "drift" in params:
            weights["drift"] = params["drift"] * size
        amplitudes = self._rounded(weights, coding)
        view["colour"] = amplitudes["amplitude"] / size
        if "drift" in amplitudes:
            view["drift"] = amplitudes["drift"] / size
        self._remember(view, amplitudes, coding)
        return view

    def _rounded(self, tensors: dict[str, Tensor], coding: Coding) -> dict[str, Tensor]:
        """Tensors rounded, or with noise, or as they are; what is carried is always rounded: most should not change."""
        quantisers = {name: self.field[name] if name in self.field else getattr(self, name) for name in tensors}
        carried = self.model.carried
        if carried is None or coding is Coding.ROUND:
            return fake(quantisers, tensors, coding is Coding.NOISE)
        planes = [name for name in tensors if name not in self.field]
        old = fake(quantisers, {name: tensors[name][: carried.count] for name in planes}, noise=False)
        new = {**tensors, **{name: tensors[name][carried.count :] for name in planes}}
        if coding is Coding.NOISE:
            new = fake(quantisers, new, noise=True)
        return {name: torch.cat([old[name], x]) if name in old else x for name, x in new.items()}

    def _remember(self, view: dict[str, Tensor], amplitudes: dict[str, Tensor], coding: Coding) -> None:
        """Keep for `rate` what of a view is coded: of what is carried its change."""
        self._coded = {}
        carried, planes = self.model.carried, {"shape": view["shape"], **amplitudes}
        planes.update({name: view[name] for name in ("window", "motion") if name in view})
        first = 0
        if carried is not None:
            first = carried.count
            expected = carried.means(view.get("motion", carried.motion), view.get("window"), self.model.frames)
            self._code("mean change", view["mean"][:first] - self._on_grid(expected), self.mean)
        for name, value in planes.items():
            quantiser = getattr(self, name)
            if isinstance(quantiser, ResidualVector):
                continue
            if carried is not None:
                change = value[:first, 1:] if name == "window" else value[:first] - getattr(carried, name)
                self._code(name + " change", change, quantiser)
            if coding is not Coding.CARRIED:
                self._code(name, value[first:], quantiser)

    def _with_known_births(self, window: Tensor) -> Tensor:
        """Windows [N, 2]; those of what is carried began when they did."""
        carried = self.model.carried
        if carried is None:
            return window
        known = torch.stack([carried.birth, window[: carried.count, 1]], 1)
        return torch.cat([known, window[carried.count :]])

    def _code(self, name: str, x: Tensor, quantiser: Uniform | EntropyConstrained) -> None:
        if x.numel():
            self._coded[name] = (x.reshape(-1, x.shape[-1]), quantiser.step()[: x.shape[-1]])

    def _on_grid(self, mean: Tensor) -> Tensor:
        """Means [M, 2] rounded, and moved to the edge of the grid where they lie outside, as predictions are."""
        margin, step = self.model.margin, 2.0**-self.fraction_bits
        ends = [side + margin - step for side in self.model.size[::-1]]
        inside = [mean[:, axis].clamp(-margin, end) for axis, end in enumerate(ends)]
        return self.mean.fake(torch.stack(inside, 1), noise=False)

    def rate(self) -> Tensor:
        """Estimated bits of the last view, without new means, field and headers, which hardly depend on it."""
        return self.rate_model.bits(self._coded)

    def penalty(self) -> Tensor | float:
        """Commitment loss of the last view, weighted (paper 001 eq. 13)."""
        return COMMITMENT * self.amplitude.commitment if isinstance(self.amplitude, ResidualVector) else 0.0

    def learnables(self) -> list[Tensor]:
        """Steps and offsets that train along."""
        return [*self.shape.learnables(), *self.amplitude.learnables()]


def energy_quantiser(tools: Tools, generator: torch.Generator) -> Uniform | EntropyConstrained:
    """The quantiser of energy-normalised amplitudes [N, 3]."""
    step = tools.amplitude_step
    if not tools.rvq:
        return Uniform.fixed(torch.full((3,), step))
    slope = INDEX_SLOPE * tools.rate_slope * step**2
    return EntropyConstrained(tools.rvq_stages, tools.rvq_codebook, step, slope, generator)


def mean_fraction_bits(size: tuple[int, int], tools: Tools) -> int:
    """Bits after the point of a mean, 0..8: as the tools say, or so that a coordinate fits into so many bits in all."""
    if tools.mean_bits is None:
        return tools.mean_fraction_bits
    cells = max(size) + 2 * margin_of(size, tools)
    return max(0, min(8, tools.mean_bits - math.ceil(math.log2(cells))))


def motion_step(size: tuple[int, int], tools: Tools) -> float:
    """Steps of a displacement at the ends of a GoP, px: whole grid positions of the means (SPEC C-6.18-3)."""
    coarse = tools.energy_colour and tools.amplitude_step > COARSE_MOTION
    return max(MOTION_STEPS[coarse], 2.0 ** -mean_fraction_bits(size, tools))


def field_quantisers(model: GopModel) -> dict[str, Symmetric]:
    """A symmetric quantiser for each tensor of the field; each level of a table has a step of its own."""
    layout = model.tools.field
    if layout is None:
        return {}
    geometry2, geometry3 = field_geometries(layout)
    parts = {"table2": _level_rows(geometry2.entries), "table3": _level_rows(geometry3.entries)}
    return {n: Symmetric(parts.get(n, ((0, len(model.params[n])),)), model.tools.field_bits) for n in FIELD_TENSORS}


def _level_rows(entries: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    ends = torch.tensor(entries).cumsum(0).tolist()
    return tuple(zip([0, *ends[:-1]], ends, strict=True))
