# SPDX-License-Identifier: MIT
"""Descriptors (SPEC 5.1) and the field stream through which every syntax function runs in both directions.

A syntax function is written once, in the order of its SPEC table: `io.field(values, "width", UVAR)` writes
`values["width"]` or reads into it, and on the way keeps the trace for `describe` and the bits per component.
Imports the standard library and the validation rules only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import validate
from .accounting import COMPONENTS, GopBits
from .errors import Place

Values = dict[str, Any]


@dataclass(frozen=True)
class Descriptor:
    """How one number is laid out. `size` is 0 for the variable-length ones, which take at most `most` bytes."""

    name: str
    kind: str  # "uint", "float", "uvar" or "svar"
    size: int
    bits: int

    def write(self, value: float, at: Place) -> bytes:
        """Bytes of `value`; FormatError if it does not fit."""
        if self.kind == "float":
            validate.float_is_finite(at, value)
            return struct.pack("<f", value)
        number = int(value)
        if self.kind == "svar":
            number = 2 * number if number >= 0 else -2 * number - 1
        validate.integer_fits(at, number, self.bits)
        return number.to_bytes(self.size, "little") if self.size else _leb128(number)

    def read_short(self, data: memoryview, position: int) -> int | None:
        """The value where it is a single byte that no rule objects to, as most are; else None."""
        most = 256 if self.size == 1 else 0 if self.size else 128
        if position >= len(data) or data[position] >= most:
            return None
        byte = data[position]
        return (byte >> 1) ^ -(byte & 1) if self.kind == "svar" else byte

    def read(self, data: memoryview, position: int, at: Place) -> tuple[int | float, int]:
        """(value, next position) from `data`; FormatError if it is cut or breaks a rule."""
        if not self.size:
            number, position = _read_leb128(data, position, self.bits, at)
            return (number >> 1) ^ -(number & 1) if self.kind == "svar" else number, position
        end = position + self.size
        validate.bytes_are_there(at, self.size, len(data) - position)
        if self.kind == "float":
            (value,) = struct.unpack("<f", data[position:end])
            validate.float_is_finite(at, value)
            return value, end
        return int.from_bytes(data[position:end], "little"), end


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_leb128(data: memoryview, position: int, bits: int, at: Place) -> tuple[int, int]:
    number = shift = 0
    most = (bits + 6) // 7
    for length in range(1, most + 1):
        validate.bytes_are_there(at, length, len(data) - position)
        byte = data[position + length - 1]
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    validate.leb128_is_shortest(at, byte, length)
    validate.integer_fits(at, number, bits)
    return number, position + length


U8 = Descriptor("u8", "uint", 1, 8)
LE32 = Descriptor("le32", "uint", 4, 32)
LE64 = Descriptor("le64", "uint", 8, 64)
UVAR = Descriptor("uvar", "uvar", 0, 32)
SVAR = Descriptor("svar", "svar", 0, 32)
UVAR64 = Descriptor("uvar64", "uvar", 0, 64)
SVAR64 = Descriptor("svar64", "svar", 0, 64)
F32 = Descriptor("f32", "float", 4, 32)
DESCRIPTORS = {d.name: d for d in (U8, LE32, LE64, UVAR, SVAR, UVAR64, SVAR64, F32)}


@dataclass(frozen=True)
class Entry:
    """One field of the file as `gsv info --offsets` prints it."""

    offset: int
    length: int
    name: str
    descriptor: str
    value: int | float | bytes


class FieldStream:
    """Fields in file order, to or from bytes. Reads if `data` is given, writes otherwise."""

    def __init__(
        self,
        data: bytes | memoryview | None = None,
        *,
        offset: int = 0,
        chunk: str = "",
        trace: list[Entry] | None = None,
    ) -> None:
        self.reading = data is not None
        self._data = memoryview(data) if data is not None else memoryview(b"")
        self._out = bytearray()
        self._base, self._position, self._last = offset, 0, 0
        self._chunk, self._trace = chunk, trace
        self._scope: list[str] = []
        self._component = "headers"
        self._tally = dict.fromkeys(COMPONENTS, 0)

    @property
    def place(self) -> Place:
        """Where the last field starts: what a rule that does not hold is blamed on."""
        return Place(self._base + self._last, self._chunk)

    @property
    def _here(self) -> Place:
        return Place(self._base + self._position, self._chunk)

    @property
    def remaining(self) -> int:
        """Bytes that have not been read."""
        return len(self._data) - self._position

    @property
    def payload_length(self) -> int:
        """Bytes in the whole payload being read."""
        return len(self._data)

    @property
    def bits(self) -> GopBits:
        """Bits transferred so far, by component."""
        return GopBits(**self._tally)

    def getvalue(self) -> bytes:
        """What has been written."""
        return bytes(self._out)

    def rest(self) -> memoryview:
        """The unread bytes, without reading them."""
        return self._data[self._position :]

    def field(self, values: Values, name: str, descriptor: Descriptor) -> Any:
        """Transfer `values[name]`; returns it."""
        if self.reading:
            value: Any = descriptor.read_short(self._data, self._position)
            end = self._position + 1
            if value is None:
                value, end = descriptor.read(self._data, self._position, self._here)
            values[name] = value
            self._advance(end - self._position, name, descriptor.name, value)
        else:
            data = descriptor.write(values[name], self._here)
            self._out += data
            self._advance(len(data), name, descriptor.name, values[name])
        return values[name]

    def fields(self, values: Values, name: str, descriptor: Descriptor, count: int) -> list[Any]:
        """Transfer the `count` elements of the list `values[name]`; returns it."""
        if self.reading:
            validate.bytes_are_there(self._here, count * max(descriptor.size, 1), self.remaining)
        source = [None] * count if self.reading else list(values[name])
        items = []
        for index in range(count):
            label = f"{name}[{index}]"
            items.append(self.field({label: source[index]}, label, descriptor))
        values[name] = items
        return items

    def raw(self, values: Values, name: str, length: int) -> bytes:
        """Transfer `length` opaque bytes."""
        if self.reading:
            validate.bytes_are_there(self._here, length, self.remaining)
            values[name] = bytes(self._data[self._position : self._position + length])
        data: bytes = values[name]
        if not self.reading:
            self._out += data
        self._advance(length, name, "bytes", data)
        return data

    def _advance(self, length: int, name: str, descriptor: str, value: Any) -> None:
        if self._trace is not None:
            full = ".".join((*self._scope, name))
            self._trace.append(Entry(self._base + self._position, length, full, descriptor, value))
        self._last = self._position
        self._position += length
        self._tally[self._component] += 8 * length

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of the fields inside."""
        self._scope.append(name)
        yield
        self._scope.pop()

    @contextmanager
    def component(self, name: str) -> Iterator[None]:
        """Count the bits of the fields inside as `name`."""
        outer, self._component = self._component, name
        yield
        self._component = outer

    def finish(self) -> None:
        """Check that a read payload has been used up (rule C-6.3-5)."""
        if self.reading:
            validate.payload_is_used_up(self._here, self.remaining)
