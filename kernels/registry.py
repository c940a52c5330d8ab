# SPDX-License-Identifier: MIT
"""Which engine runs a kernel. Imports the compiled module if it is there, and the GPU engine only when it is chosen.

Order of choice: the argument `backend`, the environment variable GSV_BACKEND, the best engine for arrays in the
computer's memory, which is never the GPU's. GSV_CPU_ISA (avx512, avx2, baseline) forces an instruction set of the `cpu`
engine. A choice that cannot be met is an error. `backend_of_device` chooses for callers that may keep frames on a GPU.
"""

import ctypes
import importlib
import importlib.util
import logging
import os
import sys
import threading
from dataclasses import dataclass
from functools import cache
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
NAMES = ("cpu", "triton", "reference")
_GPU_ENGINE = "gscodec.kernels.triton.host"


@dataclass(frozen=True)
class Engine:
    """An engine, and what it runs on: instruction set of `cpu`, `cuda` or `interpreter` of `triton`, "" otherwise."""

    name: str
    isa: str = ""


@dataclass(frozen=True)
class Backend:
    """One line of `backends()`: is the engine usable here, on what (see `Engine`), and if not, why."""

    name: str
    available: bool
    isa: tuple[str, ...]
    reason: str


def backends() -> tuple[Backend, ...]:
    """All engines, in the order of choice; `isa` lists what each can run on here, best first.

    Imports torch where there is an NVIDIA GPU, and nowhere else.
    """
    compiled = Backend("cpu", cpu is not None, _INSTRUCTION_SETS, _REASON)
    try:
        gpu = Backend("triton", True, (triton().engine_name(),), "")
    except BackendError as error:
        gpu = Backend("triton", False, (), str(error).removeprefix("backend 'triton' is not available: "))
    return compiled, gpu, Backend("reference", True, (), "")


def tinycudann() -> Backend:
    """The library that encodes hash grids in place of the engine `triton` where GSV_HASH_ENGINE asks for it."""
    there = importlib.util.find_spec("tinycudann") is not None
    return Backend("tinycudann", there, ("hash grids of triton, with GSV_HASH_ENGINE=tinycudann",), "not installed")


def select(backend: str | None) -> Engine:
    """Return the engine that will run, and remember it for `last_engine`.

    Raises BackendError if `backend`, GSV_BACKEND or GSV_CPU_ISA names something that cannot run here.
    """
    name = backend or os.environ.get("GSV_BACKEND") or ("cpu" if cpu is not None else _fallback())
    if name == "cpu":
        engine = Engine("cpu", _instruction_set())
    elif name == "triton":
        engine = Engine("triton", triton().engine_name())
    elif name == "reference":
        engine = Engine("reference")
    else:
        raise BackendError(f"backend {name!r} is unknown, expected one of {', '.join(NAMES)}")
    remember(engine)
    return engine


def triton() -> Any:
    """The GPU engine's functions for numpy arrays, `gscodec.kernels.triton.host`; imports torch.

    Raises BackendError where it cannot run: without torch, triton or a GPU. TRITON_INTERPRET=1 stands in for a GPU.
    """
    if loaded := sys.modules.get(_GPU_ENGINE):
        return loaded
    missing = [name for name in ("torch", "triton") if importlib.util.find_spec(name) is None]
    if missing:
        why = f"{' and '.join(missing)} not installed (pip install 'gscodec[gpu]')"
    else:
        why = "" if interpreting() else gpu_missing()
    if why:
        raise BackendError(f"backend 'triton' is not available: {why}")
    try:
        host = importlib.import_module(_GPU_ENGINE)
    except ImportError as error:
        raise BackendError(f"backend 'triton' is not available: {error}") from None
    host.default_device()
    return host


def interpreting() -> bool:
    """Whether Triton was told to interpret its kernels on the CPU, which only tests want."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


@cache
def gpu_missing() -> str:
    """Why there is no NVIDIA GPU to use, "" if there is one. Asks the driver, which is quicker than importing torch."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver finds no GPU"
    return ""


def backend_of_device(device: str) -> tuple[str | None, str]:
    """The backend that draws on `device`, `cpu`, `cuda` or `auto`, and why `auto` does not take a GPU ("" if it does).

    None is the automatic choice for arrays in the computer's memory. Raises BackendError for `cuda` without a
    GPU and for an unknown name.
    """
    if device == "cpu":
        return None, ""
    if device == "cuda":
        triton()
        return "triton", ""
    if device != "auto":
        raise BackendError(f"device {device!r} is unknown, expected cpu, cuda or auto")
    why = gpu_missing()
    try:
        if not why:
            triton()
            return "triton", ""
    except BackendError as error:
        why = str(error)
    return None, why


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
    tell_once(f"using the slow reference engine: {_REASON}")
    return "reference"


def tell_once(message: str) -> None:
    """Log why the engine that would be best is not taken, the first time."""
    global _fallback_told
    if not _fallback_told:
        _fallback_told = True
        _log.warning("%s", message)
