# SPDX-License-Identifier: MIT
"""SPEC.md and the code say the same: syntax tables, weights, levels, profiles, requirements, appendix."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from gscodec.format import (
    validate,
    validate_camera,
    validate_contexts,
    validate_data,
    validate_detail,
    validate_filter,
    validate_media,
    validate_prediction,
    validate_residual,
)
from gscodec.format.chunks import ANCILLARY, KNOWN, SIGNATURE, VERSION
from gscodec.format.container import ContainerReader
from gscodec.format.describe import describe
from gscodec.format.limits import LEVELS
from gscodec.format.prediction import candidates
from gscodec.format.records import PROFILES, GopRecord, SequenceHeader
from gscodec.format.rules import RULES
from gscodec.format.schema import DESCRIPTORS
from gscodec.format.tables import LUT
from tests.conformance.appendix import SPEC, TINY, filled
from tests.conformance.broken import broken_files, number_of
from tests.conformance.test_vectors import FOLDER, GOOD
from tests.format import plain
from tests.format.spec_syntax import Runner, parse_tables

TEXT = SPEC.read_text(encoding="utf-8")
STRUCTURES, ROWS = parse_tables(TEXT)
CALLED = {"bytes", "rice"}


def section(title: str) -> str:
    """The text of a `##` or `###` section."""
    level = title.split(" ")[0]
    start = TEXT.index(f"\n{title}")
    end = re.search(rf"^#{{2,{len(level)}}} ", TEXT[start + len(title) + 1 :], re.M)
    return TEXT[start : start + len(title) + 1 + (end.start() if end else len(TEXT))]


def coded_counts(before: GopRecord | None, gop: GopRecord) -> list[list[int]]:
    """Per component of the detail, coefficients of each block up to the last that is coded other than 0."""
    if not gop.detail:
        return []
    coded = gop.detail.symbols.astype(np.int64)
    if gop.detail.kept is not None and before and before.detail:
        coded = coded - before.detail.symbols * gop.detail.kept[..., None]
    return (np.arange(1, 65) * (coded != 0)).max(axis=3).reshape(3, -1).tolist()


def residual_counts(sequence: SequenceHeader, gop: GopRecord) -> tuple[int, list[np.ndarray]]:
    """`residual_frames`, and per component the coefficients of each block [groups, rows, columns] that are coded."""
    if not gop.residual:
        return 0, []
    depth = 64 * gop.residual.frames
    shape = -(-gop.distinct_count // gop.residual.frames), -(-sequence.height // 8), -(-sequence.width // 8)
    counts = [np.zeros(shape, np.int64) for _ in range(3)]
    for count, index in zip(counts, gop.residual.index, strict=True):
        np.maximum.at(count.reshape(-1), index // depth, index % depth + 1)
    return gop.residual.frames, counts


@cache
def runner_of(name: str) -> Runner:
    data = (FOLDER / name).read_bytes()
    reader = ContainerReader(data)
    records = [None, *map(reader.read_gop, range(reader.gop_count))]
    pairs = [
        (len(candidates(a)) if a else 0, b.carried_count, coded_counts(a, b), residual_counts(reader.header, b))
        for a, b in pairwise(records)
        if b
    ]
    return Runner(STRUCTURES, data, pairs).run()


@pytest.mark.parametrize("name", GOOD)
def test_tables_parse_every_vector_as_the_code_does(name: str) -> None:
    from_spec = [(offset, length, field) for offset, length, field, _, _ in runner_of(name).fields]
    from_code = [
        (e.offset, e.length, _plain_name(e.name)) for e in describe(ContainerReader((FOLDER / name).read_bytes()))
    ]
    assert from_spec == from_code


@pytest.mark.parametrize("name", GOOD)
def test_tables_give_the_same_descriptors_and_values(name: str) -> None:
    listed = describe(ContainerReader((FOLDER / name).read_bytes()))
    for entry, (_, _, field, descriptor, value) in zip(listed, runner_of(name).fields, strict=True):
        if entry.descriptor == "bytes":
            assert descriptor.split("(")[0] in CALLED, field
        else:
            assert (entry.descriptor, entry.value) == (descriptor, value), field


def _plain_name(name: str) -> str:
    """`describe` names fields by their chunk; the tables do not."""
    owner, _, rest = name.partition(".")
    return rest if rest and (owner.startswith("gop[") or len(owner) == 4) else name


def test_every_row_is_used_by_some_vector() -> None:
    used = set().union(*(runner_of(name).rows_used for name in GOOD))
    closing = {
        i for i, row in enumerate(ROWS) if row == "}" or (row.endswith(") {") and row.split("(")[0] in STRUCTURES)
    }
    assert [ROWS[i] for i in range(len(ROWS)) if i not in used | closing] == []


def test_descriptors_are_those_of_the_code() -> None:
    table = section("### 5.1 Descriptors")
    named = set(re.findall(r"`(\w+)(?:\(n\))?`", "".join(re.findall(r"^\| (.*?) \|", table, re.M))))
    assert named == set(DESCRIPTORS) | CALLED


def test_weights_are_printed() -> None:
    block = re.search(r"<!-- lut -->\n```\n(.*?)```", TEXT, re.S)
    assert block
    assert [int(n) for n in re.findall(r"\d+", block[1])] == LUT.tolist() == plain.LUT


def test_generated_parts_are_up_to_date() -> None:
    assert filled(TEXT, TINY.read_bytes()) == TEXT, "run: python -m tests.conformance.appendix"


def test_levels_table() -> None:
    rows = re.findall(r"^\| (\d) \| (\d+) \| (\d+) \| (\d+) \|$", section("### 9.2 Levels"), re.M)
    assert [tuple(map(int, row)) for row in rows] == [
        (number, level.pixels, level.gaussians, level.covered_pixels) for number, level in LEVELS.items()
    ]


def test_profiles_signature_version_and_chunks() -> None:
    head = re.search(r"^\| tool \| (.*) \| (.*) \|$", section("### 9.1 Profiles"), re.M)
    assert head
    assert head.groups() == tuple(f"{number} `{name}`" for number, name in PROFILES.items())
    assert f"`signature` is {SIGNATURE.hex(' ').upper()}" in TEXT
    assert f"# The `.gsv` format, version {VERSION[0]}.{VERSION[1]}" in TEXT
    chunks = re.findall(r"^\| (\w{4}) \| ([0-9A-F ]{11}) \| (yes|no) \|", section("## 4 File structure"), re.M)
    kinds = [(kind, "yes") for kind in KNOWN] + [(kind, "no") for kind in ANCILLARY]
    assert chunks == [(kind, kind.encode().hex(" ").upper(), critical) for kind, critical in kinds]


def test_requirements_functions_and_broken_files_are_the_same_set() -> None:
    stated = re.findall(r"^- \*\*(C-[\d.]+-\d+)\*\* It is a requirement of conformance that .*\.$", TEXT, re.M)
    assert stated == sorted(RULES, key=number_of) == list(broken_files())
    modules = (
        validate,
        validate_camera,
        validate_contexts,
        validate_data,
        validate_detail,
        validate_residual,
        validate_filter,
        validate_media,
    )
    for module in (*modules, validate_prediction):
        for name in RULES.values():
            function = getattr(module, name, None)
            assert function is None or function.__doc__


def test_requirements_stand_in_their_sections() -> None:
    for number in range(1, 24):
        title = re.search(rf"^### (6\.{number} .*)$", TEXT, re.M)
        assert title
        codes = re.findall(r"\*\*C-6\.(\d+)-(\d+)\*\*", section(f"### {title[1]}"))
        assert codes == [(str(number), str(i)) for i in range(1, len(codes) + 1)]
        assert re.search(rf"^### 5\.{number} {re.escape(title[1].split(' ', 1)[1])}$", TEXT, re.M), title[1]
