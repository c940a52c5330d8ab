# SPDX-License-Identifier: MIT
"""The conformance vectors: bytes, symbols, parameters and pictures are those of the manifest (SPEC 8)."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import dequantise
from gscodec.format.describe import describe, file_bits
from gscodec.format.errors import FormatError
from gscodec.format.gop import write_gop
from gscodec.kernels import backends
from gscodec_cli.decoder.reconstruct import GopRenderer
from tests.conformance.digest import parameter_digests, sha256, symbol_digests
from tests.conformance.generate import FOLDER, MANIFEST, SPEC, bad_files, good_files, spec_revision
from tests.conformance.pictures import errors, exact_frame, fast_frame, in_steps, rounded

KNOWN: dict[str, Any] = json.loads(MANIFEST.read_text())
GOOD, BAD = sorted(KNOWN["files"]), sorted(KNOWN["must_fail"])
COVERED = "x_C-6.5-16.gsv"  # breaks a rule that only drawing can check
ENGINES = [backend.name for backend in backends() if backend.available and backend.name != "reference"]


@cache
def reader_of(name: str) -> ContainerReader:
    return ContainerReader((FOLDER / name).read_bytes())


def test_manifest_lists_the_folder() -> None:
    assert KNOWN["spec"] == spec_revision(SPEC.read_text(encoding="utf-8"))
    assert {path.name for path in FOLDER.glob("*.gsv")} == set(GOOD) | set(BAD)
    for name, entry in (KNOWN["files"] | KNOWN["must_fail"]).items():
        data = (FOLDER / name).read_bytes()
        assert sha256(data) == entry["sha256"], name
        assert len(data) < 20_000, name


def test_generator_makes_the_same_files() -> None:
    for name, data in (good_files() | bad_files()).items():
        assert (FOLDER / name).read_bytes() == data, f"{name} differs; see make regen-vectors"


@pytest.mark.parametrize("name", GOOD)
def test_symbols_and_parameters(name: str) -> None:
    reader, entry = reader_of(name), KNOWN["files"][name]
    reader.verify()
    assert reader.gop_count == len(entry["gops"])
    for index, gop in enumerate(entry["gops"]):
        record = reader.read_gop(index)
        assert symbol_digests(record) == gop["symbols"]
        assert parameter_digests(dequantise(record)) == gop["parameters"]


@pytest.mark.parametrize("name", GOOD)
def test_writing_what_was_read_gives_the_same_bytes(name: str) -> None:
    reader = reader_of(name)
    before = None
    for index in range(reader.gop_count):
        record, bits = reader.read_gop_bits(index)
        payload, written_bits = write_gop(record, reader.header, before)
        before = record
        assert payload == reader.payload(reader.gop_chunk(index))
        assert bits == written_bits
        assert bits.total == 8 * len(payload)


@pytest.mark.parametrize("name", GOOD)
def test_listing_and_bits_cover_the_file(name: str) -> None:
    reader, position = reader_of(name), 0
    for entry in describe(reader):
        assert entry.offset == position, entry
        position += entry.length
    assert position == reader.size
    assert sum(file_bits(reader).values()) == 8 * reader.size


@pytest.mark.parametrize("name", GOOD)
def test_reference_pictures(name: str) -> None:
    stored = np.load(FOLDER / name.replace(".gsv", ".npz"))["frames"]
    reader, at = reader_of(name), 0
    for index in range(reader.gop_count):
        params = dequantise(reader.read_gop(index))
        renderer = GopRenderer(params, reader.header, backend="reference")
        for position in map(params.position, range(params.frame_count)):
            exact = exact_frame(params, reader.header, position)
            assert np.abs(exact * 65535 - stored[at]).max() < 0.6
            depth = reader.header.bit_depth
            drawn = in_steps(renderer.render(position), depth)
            assert np.abs(drawn - rounded(exact, depth)).max() <= (depth > 8)
            at += 1
    assert at == len(stored) == reader.header.frame_count


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", GOOD)
def test_pictures_of_engines(name: str, engine: str) -> None:
    reader, entry = reader_of(name), KNOWN["files"][name]
    for index, gop in enumerate(entry["gops"]):
        params = dequantise(reader.read_gop(index))
        renderer = GopRenderer(params, reader.header, backend=engine)
        for frame, bound in enumerate(gop["frames"]):
            position = params.position(frame)
            exact = exact_frame(params, reader.header, position)
            peak, rms = errors(fast_frame(params, reader.header, position, engine), exact)
            assert rms <= peak
            assert peak <= bound["peak"]
            assert rms <= bound["rms"]
            depth = reader.header.bit_depth
            steps = in_steps(renderer.render(position), depth) - rounded(exact, depth)
            assert np.abs(steps).max() <= 1


def test_a_wrong_picture_is_out_of_bounds() -> None:
    reader = reader_of("main.gsv")
    params, bound = dequantise(reader.read_gop(0)), KNOWN["files"]["main.gsv"]["gops"][0]["frames"][0]
    exact = exact_frame(params, reader.header, 0)
    peak, rms = errors(exact_frame(params, reader.header, 0.05), exact)
    assert peak > bound["peak"]
    assert rms > bound["rms"]


@pytest.mark.parametrize("name", sorted(set(BAD) - {COVERED}))
def test_broken_files_are_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught, ContainerReader(FOLDER / name) as reader:
        reader.verify()
    assert caught.value.code == KNOWN["must_fail"][name]["code"]
    assert caught.value.offset is not None
    assert str(caught.value).startswith("not a valid .gsv file: ")


def test_too_many_covered_pixels_are_refused() -> None:
    reader = ContainerReader((FOLDER / COVERED).read_bytes())
    reader.verify()
    renderer = GopRenderer(dequantise(reader.read_gop(0)), reader.header)
    with pytest.raises(FormatError) as caught:
        renderer.render(0)
    assert caught.value.code == KNOWN["must_fail"][COVERED]["code"]
