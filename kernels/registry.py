# SPDX-License-Identifier: MIT
"""Which engine runs a kernel. Imports nothing but the compiled module, and that only if it is there.

Order of choice: the argument `backend`, the environment variable GSV_BACKEND, the best engine available. GSV_CPU_ISA
(avx512, avx2, baseline) forces an instruction set of the `cpu` engine. A choice that cannot be met is an error.
"""

import importlib
import logging
import os
import threading
from dataclasses import dataclass
from typing import Any

from .errors import BackendError

cpu: Any = None  # the compiled module
try:
    cpu = importlib.import_module("gscodec.kernels._cpu")
except ImportError as error:  # built without it
    _REASON = f"the compiled module is missing: {error}"
else:
    _REASON = ""

_INSTRUCTION_SETS: tuple[str, ...] = tuple(cpu.instruction_sets()) if cpu is not None else ()
_log = logging.getLogger("gscodec.kernels")
_last = threading.local()
_fallback_told = False


@dataclass(frozen=True)
class Engine:
    """An engine and, for `cpu`, the instruction set it uses ("" otherwise)."""

    name: str
    isa: str = ""


@dataclass(frozen=True)
class Backend:
    """One line of `backends()`: is the engine usable here, with which instruction sets, and if not, why."""

    name: str
    available: bool
    isa: tuple[str, ...]
    reason: str


def backends() -> tuple[Backend, ...]:
    """All engines, best first; `isa` lists the usable instruction sets, best first."""
    compiled = Backend("cpu", cpu is not None, _INSTRUCTION_SETS, _REASON)
    return compiled, Backend("reference", True, (), "")


def select(backend: str | None) -> Engine:
    """Return the engine that will run, and remember it for `last_engine`.

    Raises BackendError if `backend`, GSV_BACKEND or GSV_CPU_ISA names something that cannot run here.
    """
    name = backend or os.environ.get("GSV_BACKEND") or ("cpu" if cpu is not None else _fallback())
    if name == "cpu":
        engine = Engine("cpu", _instruction_set())
    elif name == "reference":
        engine = Engine("reference")
    else:
        raise BackendError(f"backend {name!r} is unknown, expected one of cpu, reference")
    remember(engine)
    return engine


def remember(engine: Engine) -> None:
    """Note that `engine` runs this thread's next kernel; `select` does it by itself."""
    _last.engine = engine


def last_engine() -> Engine | None:
    """The engine that ran this thread's latest kernel call; None before the first."""
    return getattr(_last, "engine", None)


def _instruction_set() -> str:
    if cpu is None:
        raise BackendError(f"backend 'cpu' is not available: {_REASON}")
    asked = os.environ.get("GSV_CPU_ISA")
    if not asked:
        return _INSTRUCTION_SETS[0]
    if asked not in _INSTRUCTION_SETS:
        raise BackendError(f"GSV_CPU_ISA={asked}: this machine can run {', '.join(_INSTRUCTION_SETS)}")
    return asked


def _fallback() -> str:
    global _fallback_told
    if not _fallback_told:
        _fallback_told = True
        _log.warning("using the slow reference engine: %s", _REASON)
    return "reference"
