# SPDX-License-Identifier: MIT
"""Every test that asks for `engine` runs once per engine and instruction set, under proof that this one ran."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gscodec.kernels import Engine
from tests.kernels.parity import ENGINES, available, running


def name(engine: Engine) -> str:
    """cpu-avx2, reference"""
    return "-".join(filter(None, (engine.name, engine.isa)))


@pytest.fixture(params=[engine for engine in ENGINES if engine.isa], ids=name)
def cpu(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The compiled engine with each of its instruction sets."""
    yield from _run(request.param)


@pytest.fixture(params=ENGINES, ids=name)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every engine."""
    yield from _run(request.param)


def _run(engine: Engine) -> Iterator[Engine]:
    if not available(engine):
        pytest.skip(f"{name(engine)} cannot run on this machine")
    with running(engine):
        yield engine
