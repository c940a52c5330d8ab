# SPDX-License-Identifier: MIT
"""Bit packing, least significant bit first (SPEC 3.3), vectorised. Running out of data is an error, never zeros.

Imports numpy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]


def pack(values: UInt64, widths: NDArray[np.int64]) -> bytes:
    """Concatenate the low `widths[i]` bits of `values[i]` ([n] uint64, 0..56 bits each), zero-padded to a byte."""
    total = int(widths.sum())
    if total == 0:
        return b""
    ends = np.cumsum(widths)
    position = np.arange(total, dtype=np.int64) - np.repeat(ends - widths, widths)
    bits = (np.repeat(values, widths) >> position.astype(np.uint64)) & np.uint64(1)
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


def unpack(data: bytes, widths: NDArray[np.int64]) -> UInt64:
    """Inverse of `pack`: [n] uint64. `data` holds exactly ceil(sum(widths) / 8) bytes (the caller has checked)."""
    padded = np.frombuffer(data + bytes(8), dtype=np.uint8)
    window: UInt64 = np.ndarray((len(data) + 1,), dtype="<u8", buffer=padded.tobytes(), strides=(1,))
    ends = np.cumsum(widths)
    start = ends - widths
    mask = (np.uint64(1) << widths.astype(np.uint64)) - np.uint64(1)
    values: UInt64 = (window[start >> 3] >> (start & 7).astype(np.uint64)) & mask
    return values


def packed_length(bit_count: int) -> int:
    """Bytes that `bit_count` bits take."""
    return (bit_count + 7) // 8


def padding_is_zero(data: bytes, bit_count: int) -> bool:
    """True if the unused high bits of the last byte are zero."""
    return bit_count % 8 == 0 or data[-1] >> (bit_count % 8) == 0


class BitReader:
    """Single bits and Rice codes out of `data`, for the short tables; raises EOFError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def _window(self, count: int) -> int:
        first = self.position >> 3
        last = (self.position + count + 7) >> 3
        return int.from_bytes(self._data[first:last], "little") >> (self.position & 7)

    def bits(self, count: int) -> int:
        """The next `count` bits as an unsigned integer, first bit least significant."""
        if self.position + count > 8 * len(self._data):
            raise EOFError
        value = self._window(count) & ((1 << count) - 1)
        self.position += count
        return value

    def unary(self, most: int) -> int:
        """Count ones up to a zero; raises ValueError for more than `most` ones."""
        window = self._window(most + 1)
        ones = (~window & (window + 1)).bit_length() - 1
        if ones > most:
            raise ValueError(f"more than {most} ones in a row")
        self.bits(ones + 1)
        return ones
