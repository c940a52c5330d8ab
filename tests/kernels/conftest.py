# SPDX-License-Identifier: MIT
"""Every test that asks for `engine` runs once per engine and instruction set, under proof that this one ran."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gscodec.kernels import Engine, backends
from tests.kernels.parity import CPU_ENGINES, ENGINES, GPU_ENGINE, available, running


def name(engine: Engine) -> str:
    """cpu-avx2, reference"""
    return "-".join(filter(None, (engine.name, engine.isa)))


@pytest.fixture(params=CPU_ENGINES, ids=name)
def cpu(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The compiled engine with each of its instruction sets."""
    yield from _run(request.param)


@pytest.fixture
def gpu() -> Iterator[Engine]:
    """The GPU engine; in Triton's interpreter where there is no GPU."""
    yield from _run(GPU_ENGINE)


@pytest.fixture(params=ENGINES, ids=name)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every engine."""
    yield from _run(request.param)


def _run(engine: Engine) -> Iterator[Engine]:
    if not available(engine):
        why = next(backend.reason for backend in backends() if backend.name == engine.name)
        pytest.skip(f"{name(engine)} cannot run on this machine: {why or 'instruction set missing'}")
    with running(engine):
        yield engine
