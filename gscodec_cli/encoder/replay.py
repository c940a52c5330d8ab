# SPDX-License-Identifier: MIT
"""Steps that a GPU repeats: recorded once as a CUDA graph, then started in one piece, not launch by launch.

A graph computes with the memory it was recorded with, so a step must take all that changes from tensors that stay, and
the host must read nothing in it. Must not import the verbs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol

import torch

from gscodec.kernels.triton.room import Recording

LOOKED = 8  # replays after which a graph's need of room is fetched
_log = logging.getLogger("gscodec.encoder")
_refused = False


class Graph(Protocol):
    """A recorded step."""

    def replay(self) -> None:
        """Do it again."""


class CudaGraph:
    """A step as a CUDA graph, recorded on the current stream, which must not be the default one; it is not run."""

    def __init__(self, step: Callable[[], None], pool: Any) -> None:
        self._graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may do as they like meanwhile: they are not ours, or torch's, that goes back through a step.
            with torch.cuda.graph(self._graph, pool, torch.cuda.current_stream(), capture_error_mode="thread_local"):
                step()
        except Exception:
            _leave_recording()
            raise

    def replay(self) -> None:
        """Start all that was recorded."""
        self._graph.replay()


def _leave_recording() -> None:
    """Let the random numbers go on: torch's generator may still take itself for recorded after a failure."""
    numbers = torch.cuda.default_generators[torch.cuda.current_device()]
    numbers.graphsafe_set_state(numbers.clone_state())


def recorder(device: torch.device) -> Callable[[Callable[[], None]], Graph] | None:
    """What records the steps of a stretch on a device, all in the same memory: one runs after the other. None where
    they cannot be.
    """
    if device.type != "cuda" or _refused:
        return None
    pool = torch.cuda.graph_pool_handle()
    return lambda step: CudaGraph(step, pool)


class Replays:
    """Runs the steps of a stretch. The first of a kind runs as it is, the second is recorded and from then on replayed.

    step: takes one of a kind; those of one kind start the same kernels in the same memory. record: see `recorder`.
    undo: drops what a failed recording left in Python.
    """

    def __init__(
        self,
        step: Callable[[Any], None],
        record: Callable[[Callable[[], None]], Graph] | None,
        undo: Callable[[], None],
    ) -> None:
        self._step, self._record, self._undo = step, record, undo
        self._begun: set[Hashable] = set()
        self._graphs: dict[Hashable, tuple[Graph, Recording]] = {}
        self._outgrown: dict[Hashable, Graph] = {}  # kept until the next is there: memory without a graph is given up
        self._count = 0

    def run(self, kind: Hashable) -> None:
        """One step."""
        if kind in self._graphs and not self._graphs[kind][1].enough():
            self._outgrown[kind], _ = self._graphs.pop(kind)
            self._begun.discard(kind)
        if kind in self._begun and kind not in self._graphs and self._record:
            self._graphs |= self._recorded(kind)
            self._outgrown.pop(kind, None)
        if kind not in self._graphs:
            self._step(kind)
            self._begun.add(kind)
            return
        graph, rooms = self._graphs[kind]
        graph.replay()
        self._count += 1
        if self._count % LOOKED == 0:
            rooms.look()

    def _recorded(self, kind: Hashable) -> dict[Hashable, tuple[Graph, Recording]]:
        """The graph of a kind; nothing where the step cannot be recorded, and then none is tried in this process."""
        global _refused
        rooms = Recording()
        assert self._record is not None
        try:
            with rooms.going_on():
                return {kind: (self._record(partial(self._step, kind)), rooms)}
        except Exception as error:  # whatever the driver, torch or Triton have against it
            _refused, self._record = True, None
            self._graphs.clear()  # their random numbers are those of the generator that has been left
            self._undo()
            why = error.__context__ or error  # the first one: to end a recording that has failed fails too
            _log.warning("steps are started launch by launch, as they cannot be recorded as CUDA graphs: %s", why)
            return {}
