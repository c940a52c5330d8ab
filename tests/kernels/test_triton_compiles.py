# SPDX-License-Identifier: MIT
"""The GPU engine's kernels pass Triton's compiler for a real GPU, which needs none: see `compile_triton`."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

KERNELS = ["_adam", "_add_parts", "_backward", "_bits", "_boxes", "_by_largest", "_detail", "_encode"]
KERNELS += ["_encode_backward", "_filter", "_forward", "_heads", "_largest", "_noise", "_pairs", "_place"]
KERNELS += ["_place_backward", "_place_forward"]


@pytest.mark.parametrize(
    "capability", [pytest.param("80", marks=pytest.mark.slow), "90", pytest.param("120", marks=pytest.mark.slow)]
)
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_every_kernel_compiles_and_keeps_its_numbers_in_registers(capability):
    command = [sys.executable, "-m", "tests.kernels.compile_triton", capability]
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stderr[-3000:]
    lines = re.findall(r"^(\w+) registers (\S+) stack (\S+)", result.stdout, re.M)
    assert sorted({name for name, _, _ in lines}) == KERNELS
    spilled = {name: stack for name, _, stack in lines if stack not in ("?", "0")}
    assert not spilled, f"kernels that keep numbers in memory for want of registers: {spilled}"
