# SPDX-License-Identifier: MIT
"""What the GPU engine starts on a device, counted where there is none: Triton's kernels and torch's operations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

PACKAGE = "gscodec.kernels.triton."
# Operations that only make memory or look at it in another way; everything else runs on the device.
FREE = {"empty", "empty_like", "empty_strided", "new_empty", "detach", "alias", "lift_fresh", "_unsafe_view"}
WAITS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal"}


class _Torch(TorchDispatchMode):
    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name in WAITS:
            self.names.append(f"wait: {name}")
        elif name not in FREE and not func.is_view:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def started() -> Iterator[list[str]]:
    """Names of what is started while the block runs; `wait: ...` where the host would wait for the device.

    An operation of torch counts once, though sorting and scanning are several kernels. Transfers do not count.
    """
    names: list[str] = []
    modules = [module for name, module in sys.modules.items() if name.startswith(PACKAGE) and hasattr(module, "launch")]
    launch = sys.modules[PACKAGE + "launch"].launch

    def counting(kernel: Any, grid: tuple[int, ...], *arguments: Any, **settings: Any) -> None:
        if 0 not in grid:
            names.append(kernel.fn.__name__)
        with _disable_current_modes():
            launch(kernel, grid, *arguments, **settings)

    for module in modules:
        module.launch = counting
    try:
        with _Torch(names):
            yield names
    finally:
        for module in modules:
            module.launch = launch
