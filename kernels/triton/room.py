# SPDX-License-Identifier: MIT
"""Room for the pairs of the next step, by what the last ones needed, without a wait for the device. Imports torch."""

from __future__ import annotations

from collections import deque

from torch import Tensor

from .transfer import Fetched, fetch

SPARE = 1.5  # room over what was needed; a step changes the number of pairs by little
LEAST = 1 << 12


class Room:
    """How many pairs to make room for.

    The first step waits for its number; after that numbers are copied to the host behind the work, and read when they
    have arrived. Should the pairs of a step outgrow the room all the same, the Gaussians that come last lose some of
    theirs until the number has arrived, a few steps later.
    """

    def __init__(self) -> None:
        self.capacity = 0
        self._coming: deque[Fetched] = deque()

    def before(self, total: Tensor) -> int:
        """Room for a step whose number of pairs, a tensor of one number on the device, is `total`."""
        while self._coming and self._coming[0].arrived():
            self._fit(int(self._coming.popleft().copy))
        if self.capacity and total.is_cuda:
            self._coming.append(fetch(total))
        else:
            self._fit(int(total))
        return self.capacity

    def _fit(self, needed: int) -> None:
        if needed * (1 + (SPARE - 1) / 2) > self.capacity:
            self.capacity = max(LEAST, int(needed * SPARE))
