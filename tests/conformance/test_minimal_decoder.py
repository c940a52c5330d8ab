# SPDX-License-Identifier: MIT
"""samples/minimal_decoder.py, written from SPEC.md alone, agrees with every conformance vector and with the project."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gscodec_cli import VideoDecoder
from gscodec_cli.decoder.decode import StreamDecoder
from tests.conformance.pictures import in_steps, rounded

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER.parent.parent / "samples" / "minimal_decoder.py"
KNOWN: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
GOOD = sorted(KNOWN["files"])
SKIPPED = ("x_C-6.15-", "x_C-6.16-", "x_C-6.17-", "x_C-6.19-")  # faults of ancillary chunks, which this decoder skips
BAD = [name for name in sorted(KNOWN["must_fail"]) if not name.startswith(SKIPPED)]

# Runs the program as __main__ and then says which modules that took, beyond those of the bare interpreter.
WATCHED = """
import runpy, sys
before = set(sys.modules)
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    code = stop.code
tops = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(tops - set(sys.stdlib_module_names)))
sys.exit(code)
"""


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("minimal_decoder", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


minimal = _load()


def vector(name: str) -> bytes:
    return (FOLDER / "vectors" / name).read_bytes()


def reference(name: str) -> np.ndarray:
    with np.load(FOLDER / "vectors" / name.replace(".gsv", ".npz")) as stored:
        return stored["frames"] / 65535


def digests(arrays: dict[str, np.ndarray], dtype: str) -> dict[str, str]:
    return {
        name: hashlib.sha256(np.ascontiguousarray(array, dtype).tobytes()).hexdigest() for name, array in arrays.items()
    }


@pytest.mark.parametrize("name", GOOD)
def test_symbols_are_those_of_the_manifest(name: str) -> None:
    found = [digests(symbols, "<i8") for symbols in minimal.decode_symbols(vector(name))]
    assert found == [gop["symbols"] for gop in KNOWN["files"][name]["gops"]]


@pytest.mark.parametrize("name", GOOD)
def test_parameters_are_those_of_the_manifest(name: str) -> None:
    parameters = minimal.decode_parameters(vector(name))
    assert all(array.dtype == np.float32 for gop in parameters for array in gop.values())
    found = [digests(gop, "<f4") for gop in parameters]
    assert found == [gop["parameters"] for gop in KNOWN["files"][name]["gops"]]


@pytest.mark.parametrize("name", GOOD)
def test_pictures_stay_within_the_bounds(name: str) -> None:
    bounds = [bound for gop in KNOWN["files"][name]["gops"] for bound in gop["frames"]]
    frames = list(minimal.decode_exact(vector(name)))
    for frame, stored, bound in zip(frames, reference(name), bounds, strict=True):
        difference = np.abs(frame - stored)
        assert difference.max() <= bound["peak"]
        assert np.sqrt((difference**2).mean()) <= bound["rms"]


@pytest.mark.parametrize("name", GOOD)
def test_rounded_pictures_differ_by_one_step_at_most(name: str) -> None:
    frames, stored = minimal.decode_frames(vector(name)), reference(name)
    own = VideoDecoder(vector(name), dimension_order="NHWC", output="numpy")
    theirs = np.stack([np.asarray(own[i]) for i in range(len(own))])
    depth = 10 if name == "deep.gsv" else 8
    assert frames.dtype == theirs.dtype == (np.uint16 if depth > 8 else np.uint8)
    assert frames.shape == theirs.shape == stored.shape
    assert np.abs(in_steps(frames, depth) - in_steps(theirs, depth)).max() <= 1
    assert np.abs(in_steps(frames, depth) - rounded(stored, depth)).max() <= 1


@pytest.mark.parametrize("name", ["main.gsv", "lives.gsv", "stgv.gsv", "shaken.gsv", "detailed.gsv", "repeated.gsv"])
def test_pictures_between_frames_agree(name: str) -> None:
    """Also in the half frames around a GoP, where slow motion goes from one GoP to the next."""
    own = StreamDecoder(vector(name))
    first = 0
    for gop in minimal.read_file(vector(name)):
        frames = gop.head["frame_count"]
        for i in (-0.5, 0.25, frames - 0.75):
            if 0 <= first + i <= own.frame_count - 1:
                inside = minimal.position_in(gop, i)
                picture = np.floor(minimal.draw(gop, minimal.dequantise(gop), inside) * 255 + 0.5)
                assert np.abs(picture - own.frame_at_position(first + i)).max() <= 1
        first += frames


@pytest.mark.parametrize("name", BAD)
def test_broken_files_are_refused_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = FOLDER / "vectors" / name, tmp_path / "out.npy"
    assert minimal.main([str(source), str(target)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.endswith(f"({KNOWN['must_fail'][name]['code']})\n")
    assert not target.exists()


def test_any_beginning_of_a_file_is_refused() -> None:
    data = vector("variable_time.gsv")
    for length in range(len(data)):
        with pytest.raises(minimal.Malformed):
            minimal.decode_frames(data[:length])


def test_damage_under_a_right_crc_never_escapes() -> None:
    chance, refused = random.Random(20), 0
    originals = [vector(name) for name in GOOD]
    for _ in range(400):
        data = bytearray(chance.choice(originals))
        _, start, end, _ = chance.choice(minimal.read_chunks(bytes(data)))
        data[chance.randrange(start + 9, end - 4)] = chance.randrange(256)
        data[end - 4 : end] = zlib.crc32(data[start : end - 4]).to_bytes(4, "little")
        try:
            minimal.decode_parameters(bytes(data))
        except minimal.Malformed:
            refused += 1
    assert 100 < refused < 400


def test_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert minimal.main([str(tmp_path / "none.gsv"), str(tmp_path / "out.npy")]) == 1
    assert minimal.main([]) == 1
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("name", ["main.gsv", "x_C-6.11-7.gsv"])
def test_needs_numpy_only(name: str, tmp_path: Path) -> None:
    (tmp_path / "decoder.py").write_bytes(SOURCE.read_bytes())
    (tmp_path / "in.gsv").write_bytes(vector(name))
    command = [sys.executable, "-I", "-c", WATCHED, "decoder.py", "in.gsv", "out.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["numpy"]
    if name in KNOWN["files"]:
        assert (done.returncode, done.stderr) == (0, "")
        assert np.array_equal(np.load(tmp_path / "out.npy"), minimal.decode_frames(vector(name)))
    else:
        assert done.returncode == 1
        assert done.stderr == "in.gsv: the entropy decoder does not end empty (C-6.11-7)\n"
