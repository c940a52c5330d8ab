# SPDX-License-Identifier: MIT
"""Room for the pairs of the next step, by what the last ones needed, without a wait for the device. Imports torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from .transfer import Fetched, fetch

SPARE = 1.5  # room over what was needed; a step changes the number of pairs by little
LEAST = 1 << 12


class Room:
    """How many pairs to make room for.

    The first step waits for its number, and so does what must not lose any; after that numbers are copied to the host
    behind the work, and read when they have arrived. Should the pairs of a step outgrow the room all the same, the
    Gaussians that come last lose some of theirs until the number has arrived, a few steps later.
    """

    def __init__(self) -> None:
        self.capacity = 0
        self._coming: deque[Fetched] = deque()

    def before(self, total: Tensor, *, wait: bool = False) -> int:
        """Room for a step whose number of pairs, a tensor of one number on the device, is `total`.

        wait: until the number is known.
        """
        if _recording:
            return _recording[-1].given(self, total)
        self.settle()
        if self.capacity and total.is_cuda and not wait:
            self.expect(total)
        else:
            self._fit(int(total))
        return self.capacity

    def expect(self, total: Tensor) -> None:
        """Let what a step needed be counted in as soon as the number has arrived."""
        self._coming.append(fetch(total))

    def settle(self, *, wait: bool = False) -> None:
        """Count in what has arrived, or wait for all of it."""
        while self._coming and (wait or self._coming[0].arrived()):
            self._fit(int(self._coming.popleft().wait()))

    def _fit(self, needed: int) -> None:
        if needed * (1 + (SPARE - 1) / 2) > self.capacity:
            self.capacity = max(LEAST, int(needed * SPARE))


def room_for(kind: tuple[Any, ...]) -> Room:
    """The room of all steps that bin so."""
    return _rooms.setdefault(kind, Room())


class Recording:
    """Rooms of a step that is recorded, to be replayed in the same memory: they stay as they are meanwhile."""

    def __init__(self) -> None:
        self._rooms: list[tuple[Room, int, Tensor]] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """The step is recorded in here. Waits for what the steps before have needed: in here nothing can be asked."""
        for room in _rooms.values():
            room.settle(wait=True)
        _recording.append(self)
        try:
            yield
        finally:
            _recording.pop()

    def given(self, room: Room, total: Tensor) -> int:
        """The room that the step gets; its tensor `total` is kept, so that its memory holds what each replay needs."""
        self._rooms.append((room, room.capacity, total))
        return room.capacity

    def look(self) -> None:
        """Begin to fetch what the last replay needed."""
        for room, _, total in self._rooms:
            room.expect(total)

    def enough(self) -> bool:
        """Whether the rooms are still those that the step was recorded with, by all that has arrived."""
        for room, _, _ in self._rooms:
            room.settle()
        return all(room.capacity == capacity for room, capacity, _ in self._rooms)


_rooms: dict[tuple[Any, ...], Room] = {}
_recording: list[Recording] = []
