# SPDX-License-Identifier: MIT
"""The tensors of a hash field in training: their names, sizes and first values (paper 001, section II.A).

Must not import the verbs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gscodec.kernels import HashGeometry
from gscodec_cli.encoder.tools import HashLayout

FIELD_TENSORS = ("table2", "table3", "w1", "b1", "w2", "b2", "w_mean", "b_mean", "w_colour", "b_colour")
POINTS, EVERY = 4096, 4  # Gaussians from which a field's gradient is told; at least every fourth is
ALL = slice(None)


def field_geometries(layout: HashLayout) -> tuple[HashGeometry, HashGeometry]:
    """The 2D spatial and the 3D spatio-temporal grid of a layout."""
    size, resolutions = layout.log2_table_size, layout.resolutions()
    flat = HashGeometry.create(2, layout.features_2d, size, resolutions)
    return flat, HashGeometry.create(3, layout.features_3d, size, resolutions)


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


def sample_of(count: int) -> slice:
    """Every second, third or fourth of many Gaussians, from a random one on.

    They tell the field's few thousand numbers where to go as well as all of them: of 44 000 Gaussians every fourth cost
    nothing that could be measured, and saved a fifth of the time.
    """
    every = min(EVERY, count // POINTS)
    return slice(int(torch.randint(every, (), device="cpu")), None, every) if every > 1 else ALL
