# SPDX-License-Identifier: MIT
"""The pixels that one step of training looks at: every n-th of every n-th row, at a random offset.

Where Gaussians are wider than the gaps, so many pixels say nearly what all of them say, and drawing them costs a
fraction: more steps are worth more than more pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gscodec_cli.encoder.model import GopModel, constant, norm

# px; median size of the Gaussians, sqrt(l11 l22), from which gaps of 2, 3 and 4 px are taken. Gaps of 2 at 3.5 px cost
# nothing that can be measured, at 1.6 px 0.3 dB; gaps of 3 at 3.5 px 0.1 dB and of 4 0.3.
WIDE = (1.8, 4.5, 7.0)
LEAST_SIDE = 32  # pixels of the lattice in a row or column
DRAWN = 256  # offsets at a time


@dataclass(frozen=True)
class Lattice:
    """Pixels (x + i * gap, y + j * gap) of a frame."""

    gap: int
    x: int
    y: int

    def of(self, frame: Tensor) -> Tensor:
        """Its pixels of a frame [..., H, W]."""
        return frame[..., self.y :: self.gap, self.x :: self.gap].contiguous()

    def splats(self, mean: Tensor, conic: Tensor) -> tuple[Tensor, Tensor]:
        """Means [n, 2] px and conics [n, 3] of Gaussians in the picture that its pixels make."""
        middle = (self.gap - 1) / 2
        offset = constant((middle - self.x, middle - self.y), mean.device)
        return _shrunk(mean, conic, offset, self.gap)

    def sides(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of pixels in a frame of (height, width)."""
        return -((self.y - size[0]) // self.gap), -((self.x - size[1]) // self.gap)


@dataclass(frozen=True)
class DeviceLattice:
    """A lattice of which only the gap and the number of its rows and columns are known here; a GPU knows its offset.

    corner: [2] int64, x and y.
    """

    gap: int
    corner: Tensor
    sides: tuple[int, int]

    def of(self, frame: Tensor) -> Tensor:
        """As `Lattice.of`."""
        columns, rows = (
            start + self.gap * torch.arange(side, device=frame.device)
            for start, side in zip(self.corner, self.sides[::-1], strict=True)
        )
        return signed(frame)[..., rows[:, None], columns].view(frame.dtype)

    def splats(self, mean: Tensor, conic: Tensor) -> tuple[Tensor, Tensor]:
        """As `Lattice.splats`."""
        return _shrunk(mean, conic, (self.gap - 1) / 2 - self.corner, self.gap)


def _shrunk(mean: Tensor, conic: Tensor, offset: Tensor, gap: int) -> tuple[Tensor, Tensor]:
    return (mean + offset) / gap, conic * gap**2


def signed(frames: Tensor) -> Tensor:
    """The same bits as signed numbers where they are uint16, of which torch can index few on a GPU."""
    return frames.view(torch.int16) if frames.dtype == torch.uint16 else frames


@torch.no_grad()
def widest_gap(model: GopModel) -> int:
    """The gap that the model's Gaussians allow; 1 takes all pixels."""
    if not model.tools.lattice or not model.count:
        return 1
    size = float(norm(model.params["shape"], model.log_shape).median()) / math.sqrt(math.pi)
    return max(1, min(1 + sum(size >= wide for wide in WIDE), min(model.size) // LEAST_SIDE))


def random_lattices(gap: int, generator: torch.Generator) -> Iterator[Lattice | None]:
    """Lattices at random offsets for ever; None stands for all pixels."""
    while gap == 1:
        yield None
    while True:  # many are drawn at once: to read one from a GPU is to wait for it
        yield from (Lattice(gap, x, y) for x, y in torch.randint(0, gap, (DRAWN, 2), generator=generator).tolist())
