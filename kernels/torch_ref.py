# SPDX-License-Identifier: MIT
"""The same mathematics in plain torch, differentiated by torch: what the kernels' accuracy is measured against.

Any floating dtype. Every Gaussian meets every pixel, so keep the sizes small. Imports torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from .constants import CUTOFF, FLOOR, HASH_PRIMES
from .encoding import HashGeometry


def rasterize(mean: Tensor, conic: Tensor, feature: Tensor, size: tuple[int, int]) -> Tensor:
    """See `raster.rasterize`: [N, 2], [N, 3], [N, C] -> [C, height, width]. All Gaussians must be drawable."""
    x = torch.arange(size[1], dtype=mean.dtype) + 0.5
    y = torch.arange(size[0], dtype=mean.dtype) + 0.5
    dx = x[None, None, :] - mean[:, 0, None, None]
    dy = y[None, :, None] - mean[:, 1, None, None]
    a, b, c = (conic[:, k, None, None] for k in range(3))
    sigma = 0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy)
    weight = torch.where(sigma < CUTOFF, torch.exp(-sigma) - FLOOR, torch.zeros_like(sigma))
    return torch.einsum("nhw,nc->chw", weight, feature)


def _rows(geometry: HashGeometry, level: int, vertices: list[Tensor]) -> Tensor:
    side, count = geometry.resolutions[level], geometry.entries[level]
    index = torch.zeros_like(vertices[0])
    for d, vertex in enumerate(vertices):
        hashed = (vertex * HASH_PRIMES[d]) & 0xFFFFFFFF
        index = index + vertex * side**d if geometry.dense(level) else index ^ hashed
    return geometry.offsets[level] + index % count


def hash_encode(coords: Tensor, table: Tensor, geometry: HashGeometry) -> Tensor:
    """See `encoding.hash_encode`: coords [N, D] in [0, 1], table [entries, F] -> [N, levels * F]."""
    features = []
    for level, (side, scale) in enumerate(zip(geometry.resolutions, geometry.scales, strict=True)):
        position = coords * scale + 0.5
        cell = position.detach().floor()
        fraction = position - cell
        total = torch.zeros(len(coords), geometry.feature_count, dtype=table.dtype)
        for corner in itertools.product((0, 1), repeat=geometry.dims):
            vertices = [(cell[:, d].long() + c).clamp(max=side - 1) for d, c in enumerate(corner)]
            weight = torch.ones(len(coords), dtype=coords.dtype)
            for d, c in enumerate(corner):
                weight = weight * (fraction[:, d] if c else 1 - fraction[:, d])
            total = total + weight[:, None] * table[_rows(geometry, level, vertices)]
        features.append(total)
    return torch.cat(features, 1) if features else torch.zeros(len(coords), 0, dtype=table.dtype)


def field_heads(
    xy: Tensor,  # [N, 2] in [0, 1]
    t: float,
    tensors: Sequence[Tensor],  # the ten of FieldWeights.tensors, in its order
    geometry2: HashGeometry,
    geometry3: HashGeometry,
    input_scale: tuple[float, float, float],
    frequency_count: int,
) -> tuple[Tensor, Tensor]:
    """See `field.field_forward`: both heads before scaling, [N, 2] and [N, 3]."""
    table2, table3, w1, b1, w2, b2, w_mean, b_mean, w_colour, b_colour = tensors
    xyt = torch.cat([xy, torch.full((len(xy), 1), t, dtype=xy.dtype)], 1).clamp(0, 1)
    coords = xyt * torch.tensor(input_scale, dtype=xy.dtype)
    angle = torch.pi * t * 2.0 ** torch.arange(frequency_count, dtype=xy.dtype)
    time = torch.stack([angle.sin(), angle.cos()], 1).reshape(1, -1).expand(len(xy), -1)
    x = torch.cat([hash_encode(coords[:, :2], table2, geometry2), hash_encode(coords, table3, geometry3), time], 1)
    h = torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2)
    return h @ w_mean.T + b_mean, h @ w_colour.T + b_colour
