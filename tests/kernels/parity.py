# SPDX-License-Identifier: MIT
"""Helpers of the kernel tests: engines, scenes biased to trouble, and the rule by which errors are judged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gscodec import kernels
from gscodec.kernels import Engine, HashGeometry

Array = np.ndarray[Any, np.dtype[Any]]

KNOWN_SETS = ("avx512", "avx2", "baseline")
CPU_ENGINES = [Engine("cpu", isa) for isa in KNOWN_SETS]
GPU_ENGINE = Engine("triton", "interpreter" if kernels.registry.interpreting() else "cuda")
ENGINES = [Engine("reference"), *CPU_ENGINES, GPU_ENGINE]


def available(engine: Engine) -> bool:
    """Whether this machine can run the engine."""
    found = {backend.name: backend for backend in kernels.backends()}[engine.name]
    return found.available and (not engine.isa or engine.isa in found.isa)


@contextmanager
def running(engine: Engine) -> Iterator[None]:
    """Force an engine through the environment, and prove at the end that it ran."""
    before = {name: os.environ.get(name) for name in ("GSV_BACKEND", "GSV_CPU_ISA")}
    os.environ.update(GSV_BACKEND=engine.name, GSV_CPU_ISA=engine.isa)
    kernels.registry.remember(Engine("none"))
    try:
        yield
        assert kernels.last_engine() == engine
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@dataclass(frozen=True)
class Scene:
    """Inputs of the rasteriser."""

    mean: Array
    conic: Array
    feature: Array
    size: tuple[int, int]

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """mean, conic, feature"""
        return self.mean, self.conic, self.feature


def make_scene(seed: int, count: int, size: tuple[int, int], channels: int = 3, spread: float = 3.0) -> Scene:
    """Gaussians in and around a frame: some outside, some on band and block borders, some thin, some huge."""
    rng = np.random.default_rng(seed)
    height, width = size
    mean = rng.uniform(-0.2, 1.2, (count, 2)) * [width, height]
    mean[::5] = np.round(mean[::5] / 4) * 4  # on the borders of blocks
    mean[::7, 1] = np.round(mean[::7, 1] / 32) * 32  # on the borders of bands
    mean[::11] = np.floor(mean[::11]) + 0.5  # on pixel centres
    chol = np.exp(rng.normal(np.log(spread), 0.7, (count, 3)))
    chol[:, 1] *= rng.choice([-1, 0, 1], count)
    chol[::13, 0] = 0.3  # thinner than a pixel
    chol[::17, 2] = 4 * max(size)  # taller than the frame
    conic = kernels.chol_to_conic(chol).astype(np.float32)
    feature = rng.normal(0, 0.5, (count, channels)).astype(np.float32)
    return Scene(mean.astype(np.float32), conic, feature, size)


def make_geometry(dims: int, features: int, levels: int = 5, log2_table_size: int = 8) -> HashGeometry:
    """A grid with dense and hashed levels."""
    sides = [4 + 3 * level * level for level in range(levels)]
    return HashGeometry.create(dims, features, log2_table_size, sides)


def make_field(seed: int, hidden: int = 32, frequencies: int = 3, levels: int = 4) -> kernels.FieldWeights:
    """A field with random weights of the size that training gives."""
    rng = np.random.default_rng(seed)
    grid2, grid3 = make_geometry(2, 2, levels), make_geometry(3, 4, levels)
    inputs = grid2.width + grid3.width + 2 * frequencies

    def normal(*shape: int) -> Array:
        return (rng.normal(0, 1, shape) / np.sqrt(shape[-1])).astype(np.float32)

    layers = normal(hidden, inputs), normal(hidden), normal(hidden, hidden), normal(hidden)
    heads = normal(2, hidden), normal(2), normal(3, hidden), normal(3)
    table2, table3 = rng.normal(0, 1, (grid2.total_entries, 2)), rng.normal(0, 1, (grid3.total_entries, 4))
    scale = (0.9375, 0.9, 0.97)
    return kernels.FieldWeights(*layers, *heads, grid2, table2, grid3, table3, scale, frequencies, 3.0, 0.5)


def peak(found: Array, exact: Array) -> float:
    """Largest absolute error."""
    return float(np.abs(np.asarray(found, np.float64) - exact).max(initial=0))


def relative(found: Array, exact: Array) -> float:
    """Relative L2 error; absolute where the exact value is zero."""
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(np.asarray(found, np.float64) - exact)) / (norm or 1.0)


def assert_as_good(found: Array, exact: Array, plain: Array, floor: float = 1e-6) -> None:
    """The rule: error against float64 at most twice that of plain float32 torch, plus a floor of a few roundings.

    Judged by the peak, relative to the largest exact value, and by relative L2.
    """
    assert found.dtype == np.float32
    assert found.shape == exact.shape == plain.shape
    size = float(np.abs(exact).max(initial=0)) or 1.0
    assert peak(found, exact) <= 2 * peak(plain, exact) + floor * size
    assert relative(found, exact) <= 2 * relative(plain, exact) + floor
