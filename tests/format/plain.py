# SPDX-License-Identifier: MIT
"""Entropy coding written out plainly from SPEC 6.12 and 7.2 to 7.4: no numpy, no library. The tests' second opinion."""

from __future__ import annotations

from math import isqrt

MASK = (1 << 24) - 1
LUT = [0] + [isqrt(isqrt(2**64 << (w - 1))) for w in range(1, 64)]


def frequencies(classes: list[int]) -> list[int]:
    """7.2."""
    n, total = len(classes), sum(LUT[w] for w in classes)
    freq = [1 + LUT[w] * ((1 << 24) - n) // total for w in classes]
    freq[freq.index(max(freq))] += (1 << 24) - sum(freq)
    return freq


def _cumulative(freq: list[int]) -> list[int]:
    cum = [0]
    for f in freq:
        cum.append(cum[-1] + f)
    return cum


def rans_decode(words: list[int], count: int, freq: list[int]) -> tuple[list[int], bool]:
    """7.3: (values, whether the coder ended empty)."""
    cum, state, position, values = _cumulative(freq), 0, len(words), []
    for _ in range(2):
        if position > 0:
            position -= 1
            state = state << 32 | words[position]
    for _ in range(count):
        q = state & MASK
        k = next(k for k in range(len(freq)) if cum[k] <= q < cum[k + 1])
        state = freq[k] * (state >> 24) + q - cum[k]
        if state < 1 << 32 and position > 0:
            position -= 1
            state = state << 32 | words[position]
        values.append(k)
    return values, state == 0 and position == 0


def rans_encode(values: list[int], freq: list[int]) -> list[int]:
    """7.3, the encoder."""
    cum, state, words = _cumulative(freq), 0, []
    for k in reversed(values):
        if state >> 40 >= freq[k]:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // freq[k] << 24) + state % freq[k] + cum[k]
    words += [state & 0xFFFFFFFF, state >> 32]
    while words and words[-1] == 0:
        words.pop()
    return words


class Bits:
    """3.3."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, count: int) -> int:
        """The next `count` bits."""
        value = 0
        for bit in range(count):
            byte = self.data[self.position >> 3]
            value |= (byte >> (self.position & 7) & 1) << bit
            self.position += 1
        return value

    @property
    def bytes_used(self) -> int:
        """Whole bytes."""
        return (self.position + 7) // 8


def rice_classes(bits: Bits, count: int, k: int) -> list[int]:
    """6.12."""
    classes, w = [], 0
    for _ in range(count):
        z = 0
        while bits.take(1):
            z += 1 << k
        z += bits.take(k)
        w += z // 2 if z % 2 == 0 else -(z + 1) // 2
        classes.append(w)
    return classes


def raw_width(token: int) -> int:
    """7.4: raw bits after a token."""
    return 0 if abs(token) < 16 else (abs(token) - 16) // 4 + 2


def token_value(token: int, raw: int) -> int:
    """7.4."""
    if token < 0:
        return -token_value(-token, raw)
    return token if token < 16 else ((4 + (token - 16) % 4) << raw_width(token)) + raw
