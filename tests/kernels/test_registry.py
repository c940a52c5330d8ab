# SPDX-License-Identifier: MIT
"""The choice of an engine, and the pool of threads behind the compiled one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gscodec import kernels
from gscodec.kernels import Engine, constants, registry
from tests.kernels.parity import make_scene


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("GSV_BACKEND", raising=False)
    monkeypatch.delenv("GSV_CPU_ISA", raising=False)


def draw(**options: object) -> np.ndarray:
    """A small frame."""
    scene = make_scene(1, 20, (16, 16))
    return kernels.rasterize(*scene.arrays, scene.size, **options)


def test_the_best_engine_is_the_default():
    draw()
    best = kernels.backends()[0]
    assert best.available, best.reason
    assert kernels.last_engine() == Engine(best.name, best.isa[0])


def test_argument_beats_environment_beats_default(monkeypatch):
    monkeypatch.setenv("GSV_BACKEND", "reference")
    draw()
    assert kernels.last_engine() == Engine("reference")
    draw(backend="cpu")
    assert kernels.last_engine().name == "cpu"
    monkeypatch.setenv("GSV_CPU_ISA", "baseline")
    draw(backend="cpu")
    assert kernels.last_engine() == Engine("cpu", "baseline")


@pytest.mark.parametrize(("name", "value"), [("GSV_BACKEND", "gpu"), ("GSV_CPU_ISA", "avx9")])
def test_a_choice_that_cannot_be_met_is_an_error(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(kernels.BackendError, match=value):
        draw()


def test_without_the_compiled_module(monkeypatch, caplog):
    monkeypatch.setattr(registry, "cpu", None)
    monkeypatch.setattr(registry, "_fallback_told", False)
    draw()
    draw()
    assert kernels.last_engine() == Engine("reference")
    assert len([record for record in caplog.records if "reference engine" in record.message]) == 1
    assert not kernels.backends()[0].available
    with pytest.raises(kernels.BackendError, match="not available"):
        draw(backend="cpu")
    assert kernels.covered_pixels(np.full((1, 2), 5.5), np.array([[1, 0, 1]]), (16, 16)) == 49


def test_both_languages_use_the_same_constants():
    assert registry.cpu.CUTOFF == constants.CUTOFF
    assert np.float32(constants.FLOOR) == registry.cpu.FLOOR


def test_calls_from_many_threads_agree():
    expected = draw()
    with ThreadPoolExecutor(6) as pool:
        for image in pool.map(lambda n: draw(threads=n % 4), range(60)):
            np.testing.assert_array_equal(image, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_gets_its_own_threads():
    code = (
        "import os, numpy as np\n"
        "from gscodec import kernels\n"
        "args = np.full((500, 2), 8, 'f4'), np.full((500, 3), [.1, 0, .1], 'f4'), np.ones((500, 3), 'f4')\n"
        "first = kernels.rasterize(*args, (300, 16), threads=3)\n"
        "pid = os.fork()\n"
        "same = np.array_equal(kernels.rasterize(*args, (300, 16), threads=3), first)\n"
        "os._exit(0 if same else 1) if pid == 0 else None\n"
        "assert same and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
