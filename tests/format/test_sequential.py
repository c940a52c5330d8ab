# SPDX-License-Identifier: MIT
"""A file read front to back from something that has `read` and nothing else."""

from __future__ import annotations

import io
import time

import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.describe import file_bits
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.limits import Limits
from gscodec.format.salvage import SalvagedReader
from gscodec.format.sequential import SequentialReader
from tests.conformance.broken import base, broken_files
from tests.conformance.vectors import VECTORS

# What only the whole file, or drawing it, can tell.
NOT_SEEN = {"C-6.2-4", "C-6.5-16"}
BROKEN = broken_files()


class Pipe:
    """Gives bytes in small portions and remembers how many were asked for; cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data, self.given = io.BytesIO(data), 0

    def read(self, size: int) -> bytes:
        data = self._data.read(min(size, 37))
        self.given += len(data)
        return data


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_gops_are_those_of_the_index(name: str) -> None:
    whole, stream = ContainerReader(base(name)), SequentialReader(Pipe(base(name)))
    assert [stream.read_gop(i) for i in stream.indices()] == [whole.read_gop(i) for i in range(whole.gop_count)]
    assert tuple(stream.gop_table) == whole.gop_table
    assert stream.size == whole.size


def test_a_gop_is_given_as_soon_as_it_is_whole() -> None:
    pipe = Pipe(base("paths"))
    stream = SequentialReader(pipe)
    table = ContainerReader(base("paths")).gop_table
    for index, entry in enumerate(table):
        assert stream.advance()
        assert pipe.given == entry.offset + entry.length, index


def test_bits_add_up_without_an_index() -> None:
    stream = SequentialReader(Pipe(base("main")))
    assert file_bits(stream) == file_bits(ContainerReader(base("main")))


@pytest.mark.parametrize("code", sorted(set(BROKEN) - NOT_SEEN))
def test_what_a_file_may_not_be_a_stream_may_not_be(code: str) -> None:
    with pytest.raises((FormatError, LimitError)):
        SequentialReader(Pipe(BROKEN[code])).verify()


@pytest.mark.parametrize("name", ["tiny", "paths"])
def test_every_cut_is_noticed(name: str) -> None:
    data = base(name)
    for length in range(0, len(data), 7):
        with pytest.raises(FormatError):
            SequentialReader(Pipe(data[:length])).verify()


def test_a_stream_goes_by_once() -> None:
    stream = SequentialReader(Pipe(base("paths")))
    stream.read_gop(2)
    with pytest.raises(ValueError, match="has gone by"):
        stream.read_gop(0)
    with pytest.raises(IndexError):
        stream.read_gop(3)


def test_a_lying_length_takes_no_memory() -> None:
    data, entry = bytearray(base("tiny")), ContainerReader(base("tiny")).gop_table[0]
    length = slice(entry.offset + 5, entry.offset + 9)
    data[length] = b"\xff\xff\xff\x0f"  # 256 MiB
    with pytest.raises(FormatError, match="cut short"):
        SequentialReader(Pipe(bytes(data))).verify()
    data[length] = b"\xff\xff\xff\x7f"
    with pytest.raises(LimitError):
        SequentialReader(Pipe(bytes(data))).verify()
    with pytest.raises(LimitError, match="--limit-chunk-bytes"):
        SequentialReader(Pipe(base("tiny")), Limits(chunk_bytes=20)).verify()


def test_lenient_passes_over_damage_and_ends_at_a_cut() -> None:
    data, table = bytearray(base("paths")), ContainerReader(base("paths")).gop_table
    data[table[1].offset + 30] ^= 1
    stream = SequentialReader(Pipe(bytes(data[:-30])), lenient=True)
    assert [stream.gop_table[i].first_frame for i in stream.indices()] == [0, 4]
    assert stream.missing() == [(2, 4)]
    assert stream.faults[0].kind == "GOPD"
    assert stream.faults[0].offset == table[1].offset
    assert "cut short" in stream.faults[-1].message
    cut = SequentialReader(Pipe(bytes(data[: table[1].offset + 9])), lenient=True)
    assert (list(cut.indices()), cut.missing()) == ([0], [(2, 6)])


@pytest.mark.parametrize("name", ["paths", "main", "chain"])
@pytest.mark.parametrize("byte", range(12))
def test_lenient_finds_the_next_chunk_where_type_or_length_is_damaged(name: str, byte: int) -> None:
    whole = ContainerReader(base(name))
    for entry in whole.gop_table:
        for bit in (0, 3, 7):
            data = bytearray(base(name))
            data[entry.offset + byte] ^= 1 << bit
            stream, salvaged = SequentialReader(Pipe(bytes(data)), lenient=True), SalvagedReader(bytes(data))
            assert len(list(stream.indices())) == salvaged.gop_count
            assert stream.gop_table == salvaged.gop_table
            assert stream.missing() == salvaged.missing() != []
            assert stream.faults[0].offset == entry.offset
            assert stream.faults[0].length == salvaged.faults[0].length
            assert stream.size == len(data)


def test_the_search_for_the_next_chunk_is_bounded() -> None:
    data, table = base("paths"), ContainerReader(base("paths")).gop_table
    cut = table[1].offset
    lies = b"GOPD\x01\xff\xff\xff\x0f" * 300_000  # each says that 256 MiB follow
    stream = SequentialReader(io.BytesIO(data[:cut] + b"?" * 9 + lies + data[cut:]), lenient=True)
    began = time.process_time()
    assert len(list(stream.indices())) <= len(table)
    assert time.process_time() - began < 5
    assert stream.faults[0].length >= 9
    garbage = bytes(range(256)) * 20_000
    stream = SequentialReader(io.BytesIO(data[:cut] + garbage + data[cut:]), Limits(chunk_bytes=1 << 16), lenient=True)
    assert len(list(stream.indices())) == len(table)
    assert (stream.faults[0].offset, stream.faults[0].length) == (cut, len(garbage))
