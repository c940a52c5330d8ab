# SPDX-License-Identifier: MIT
"""Same input, options, seed and machine: same bytes. Same bytes: same symbols and parameters on any engine."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from gscodec.format.dequant import dequantise
from gscodec.kernels import Engine, last_engine, registry
from gscodec_cli.decoder.decode import StreamDecoder
from tests.architecture.sources import ROOT
from tests.conformance.digest import parameter_digests, sha256, symbol_digests

pytest.importorskip("torch")

SMALL = ("--frames", "0:6", "--resize", "96x64", "--gaussians", 120, "--gop", 3, "--seed", 3, "--quiet")
STEPS = ("--key-iterations", 6, "--joint-iterations", 20, "--tune-iterations", 10)
ENGINES = [("cpu", isa) for isa in registry._INSTRUCTION_SETS] + [("reference", "")]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """A function that encodes with a profile and an instruction set; the same call is made once."""
    made = {}

    def encode(profile: str, isa: str, turn: int = 0) -> bytes:
        key = (profile, isa, turn)
        if key not in made:
            path = tmp_path_factory.mktemp("encoded") / "a.gsv"
            arguments = ["encode", "samples/pan.mp4", "-o", path, "--profile", profile, "--threads", 2, *SMALL, *STEPS]
            run_python("-m", "gscodec_cli", *arguments, GSV_CPU_ISA=isa)
            made[key] = path.read_bytes()
        return made[key]

    return encode


def run_python(*arguments: object, **environment: str) -> bytes:
    env = {**os.environ, **{name: value for name, value in environment.items() if value}}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(params=ENGINES, ids="-".join)
def engine(request, monkeypatch) -> Engine:
    """Every engine and instruction set of this machine, chosen as a user would."""
    name, isa = request.param
    monkeypatch.setenv("GSV_BACKEND", name)
    monkeypatch.setenv("GSV_CPU_ISA", isa or ENGINES[0][1])
    return Engine(name, isa)


def minimal_decoder():
    """samples/minimal_decoder.py as a module."""
    spec = importlib.util.spec_from_file_location("minimal_decoder", ROOT / "samples" / "minimal_decoder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def digests(arrays: dict[str, np.ndarray], dtype: str) -> dict[str, str]:
    return {name: sha256(np.ascontiguousarray(array, dtype).tobytes()) for name, array in arrays.items()}


@pytest.mark.parametrize("profile", ["main", "stgv"])
def test_the_same_command_gives_the_same_bytes(encoded, profile):
    first, second = (encoded(profile, "", turn) for turn in range(2))
    assert first == second


@pytest.mark.parametrize("profile", ["main", "stgv"])
def test_every_engine_reads_the_same_symbols_and_parameters(encoded, engine, profile):
    """Also of a file that another instruction set has encoded."""
    minimal = minimal_decoder()
    for data in {encoded(profile, "", 0), encoded(profile, "baseline", 0)}:
        decoder = StreamDecoder(data)
        decoder.frame(0)
        assert last_engine() == engine
        records = [decoder.reader.read_gop(index) for index in range(decoder.reader.gop_count)]
        assert [symbol_digests(record) for record in records] == [
            digests(symbols, "<i8") for symbols in minimal.decode_symbols(data)
        ]
        assert [parameter_digests(dequantise(record)) for record in records] == [
            digests(parameters, "<f4") for parameters in minimal.decode_parameters(data)
        ]


def test_every_engine_draws_the_same_picture_to_a_step(encoded, engine):
    data = encoded("main", "", 0)
    exact = np.stack(list(StreamDecoder(data, backend="reference").frames(0, 6))).astype(int)
    drawn = np.stack(list(StreamDecoder(data).frames(0, 6)))
    assert last_engine() == engine
    assert np.abs(drawn - exact).max() <= 1


def test_threads_change_no_pixel(encoded):
    data = encoded("main", "", 0)
    drawn = {np.stack(list(StreamDecoder(data, threads=threads).frames(0, 6))).tobytes() for threads in (1, 2, 5)}
    assert len(drawn) == 1
