# SPDX-License-Identifier: MIT
"""Fixtures for every test: the project's folders and the shared video data."""

from __future__ import annotations

import os
from pathlib import Path

# Before numpy and torch are imported: for the small arrays of tests their threads only wait for each other, on a busy
# machine for very long. The kernels of this project, whose threads are tested, have their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from gscodec.kernels.registry import gpu_missing

# Before triton is imported: without a GPU its kernels are interpreted, which is slow and gives the same numbers.
if gpu_missing():
    os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked slow unless -m says otherwise."""
    if config.getoption("-m"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the committed sample clips."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test videos: GSV_TEST_DATA, or shared/data beside the project. Skips where it is absent."""
    folder = Path(os.environ.get("GSV_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no test videos: neither GSV_TEST_DATA nor ../shared/data is a folder")
    return folder


@pytest.fixture(scope="session")
def first_vector() -> Path:
    """A small valid .gsv file: the first conformance vector."""
    valid = [path for path in sorted((ROOT / "tests" / "conformance").rglob("*.gsv")) if not path.name.startswith("x_")]
    assert valid, "no conformance vectors: run make regen-vectors"
    return valid[0]
