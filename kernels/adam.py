# SPDX-License-Identifier: MIT
"""The Adam optimiser over many arrays, one call a step. Imports numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import registry
from .checks import Array, output_array
from .errors import ShapeError
from .optimiser import adam_step


class Adam:
    """Adam without weight decay over float32 arrays that are changed in place, each at a rate of its own.

    As torch.optim.Adam does it; see `optimiser.adam_step`, of which this is many at once.
    """

    def __init__(
        self,
        params: Sequence[Array],  # C-contiguous, writable
        rates: Sequence[float],
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        threads: int = 0,
        backend: str | None = None,
    ) -> None:
        """Raises ShapeError for arrays that cannot be changed in place, for rates of another number and for betas
        outside [0, 1).
        """
        if len(rates) != len(params) or not (0 <= beta1 < 1 and 0 <= beta2 < 1):
            raise ShapeError(f"Adam: found {len(params)} arrays, {len(rates)} rates, betas {beta1}, {beta2}")
        for array in params:
            output_array("params", array, array.shape, np.float32)
        self._params = [array.reshape(-1) for array in params]
        self._m = [np.zeros_like(array) for array in self._params]
        self._v = [np.zeros_like(array) for array in self._params]
        self._rates, self._betas, self._eps = list(rates), (beta1, beta2), eps
        self._threads, self._backend, self.steps = threads, backend, 0

    def step(self, grads: Sequence[Array | None], share: float = 1.0) -> None:
        """One step at `share` of the rates, with a gradient for each array or None, which leaves it as it is.

        Raises ShapeError, BackendError.
        """
        self.steps += 1
        engine = registry.select(self._backend)
        chosen = [i for i, grad in enumerate(grads) if grad is not None]
        flat = [np.ascontiguousarray(grad, np.float32).reshape(-1) for grad in grads if grad is not None]
        if len(grads) != len(self._params) or [len(self._params[i]) for i in chosen] != [len(grad) for grad in flat]:
            raise ShapeError("grads: expected one for each array, as long as it")
        lists = [self._params[i] for i in chosen], flat, [self._m[i] for i in chosen], [self._v[i] for i in chosen]
        rates, settings = [self._rates[i] * share for i in chosen], (*self._betas, self._eps, self.steps)
        if engine.name == "cpu":
            registry.cpu.adam_step(engine.isa, *lists, rates, *settings, self._threads)
            return
        for param, grad, m, v, rate in zip(*lists, rates, strict=True):
            adam_step(param, grad, m, v, rate, *settings, backend=self._backend)
