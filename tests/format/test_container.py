# SPDX-License-Identifier: MIT
"""The file as a whole: random access, what is skipped, what the writer refuses, limits before memory."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gscodec.format.accounting import COMPONENTS, GopBits
from gscodec.format.chunks import FRAMING
from gscodec.format.container import ContainerReader, ContainerWriter
from gscodec.format.describe import describe, file_bits
from gscodec.format.errors import FormatError, GsvError, LimitError
from gscodec.format.limits import LEVELS, Limits, level_for
from tests.conformance.broken import base
from tests.conformance.build import file_of
from tests.conformance.vectors import VECTORS


class Counted(io.BytesIO):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_reads_only_the_gop_asked_for() -> None:
    header, gops = VECTORS["stgv"]()
    file = Counted(base("stgv"))
    reader = ContainerReader(file)
    opened = file.read_bytes
    assert reader.read_gop(1) == gops[1]
    assert opened < 200
    assert file.read_bytes - opened <= reader.gop_table[1].length + 2 * FRAMING
    assert reader.header == header


def test_frames_lead_to_gops() -> None:
    reader = ContainerReader(base("variable_time"))
    assert [reader.gop_of_frame(frame) for frame in range(7)] == [0, 0, 1, 1, 1, 1, 2]
    assert [(entry.first_frame, entry.frame_count) for entry in reader.gop_table] == [(0, 2), (2, 4), (6, 1)]


def test_sources(tmp_path: Path) -> None:
    path = tmp_path / "a.gsv"
    path.write_bytes(base("tiny"))
    with ContainerReader(path) as by_path, ContainerReader(str(path)) as by_name:
        assert by_path.read_gop(0) == by_name.read_gop(0) == ContainerReader(base("tiny")).read_gop(0)
    with path.open("rb") as file:
        ContainerReader(file).close()
        assert not file.closed
    with pytest.raises(FileNotFoundError):
        ContainerReader(tmp_path / "missing.gsv")


def test_ancillary_chunks_are_skipped_but_checked() -> None:
    plain, noted = base("tiny"), file_of(VECTORS["tiny"](), (("note", b"hello"), ("more", b"")))
    reader = ContainerReader(noted)
    reader.verify()
    assert reader.read_gop(0) == ContainerReader(plain).read_gop(0)
    assert [chunk.kind for chunk in reader.chunks()] == ["SEQH", "note", "more", "GOPD", "INDX", "ENDF"]
    damaged = noted.replace(b"hello", b"jello")
    assert ContainerReader(damaged).read_gop(0) == reader.read_gop(0)
    with pytest.raises(FormatError, match="CRC"):
        ContainerReader(damaged).verify()


def test_writer_counts_frames_and_bits() -> None:
    header, gops = VECTORS["paths"]()
    file = io.BytesIO()
    writer = ContainerWriter(file, header)
    for gop in gops[:-1]:
        writer.add_gop(gop)
    with pytest.raises(FormatError, match="reach frame 4, expected 6"):
        writer.close()
    entry = writer.add_gop(gops[-1])
    assert (entry.first_frame, entry.frame_count) == (4, 2)
    assert writer.close() == writer.size == len(file.getvalue())
    bits = file_bits(ContainerReader(file))
    parameters = {name: count for name, count in writer.bits.as_dict().items() if name != "headers"}
    assert parameters.items() <= bits.items()
    assert tuple(bits) == (*COMPONENTS, "streams")


def test_gop_bits_add_up() -> None:
    bits = GopBits(means=1, codebooks=2, headers=4) + GopBits(means=8, mlp=16)
    assert (bits.total, bits.fixed, bits.means) == (31, 22, 9)


def test_listing_names_every_field() -> None:
    entries = {entry.name: entry for entry in describe(ContainerReader(base("main")))}
    assert entries["SEQH.width"].value == 32
    assert entries["gop[1].gop_header.first_frame"].value == 4
    assert entries["gop[0].field_hash.grid2.resolution[2]"].value == 9
    assert entries["signature"].value == base("main")[:8]


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"pixels": 255}, "pixels per frame"),
        ({"frames": 0}, "frames"),
        ({"gaussians": 1}, "Gaussians per GoP"),
        ({"chunk_bytes": 50}, "bytes in one chunk"),
        ({"memory": 1000}, "bytes of memory"),
    ],
)
def test_limits(limits: dict[str, Any], name: str) -> None:
    with pytest.raises(LimitError) as caught:
        ContainerReader(base("tiny"), Limits(**limits)).read_gop(0)
    assert caught.value.limit == name
    assert caught.value.allowed == next(iter(limits.values())) < caught.value.asked
    assert caught.value.flag == f"--limit-{next(iter(limits)).replace('_', '-')}"
    assert caught.value.flag in str(caught.value)
    assert isinstance(caught.value, GsvError)


def test_field_limits() -> None:
    for limits in (Limits(parameters=100), Limits(memory=40_000)):
        with pytest.raises(LimitError):
            ContainerReader(base("main"), limits).read_gop(0)


def test_levels() -> None:
    assert level_for(1280 * 640, 20_000) == 2
    assert level_for(1, 1, LEVELS[4].covered_pixels) == 4
    with pytest.raises(LimitError, match="Gaussians per GoP"):
        level_for(1, 1 << 23)


def test_level_is_enforced_when_writing() -> None:
    header, _ = VECTORS["tiny"]()
    with pytest.raises(FormatError) as caught:
        ContainerWriter(io.BytesIO(), replace(header, width=65535))
    assert caught.value.code == "C-6.4-4"


def test_twenty_thousand_gaussians() -> None:
    """The size of real GoPs: bytes per Gaussian stay sane, reading is not slow."""
    header, gops = VECTORS["drift"]()
    many = 20_000
    repeat = np.repeat(np.arange(40), many // 40)
    gop = gops[0]
    assert gop.drift
    big = replace(
        gop,
        mean=replace(gop.mean, grid=gop.mean.grid[repeat]),
        shape=replace(gop.shape, coded=replace(gop.shape.coded, symbols=gop.shape.coded.symbols[repeat])),
        colour=replace(gop.colour, coded=replace(gop.colour.coded, symbols=gop.colour.coded.symbols[repeat])),
        drift=replace(gop.drift, coded=replace(gop.drift.coded, symbols=gop.drift.coded.symbols[repeat])),
    )
    data = file_of((replace(header, frame_count=3), [big]))
    assert ContainerReader(data).read_gop(0) == big
