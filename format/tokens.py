# SPDX-License-Identifier: MIT
"""rANS of values under given tables, and tokens with raw bits (SPEC 7.3, 7.4).

Imports numpy, constriction (rANS) and the format's own modules.
"""

from __future__ import annotations

from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from . import tables, validate_data
from .errors import Place

Symbols = NDArray[np.int64]
LARGEST_TOKEN = 127  # of a plane: magnitudes below 2^32


# rANS


def coder_of(classes: tables.Classes) -> Any:
    """The library's model of a table."""
    # Weights freq - 1 sum to 2^24 - n, so the library's scale is exactly 1 and its table is exactly `freq`.
    freq = tables.frequencies(classes)
    return constriction.stream.model.Categorical((freq - 1).astype(np.float64), perfect=False)


def rans_encode(symbols: Symbols, classes: tables.Classes) -> bytes:
    """Little-endian 32-bit words of [n] symbols, coded so that the decoder meets symbol 0 first."""
    return encode_classes([symbols], [coder_of(classes)])


def rans_decode(words: bytes, count: int, classes: tables.Classes, at: Place) -> Symbols:
    """[count] int64 symbols; FormatError unless the coder ends empty."""
    return decode_classes(words, [count], [coder_of(classes)], at)[0]


def encode_classes(lists: list[Symbols], models: list[Any]) -> bytes:
    """Words of several lists of values, each under its model (None: only zeros), so that list 0 is decoded first."""
    coder = constriction.stream.stack.AnsCoder()
    for values, model in zip(reversed(lists), reversed(models), strict=True):
        if model is not None:
            coder.encode_reverse(values.astype(np.int32), model)
    words: NDArray[np.uint32] = coder.get_compressed()
    return words.astype("<u4").tobytes()


def decode_classes(words: bytes, counts: list[int], models: list[Any], at: Place) -> list[Symbols]:
    """Inverse of `encode_classes` for lists of these lengths; FormatError unless the coder ends empty."""
    array = np.frombuffer(words, "<u4").astype(np.uint32)
    if len(array):
        validate_data.last_word(at, int(array[-1]))
    coder = constriction.stream.stack.AnsCoder(array)
    lists = [
        np.zeros(count, np.int64) if model is None else coder.decode(model, count).astype(np.int64)
        for count, model in zip(counts, models, strict=True)
    ]
    validate_data.rans_ends_empty(at, coder.is_empty())
    return lists


# Tokens


def tokenise(values: Symbols) -> tuple[Symbols, NDArray[np.uint64], NDArray[np.int64]]:
    """(tokens, raw bits, raw widths) of [n] values between -2^48 and 2^48 (SPEC 7.4)."""
    size = np.abs(values)
    log2 = np.frexp(size.astype(np.float64))[1].astype(np.int64) - 1  # exact below 2^53
    large = log2 >= 4
    shift = np.where(large, log2 - 2, 0)
    tokens = np.where(large, (log2 << 2) + ((size >> shift) & 3), size)
    raw = (size & ((1 << shift) - 1)).astype(np.uint64)
    return np.where(values < 0, -tokens, tokens), raw, shift


def token_widths(tokens: Symbols) -> NDArray[np.int64]:
    """Raw bits that follow each token."""
    size = np.abs(tokens)
    return np.where(size < 16, 0, (size - 16) // 4 + 2)


def detokenise(tokens: Symbols, raw: NDArray[np.uint64]) -> Symbols:
    """[n] int64 values from tokens and raw bits."""
    size = np.abs(tokens)
    large = ((4 + (size - 16) % 4) << token_widths(tokens)) | raw.astype(np.int64)
    values = np.where(size < 16, size, large)
    return np.where(tokens < 0, -values, values)
