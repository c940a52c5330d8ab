# SPDX-License-Identifier: MIT
"""Mutations of any bytes, and of fields whose place and descriptor are known."""

from __future__ import annotations

import random
import struct

from gscodec.format.schema import DESCRIPTORS

SMALL = (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 65535, 65536)
LARGE = tuple((1 << bits) + more for bits in (20, 24, 31, 32, 48, 63, 64) for more in (-2, -1, 0, 1))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-38, 3.4e38, -3.4e38, 1e20, float("inf"), float("nan"), 2.0**-14, 16384.0)
Field = tuple[int, int, str]  # offset, length, descriptor


class ByteMutator:
    """Makes inputs from a corpus of good ones, smallest first, of which it knows the fields; or from any bytes."""

    draws = 2  # of a good input, of which the smallest is taken

    def __init__(self, corpus: list[bytes], fields: list[list[Field]], seed: int) -> None:
        self.corpus, self.random = corpus, random.Random(seed)
        self._fields = fields

    def make(self) -> bytes:
        """A new input: a good one with one to four fields changed, or any of its bytes."""
        number = self._pick()
        data = self.corpus[number]
        if not self._fields[number] or self.random.random() < 0.1:
            return self.mutate(data)
        for offset, length, descriptor in self._some_fields(number):
            data = data[:offset] + self._field(descriptor, data[offset : offset + length]) + data[offset + length :]
        return data

    def mutate(self, data: bytes) -> bytes:
        """Any bytes, changed."""
        return self.span(data)

    def _pick(self) -> int:
        """The number of a good input, of a small one more often."""
        return min(self.random.randrange(len(self.corpus)) for _ in range(self.draws))

    def _some_fields(self, number: int) -> list[Field]:
        """One to four fields of a good input, the last one first."""
        known = self._fields[number]
        count = min(len(known), 4, self.random.randint(1, 4))
        return sorted(self.random.sample(known, k=count), reverse=True)

    def _field(self, descriptor: str, old: bytes) -> bytes:
        r = self.random
        if r.random() < 0.3:
            return self.span(old)
        if descriptor == "f32":
            value = r.choice(FLOATS) if r.random() < 0.7 else r.uniform(-4, 4)
            return struct.pack("<f", value)
        if descriptor in ("u8", "le16", "le32", "le64"):
            size = len(old)
            return (self._number() & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        if descriptor in DESCRIPTORS:
            return _leb128(self._number())
        return self.span(old)

    def _number(self) -> int:
        r = self.random
        return r.choice(SMALL) if r.random() < 0.8 else r.choice(LARGE)

    def span(self, old: bytes) -> bytes:
        """Bytes flipped, set, cut, repeated, put in, or taken from another file."""
        r, data = self.random, bytearray(old)
        for _ in range(r.choice((1, 1, 1, 2, 4))):
            at = r.randrange(len(data) + 1)
            length = min(r.choice((1, 1, 2, 4, 8, 32)), len(data) - at)
            match r.randrange(7):
                case 0 | 1 if length:
                    data[at] ^= 1 << r.randrange(8)
                case 2:
                    data[at : at + length] = r.randbytes(length)
                case 3:
                    data[at : at + length] = b""
                case 4:
                    data[at:at] = data[at : at + length] * r.choice((1, 2, 16))
                case 5:
                    data[at : at + length] = bytes((r.choice((0, 1, 0x7F, 0x80, 0xFF)),)) * length
                case _:
                    other = r.choice(self.corpus)
                    start = r.randrange(len(other))
                    data[at : at + length] = other[start : start + r.choice((1, 4, 16, 64))]
        return bytes(data)


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))
