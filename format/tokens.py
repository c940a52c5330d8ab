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


# rANS


def _coder_model(classes: tables.Classes) -> Any:
    # Weights freq - 1 sum to 2^24 - n, so the library's scale is exactly 1 and its table is exactly `freq`.
    freq = tables.frequencies(classes)
    return constriction.stream.model.Categorical((freq - 1).astype(np.float64), perfect=False)


def rans_encode(symbols: Symbols, classes: tables.Classes) -> bytes:
    """Little-endian 32-bit words of [n] symbols, coded so that the decoder meets symbol 0 first."""
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols.astype(np.int32), _coder_model(classes))
    words: NDArray[np.uint32] = coder.get_compressed()
    return words.astype("<u4").tobytes()


def rans_decode(words: bytes, count: int, classes: tables.Classes, at: Place) -> Symbols:
    """[count] int64 symbols; FormatError unless the coder ends empty."""
    array = np.frombuffer(words, "<u4").astype(np.uint32)
    if len(array):
        validate_data.last_word(at, int(array[-1]))
    coder = constriction.stream.stack.AnsCoder(array)
    symbols: NDArray[np.int32] = coder.decode(_coder_model(classes), count)
    validate_data.rans_ends_empty(at, coder.is_empty())
    return symbols.astype(np.int64)


# Hybrid tokens


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
