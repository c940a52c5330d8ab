# SPDX-License-Identifier: MIT
"""The fuzzer's targets: whole files, and the parts of one, where an input costs a fraction of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import dequantise
from gscodec.format.records import GopRecord, SequenceHeader
from gscodec.format.schema import Entry
from tests.fuzz import parts
from tests.fuzz.drawing import CHANGE, HEAD, Painter
from tests.fuzz.mutate import Mutator
from tests.fuzz.spans import ByteMutator, Field
from tests.fuzz.target import bounded, exercise_file

VECTORS = Path(__file__).resolve().parent.parent / "conformance" / "vectors"
MOST_GOPS = 256  # that one byte can tell apart


@dataclass(frozen=True)
class Target:
    """One thing to throw bytes at: `exercise` gives an outcome or raises, `mutator` makes the bytes.

    `turns`: inputs of every round, so many that no target takes much more time than the others.
    """

    name: str
    turns: int
    action: Callable[[bytes], str]
    mutator: ByteMutator

    def exercise(self, data: bytes) -> str:
        """What becomes of an input, in bounded time and memory."""
        return bounded(self.action, data)


def corpus() -> list[bytes]:
    """The good conformance vectors, smallest first: what most inputs are made from should be quick to read."""
    files = (path for path in VECTORS.glob("*.gsv") if not path.name.startswith("x_"))
    return sorted((path.read_bytes() for path in sorted(files)), key=len)


def targets(seed: int) -> list[Target]:
    """All of them; the same seed makes the same inputs."""
    files = corpus()
    gops = sorted(_gops(files), key=lambda gop: len(gop[2]))[:MOST_GOPS]
    return [
        Target("file", 18, exercise_file, Mutator(files, seed)),
        _gop_target(gops, seed),
        _traced("chunk", 100, parts.read_chunk, _chunks(files), seed),
        _traced("plane", 60, parts.read_plane, _planes(), seed),
        Target("numbers", 60, parts.read_numbers, _numbers(seed)),
        _draw_target(gops, seed),
    ]


def _traced(name: str, turns: int, read: Callable[..., str], seeds: list[bytes], seed: int) -> Target:
    """A target whose inputs have fields, which reading a good one tells."""
    return Target(name, turns, read, ByteMutator(seeds, [_fields(read, data) for data in seeds], seed))


def _fields(read: Callable[..., str], data: bytes) -> list[Field]:
    trace: list[Entry] = []
    assert read(data, trace) == "read"
    return [(entry.offset, entry.length, entry.descriptor) for entry in trace]


Gop = tuple[SequenceHeader, GopRecord | None, bytes, GopRecord]  # with the GoP before it, its payload and what it says


def _gops(files: list[bytes]) -> Iterator[Gop]:
    for reader in map(ContainerReader, files):
        before = None
        for index in range(reader.gop_count):
            record = reader.read_gop(index)
            yield reader.header, before, reader.gop_payload(index)[0], record
            before = record


def _gop_target(gops: list[Gop], seed: int) -> Target:
    reader = parts.GopReader([(header, before) for header, before, _, _ in gops])
    return _traced("gop", 12, reader.read, [bytes((i,)) + gop[2] for i, gop in enumerate(gops)], seed)


def _draw_target(gops: list[Gop], seed: int) -> Target:
    painter = Painter([(header, dequantise(record)) for header, _, _, record in gops])
    seeds = [bytes((number, number)) + CHANGE.pack(1, 0, 1.0) * 4 for number in range(len(gops))]
    places = [(0, 1, "u8"), (1, 1, "u8")]
    for change in range(4):
        at = HEAD + change * CHANGE.size
        places += [(at, 1, "u8"), (at + 1, 2, "le16"), (at + 3, 4, "f32")]
    return Target("draw", 8, painter.draw, ByteMutator(seeds, [places] * len(seeds), seed))


def _chunks(files: list[bytes]) -> list[bytes]:
    """The payloads of all chunks that are no GoPs, each behind its type."""
    found = set()
    for reader in map(ContainerReader, files):
        for chunk in reader.chunks():
            payload = reader.payload(chunk)
            if chunk.kind in parts.CHUNKS:
                found.add(chunk.kind.encode() + payload)
    return sorted(found, key=lambda data: (len(data), data))


def _planes() -> list[bytes]:
    """Planes of every entropy model: few and many symbols, close together and far apart."""
    made = []
    for count in (1, 3, 20, 60, 250):
        index = np.arange(count, dtype=np.int64)
        far = (index * 7919 % 4001 - 2000) * (1 << 18)
        given = parts.columns_of(count).planes[1] * 4000 + index * 7 % 5  # known by a column but for five values
        for symbols in (index * 0 + 7, index % 3, index * 37 % 251 - 90, far, given):
            made += [parts.plane_bytes(kind, symbols) for kind in (parts.ALONE, parts.AFTER)]
        made.append(parts.plane_bytes(parts.GAP, index**4 * 65537))
    return sorted(made, key=len)


def _numbers(seed: int) -> ByteMutator:
    seeds: list[bytes] = []
    places: list[list[Field]] = []
    for count in (0, 1, 5, 40):
        for components in (1, 2, 3):
            symbols = np.arange(count * components).reshape(count, components) * 1000 - 500
            seeds.append(parts.numbers_bytes(symbols, [0.25] * components + [1.0] * components))
            floats = 2 + 4 * symbols.size  # where they begin
            numbers = [(at, 4, "le32" if at < floats else "f32") for at in range(2, len(seeds[-1]), 4)]
            places.append([(0, 1, "u8"), (1, 1, "u8"), *numbers])
    return ByteMutator(seeds, places, seed)
