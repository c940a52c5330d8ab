# SPDX-License-Identifier: MIT
"""What the fuzzer does with parts of a file, each without the framing around it, so that thousands fit in a second.

Every function takes any bytes and returns what became of them. What is accepted must be written again as it was read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from gscodec.format import entropy
from gscodec.format.chunks import COPY, INDX, PACK, PICT, SEQH, STRM, TAGS, index_entries
from gscodec.format.contexts import Columns
from gscodec.format.dequant import coded_values, dequantise
from gscodec.format.errors import FormatError
from gscodec.format.gop import read_gop, write_gop
from gscodec.format.picture import picture_metadata
from gscodec.format.records import Coded, GopRecord, RvqQuantiser, SequenceHeader, UniformQuantiser
from gscodec.format.schema import Entry, FieldStream
from gscodec.format.sequence import sequence_header
from gscodec.format.streams import packets, streams
from gscodec.format.tags import tags
from tests.fuzz.target import LIMITS, is_chosen

STREAMS = 2  # that packets may belong to
KIND = 4  # bytes before the payload that say which chunk it is
Trace = list[Entry] | None
Syntax = Callable[[FieldStream, Any], Any]

CHUNKS: dict[str, Syntax] = {
    SEQH: lambda io, known: sequence_header(io, known, LIMITS),
    COPY: lambda io, known: sequence_header(io, known, LIMITS),
    INDX: lambda io, known: index_entries(io, known, (0, 1 << 40)),
    PICT: picture_metadata,
    STRM: streams,
    TAGS: tags,
    PACK: lambda io, known: packets(io, known, STREAMS),
}


def read_chunk(data: bytes, trace: Trace = None) -> str:
    """The payload of a chunk that is no GoP, behind its type."""
    syntax = CHUNKS.get(data[:KIND].decode("latin-1"))
    if syntax is None:
        return "refused"
    io = FieldStream(data[KIND:], offset=KIND, trace=trace)
    try:
        found = syntax(io, None)
        io.finish()
    except FormatError:
        return "refused"
    out = FieldStream()
    syntax(out, found)
    assert out.getvalue() == data[KIND:], "written otherwise than it was read"
    return "read"


PLANE = 2  # bytes before a plane: its kind and the number of its symbols
GAP, ALONE, AFTER = range(3)  # kinds: of gaps, alone, after columns that its table may depend on
COUNTS = 256


def columns_of(count: int) -> Columns:
    """Three columns, of what `count` Gaussians may have had before."""
    index = np.arange(count, dtype=np.int64)
    return Columns([index * 7919 % 29 - 14, index * index // 3 % 2, index * index % 1013 * 40 - 20000])


def transfer_plane(io: FieldStream, kind: int, symbols: np.ndarray | None, count: int) -> np.ndarray:
    """One plane of a kind, in either direction."""
    if kind == GAP:
        return entropy.gap_plane(io, "gap", symbols, count)
    return entropy.plane(io, "plane", symbols, count, columns_of(count) if kind == AFTER else None)


def read_plane(data: bytes, trace: Trace = None) -> str:
    """A plane of any entropy model; some of those that can be read are written anew, and must come back."""
    kind, count = (data[0] % 3, data[1] % COUNTS) if len(data) >= PLANE else (ALONE, 1)
    io = FieldStream(data[PLANE:], offset=PLANE, trace=trace)
    try:
        symbols = transfer_plane(io, kind, None, count)
        io.finish()
    except FormatError:
        return "refused"
    low, high = (0, 1 << 48) if kind == GAP else (-(1 << 31), 1 << 31)
    assert symbols.shape == (count,)
    assert not count or (low <= symbols.min() and symbols.max() < high)
    if is_chosen(data):
        out = FieldStream()
        transfer_plane(out, kind, symbols, count)
        again = transfer_plane(FieldStream(out.getvalue()), kind, None, count)
        assert (again == symbols).all(), "written and read again, symbols differ"
    return "read"


class GopReader:
    """Reads payloads of GoPs, each behind a byte that says after which GoP of which file it stands."""

    def __init__(self, contexts: list[tuple[SequenceHeader, GopRecord | None]]) -> None:
        self._contexts = contexts

    def read(self, data: bytes, trace: Trace = None) -> str:
        """A payload, down to its float32 parameters; some that can be read are written anew, and must come back."""
        header, before = self._contexts[(data[0] if data else 0) % len(self._contexts)]
        try:
            record, bits = read_gop(data[1:], header, LIMITS, before, offset=1, trace=trace)
            assert bits.total == 8 * len(data[1:])
            dequantise(record)
        except FormatError:
            return "refused"
        if is_chosen(data, 64):
            self._write(record, header, before)
        return "read"

    def _write(self, record: GopRecord, header: SequenceHeader, before: GopRecord | None) -> None:
        if record.carried is not None and before and record.first_frame != before.first_frame + before.frame_count:
            return  # that a GoP follows the one before it is for the index to say (C-6.13-3); the writer insists on it
        try:
            payload, _ = write_gop(record, header, before)
        except FormatError:  # Gaussians that had just enough bytes
            return
        assert read_gop(payload, header, LIMITS, before)[0] == record, "written and read again, the GoP differs"


def read_numbers(data: bytes) -> str:
    """Dequantisation of any symbols with any steps, offsets and codebooks that a file can hold."""
    head, body = data[:2].ljust(2, b"\1"), data[2:]
    components = 1 + head[1] % 3
    symbols = np.frombuffer(body[: len(body) // (4 * components) * 4 * components], "<i4").astype(np.int64)
    symbols = symbols.reshape(-1, components)
    floats = _floats(body, 2 * components)
    try:
        if head[0] % 2:
            coded = Coded(UniformQuantiser(_steps(floats[:components]), floats[components:]), symbols)
        else:
            coded = _residual(symbols, _steps(floats[:components]))
        values = coded_values(coded)
    except FormatError as error:
        if error.code != "C-6.8-6":  # the only rule of numbers
            raise
        return "refused"
    assert values.dtype == np.float32
    assert values.shape == symbols.shape
    assert np.isfinite(values).all()
    return "read"


def _residual(symbols: np.ndarray, steps: tuple[float, ...]) -> Coded:
    """As many stages as steps, whose codewords are the symbols, one more stage of zeros in between."""
    books = tuple(np.roll(symbols, stage, axis=0).astype(np.int32) for stage in range(len(steps)))
    indices = np.abs(symbols) % max(1, len(symbols))
    return Coded(RvqQuantiser(steps, books), indices[:, : len(steps)])


def _floats(body: bytes, count: int) -> tuple[float, ...]:
    """`count` finite float32 numbers from the end of `body`."""
    values = np.frombuffer(body[-4 * count :].rjust(4 * count, b"\0"), "<f4")
    return tuple(np.nan_to_num(values, posinf=3e38, neginf=-3e38).tolist())


def _steps(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(abs(value) or 1.0 for value in values)


def plane_bytes(kind: int, symbols: np.ndarray) -> bytes:
    """The input that is read as a plane of these symbols."""
    io = FieldStream()
    transfer_plane(io, kind, symbols, len(symbols))
    return bytes((kind, len(symbols))) + io.getvalue()


def numbers_bytes(symbols: np.ndarray, floats: list[float]) -> bytes:
    """The input of `read_numbers` with uniform quantisers for [n, components] symbols."""
    return bytes((1, symbols.shape[1] - 1)) + symbols.astype("<i4").tobytes() + struct.pack(f"<{len(floats)}f", *floats)
