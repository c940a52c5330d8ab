# SPDX-License-Identifier: MIT
"""A pytest plugin for `make sanitize`: the kernels run from the compiled module that GSV_CPU_MODULE names.

It must be loaded before gscodec.kernels, so it is given as `-p tests.sanitized`.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

NAME = "gscodec.kernels._cpu"


def _load(path: str) -> None:
    spec = importlib.util.spec_from_file_location(NAME, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: not a compiled module")
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])


_load(os.environ["GSV_CPU_MODULE"])


def pytest_report_header() -> str:
    """Say which module is under test."""
    return f"kernels: {sys.modules[NAME].__file__}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fail rather than test another module than the one asked for."""
    from gscodec.kernels import registry

    if registry.cpu is not sys.modules[NAME]:
        raise pytest.UsageError(f"kernels come from {registry.cpu}, not from {sys.modules[NAME].__file__}")
