# SPDX-License-Identifier: MIT
"""A stand-in for CUDA graphs where there is no GPU: what a step does to memory is recorded and done again.

As with a graph, recording leaves the memory as it was, a replay computes in the memory of the recording, numbers of
Python are what they were then, and nothing may be read from the device. Memory that the step made is spoilt after the
recording, so that a replay that does not make it anew is noticed. Random numbers are drawn anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.kernels.launches import PACKAGE, WAITS


class Tape(TorchDispatchMode):
    """A recorded step, which `replay` does again."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self._done: list[tuple[Callable[[], Any], list[torch.Tensor]]] = []
        self._known: dict[int, torch.Tensor] = {}  # by address, what was there before the step and was not made in it
        self._made: dict[int, torch.Tensor] = {}
        self._before: dict[int, torch.Tensor] = {}
        self.replays = 0
        drawn = torch.get_rng_state()
        self._record(step)
        with torch.no_grad():
            for address, copy in self._before.items():
                _whole(self._known[address]).copy_(copy)
            for tensor in self._made.values():
                _whole(tensor).fill_(0xA5)
        torch.set_rng_state(drawn)

    def _record(self, step: Callable[[], None]) -> None:
        launch = sys.modules[PACKAGE + "launch"].launch
        modules = [m for name, m in sys.modules.items() if name.startswith(PACKAGE) and hasattr(m, "launch")]

        def recorded(*arguments: Any, **settings: Any) -> None:
            def start() -> None:
                with _disable_current_modes():
                    launch(*arguments, **settings)

            self._look_at(arguments)
            start()
            self._done.append((start, []))

        for module in modules:
            module.launch = recorded
        try:
            with self:
                step()
        finally:
            for module in modules:
                module.launch = launch

    def _look_at(self, arguments: Any) -> list[torch.Tensor]:
        """Remember what was there before the step."""
        given = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
        for tensor in given:
            if _address(tensor) not in self._made:
                self._known.setdefault(_address(tensor), tensor)
        return given

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name.removeprefix("aten::") in WAITS:
            raise RuntimeError(f"{func} waits for the device")
        given = self._look_at((args, kwargs))
        if func._schema.is_mutable:
            for tensor in given:
                if _address(tensor) in self._known and _address(tensor) not in self._before:
                    self._before[_address(tensor)] = _whole(tensor).clone()
        # Of these the shapes stay: squeeze_ and the like change those of the step's own tensors.
        same_args, same_kwargs = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, kwargs))
        found = func(*args, **kwargs)
        outputs = [leaf.detach() for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)]
        for tensor in outputs:
            if _address(tensor) not in self._known:
                self._made.setdefault(_address(tensor), tensor)
        self._done.append((lambda: func(*same_args, **same_kwargs), outputs))
        return found

    @torch.no_grad()
    def replay(self) -> None:
        """Do all that was recorded again, in the same memory."""
        self.replays += 1
        for again, outputs in self._done:
            found = [leaf for leaf in tree_leaves(again()) if isinstance(leaf, torch.Tensor)]
            for old, new in zip(outputs, found, strict=True) if outputs else ():
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """All bytes of the memory that a tensor lies in."""
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
