# SPDX-License-Identifier: MIT
"""What `tinycudann` gives of a HashGrid, in plain torch: the same configuration, levels, table and half precision.

Follows tiny-cuda-nn v2.0 (include/tiny-cuda-nn/encodings/grid.h and common_device.h), its trap at the far border
included: there a dense level reads the next row. Linear interpolation and the coherent prime hash only.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

PRIMES = (1, 2654435761, 805459861)
MOST_DENSE = {2: 65535, 3: 1625}


class Encoding(torch.nn.Module):
    """tinycudann.Encoding: `params` is flat, level after level, entry after entry."""

    def __init__(self, n_input_dims: int, encoding_config: dict, seed: int = 1337, dtype: torch.dtype | None = None):
        super().__init__()
        assert encoding_config["otype"] == "HashGrid"
        assert encoding_config.get("interpolation", "Linear") == "Linear"
        self.dims, self.features = n_input_dims, encoding_config["n_features_per_level"]
        self.dtype = dtype or torch.float16
        growth = np.log2(np.float32(encoding_config["per_level_scale"]))
        self.levels, offset = [], 0
        for level in range(encoding_config["n_levels"]):
            scale = np.exp2(np.float32(level) * growth) * np.float32(encoding_config["base_resolution"]) - np.float32(1)
            side = int(np.ceil(scale)) + 1
            entries = min((side**self.dims + 7) // 8 * 8, 1 << encoding_config["log2_hashmap_size"])
            self.levels.append((float(scale), side, entries, offset))
            offset += entries
        generator = torch.Generator().manual_seed(seed)
        self.params = torch.nn.Parameter((torch.rand(offset * self.features, generator=generator) * 2 - 1) * 1e-4)
        self.n_output_dims = encoding_config["n_levels"] * self.features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        table = self.params.to(self.dtype).reshape(-1, self.features)
        return torch.cat([self._level(x, table, *level) for level in self.levels], 1)

    def _level(self, x: torch.Tensor, table: torch.Tensor, scale: float, side: int, entries: int, offset: int):
        position = x * scale + 0.5
        cell = position.detach().floor()
        fraction = position - cell
        total = torch.zeros(len(x), self.features, dtype=self.dtype)
        for corner in itertools.product((0, 1), repeat=self.dims):
            weight = torch.ones(len(x))
            for d, c in enumerate(corner):
                weight = weight * (fraction[:, d] if c else 1 - fraction[:, d])
            vertex = [cell[:, d].long() + c for d, c in enumerate(corner)]
            total = total + weight[:, None].to(self.dtype) * table[offset + self._index(vertex, side, entries)]
        return total

    def _index(self, vertex: list[torch.Tensor], side: int, entries: int) -> torch.Tensor:
        if side <= MOST_DENSE[self.dims] and side**self.dims <= entries:
            return sum(g * side**d for d, g in enumerate(vertex)) % entries
        index = torch.zeros_like(vertex[0])
        for d, g in enumerate(vertex):
            index = index ^ ((g * PRIMES[d]) & 0xFFFFFFFF)
        return index % entries
