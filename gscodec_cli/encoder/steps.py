# SPDX-License-Identifier: MIT
"""What the steps of a stretch look at, one after the other, and what is told of them. Must not import the verbs.

For a GPU all of it is sent before the first step: a step that reads there where it stands needs nothing from here, so
that it can be replayed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gscodec.kernels.triton.transfer import Fetched, fetch
from gscodec_cli.encoder.home import tensor_of
from gscodec_cli.encoder.lattice import DeviceLattice, Lattice, random_lattices

Kind = tuple[int, tuple[int, int]] | None  # gap, rows and columns of a lattice; None for all pixels
TOLD, AHEAD = 10, 2  # steps from report to report, and reports that the GPU is behind at most


@dataclass(frozen=True)
class Look:
    """The frames that a step looks at, the pixels of them, and its share of the learning rates.

    Numbers; or tensors on a GPU, frames int64 [B] and the share of no dimension.
    """

    frames: tuple[int, ...] | Tensor
    lattice: Lattice | DeviceLattice | None
    share: float | Tensor


def looks(frames: int, at_once: int, gap: int, shares: Iterator[float], generator: torch.Generator) -> Iterator[Look]:
    """A look for each of the shares: frames in random order, each once before any comes again, so many at once."""
    order, lattices = _frame_order(frames, generator), random_lattices(gap, generator)
    for share in shares:
        yield Look(tuple(islice(order, min(at_once, frames))), next(lattices), share)


def _frame_order(count: int, generator: torch.Generator) -> Iterator[int]:
    """Every frame once in random order, for ever."""
    while True:
        yield from torch.randperm(count, generator=generator).tolist()


class Schedule:
    """The looks of a stretch, one or more, on a GPU, in memory that stays, and which of them is next."""

    def __init__(self, given: Sequence[Look], size: tuple[int, int]) -> None:
        lattices = [look.lattice for look in given]
        corners = [(lattice.x, lattice.y) if isinstance(lattice, Lattice) else (0, 0) for lattice in lattices]
        rows = [(*look.frames, *corner) for look, corner in zip(given, corners, strict=True)]
        self.kinds: list[Kind] = [
            (lattice.gap, lattice.sides(size)) if isinstance(lattice, Lattice) else None for lattice in lattices
        ]
        self._rows = tensor_of(np.array(rows, np.int64))  # [S, B + 2]
        self._shares = tensor_of(np.array([look.share for look in given], np.float32))
        self._next = torch.zeros(1, dtype=torch.int64)

    def take(self, kind: Kind) -> Look:
        """The next look, which must be of that kind, as the device reads it."""
        row, share = self._rows.index_select(0, self._next)[0], self._shares.index_select(0, self._next)[0]
        self._next += 1
        return Look(row[:-2], None if kind is None else DeviceLattice(kind[0], row[-2:], kind[1]), share)


class News:
    """Reports of a stretch. Those from a GPU come when they have arrived, at most AHEAD of them late."""

    def __init__(self, report: Callable[[int, float], None]) -> None:
        self._report = report
        self._coming: deque[tuple[int, Fetched]] = deque()

    def tell(self, step: int, error: float | Tensor) -> None:
        """Report the squared error after so many steps."""
        if not isinstance(error, Tensor):
            self._report(step, error)
            return
        self._coming.append((step, fetch(error)))
        while self._coming and (len(self._coming) > AHEAD or self._coming[0][1].arrived()):
            self._pass_on()

    def end(self) -> None:
        """Wait for those that are still to come."""
        while self._coming:
            self._pass_on()

    def _pass_on(self) -> None:
        step, fetched = self._coming.popleft()
        self._report(step, float(fetched.wait()))
