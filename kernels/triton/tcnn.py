# SPDX-License-Identifier: MIT
"""The hash encoding by tiny-cuda-nn, where it is installed and asked for. Imports torch; `tinycudann` when it is used.

tiny-cuda-nn derives its levels from a growth factor in float32, where one rounding turns a dense level into a hashed
one (at growth 1.5 levels 1 to 4 land on whole numbers), and at the far border it reads the next row. So every level
here is a grid of its own, whose only level has the stored number of vertices, and coordinates are stretched to the
stored scale and held at the border. It computes in half precision: results agree to three digits.
"""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gscodec.kernels.encoding import HashGeometry
from gscodec.kernels.errors import BackendError

VARIABLE = "GSV_HASH_ENGINE"


def asked_for() -> bool:
    """Whether GSV_HASH_ENGINE names this engine. Raises BackendError for a name that is neither it nor `triton`."""
    name = os.environ.get(VARIABLE) or "triton"
    if name not in ("triton", "tinycudann"):
        raise BackendError(f"{VARIABLE}={name}: unknown, expected triton or tinycudann")
    return name == "tinycudann"


def hash_encode(coords: Tensor, table: Tensor, geometry: HashGeometry) -> Tensor:
    """Features [N, levels * F] float32, as `hashing.hash_encode`; differentiable in coords [N, D] and table.

    Raises BackendError without tiny-cuda-nn, and for grids that it cannot express.
    """
    features = []
    held = torch.where(coords.isfinite(), coords, 0)
    for level, encoding in enumerate(_encodings(geometry)):
        side, begin = geometry.resolutions[level], geometry.offsets[level]
        rows = table[begin : begin + geometry.entries[level]]
        stretched = (held * (geometry.scales[level] / (side - 1))).clamp(0, (side - 1.5) / (side - 1))
        found = torch.func.functional_call(encoding, {"params": rows.reshape(-1)}, (stretched,))
        features.append(found.float())
    return torch.cat(features, 1) if features else coords.new_zeros(len(coords), 0)


def hash_encode_backward(
    coords: Tensor, table: Tensor, geometry: HashGeometry, grad: Tensor, *, want_coords: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradient of `hash_encode`: (dtable, dcoords or None)."""
    with torch.enable_grad():
        inputs = [table.detach().requires_grad_()]
        inputs += [coords.detach().requires_grad_()] if want_coords else []
        features = hash_encode(inputs[-1] if want_coords else coords, inputs[0], geometry)
        dtable, *dcoords = torch.autograd.grad(features, inputs, grad)
    return dtable, dcoords[0] if want_coords else None


@lru_cache(maxsize=16)
def _encodings(geometry: HashGeometry) -> tuple[Any, ...]:
    """One encoding of tiny-cuda-nn per level."""
    try:
        library = importlib.import_module("tinycudann")
    except (ImportError, OSError) as error:  # it raises OSError where it finds no GPU
        raise BackendError(f"{VARIABLE}=tinycudann: tiny-cuda-nn is not available: {error}") from None
    return tuple(_level(library, geometry, level) for level in range(geometry.level_count))


def _level(library: Any, geometry: HashGeometry, level: int) -> Any:
    side, entries, dims = geometry.resolutions[level], geometry.entries[level], geometry.dims
    log2 = max(0, (entries - 1).bit_length())
    if side < 2 or entries != min((side**dims + 7) // 8 * 8, 1 << log2):
        told = f"level {level} has {side} vertices a side and {entries} entries"
        raise BackendError(f"{VARIABLE}=tinycudann: {told}, which tiny-cuda-nn cannot express")
    config = {
        "otype": "HashGrid",
        "n_levels": 1,
        "n_features_per_level": geometry.feature_count,
        "log2_hashmap_size": log2,
        "base_resolution": side,
        "per_level_scale": 1.0,
        "interpolation": "Linear",
    }
    encoding = library.Encoding(dims, config)
    if encoding.params.numel() != entries * geometry.feature_count:
        found = encoding.params.numel()
        raise BackendError(
            f"{VARIABLE}=tinycudann: level {level} has {found} parameters there, and {entries} entries here"
        )
    return encoding
