# SPDX-License-Identifier: MIT
"""The Gaussians of a batch of frames, as the rasteriser takes them. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gscodec.kernels.checks import frame_size
from gscodec.kernels.errors import ShapeError

from .binning import Bins, bin_pairs, boxes_of
from .launch import tensor


@dataclass(frozen=True)
class Splats:
    """Gaussians of several frames, one frame after the other.

    mean [M, 2], conic [M, 3], feature [M, C]: float32 tensors on one device; counts: Gaussians of each frame. Raises
    ShapeError, BackendError.
    """

    mean: Tensor
    conic: Tensor
    feature: Tensor
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        total = sum(self.counts)
        for name, columns in (("mean", 2), ("conic", 3), ("feature", None)):
            object.__setattr__(self, name, tensor(name, getattr(self, name), (total, columns)))
        if self.feature.shape[1] not in (3, 4):
            raise ShapeError(f"feature: found {self.feature.shape[1]} channels, expected 3 or 4")

    @classmethod
    def of(cls, mean: Tensor, conic: Tensor, feature: Tensor, counts: Sequence[int] | None = None) -> Splats:
        """Splats of one frame from [N, ...], of several from [B, N, ...], or as `counts` divides [M, ...]."""
        if counts is None:
            counts = (mean.shape[1],) * mean.shape[0] if mean.ndim == 3 else (mean.shape[0],)
        return cls(mean.flatten(0, -2), conic.flatten(0, -2), feature.flatten(0, -2), tuple(map(int, counts)))


def bin_splats(splats: Splats, size: tuple[int, int], capacity: int | None = None) -> Bins:
    """Pairs of Gaussians and tiles of frames of `size` (height, width); for `capacity` see `binning.bin_pairs`."""
    size = frame_size(size)
    boxes = boxes_of(splats.mean, splats.conic, splats.feature, size)
    return bin_pairs(boxes, splats.mean, splats.conic, splats.counts, size, capacity)
