# SPDX-License-Identifier: MIT
"""Planes of symbols (SPEC 5.11, 7.3, 7.4): fixed width, static table, hybrid tokens with raw bits.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tables, validate_data
from .bits import pack, packed_length, padding_is_zero, unpack
from .context_choice import context_coding
from .contexts import Columns, context_plane, written_size
from .estimate import best_centre, rough_bits
from .schema import SVAR, U8, UVAR, FieldStream
from .tokens import LARGEST_TOKEN, Symbols, detokenise, rans_decode, rans_encode, token_widths, tokenise

FIXED, STATIC, HYBRID, CONTEXTS = 0, 1, 2, 3
MAX_GAP_TOKENS = 192  # values below 2^48

CLOSE, SMALL = 1.1, 128  # a static table is tried if roughly as good as tokens, or of so few symbols

# Syntax


def _words(io: FieldStream, coded: dict[str, Any]) -> bytes:
    if not io.reading:
        coded["word_count"] = len(coded["words"]) // 4
    count = io.field(coded, "word_count", UVAR)
    return io.raw(coded, "words", 4 * count)


def _alphabet(io: FieldStream, coded: dict[str, Any], name: str, most: int, count: int) -> Symbols:
    """Transfer alphabet size, table and words; returns the symbols 0..size-1."""
    size = io.field(coded, name, UVAR)
    validate_data.symbol_count(io.place, name, size, most)
    if size == 1:
        return np.zeros(count, np.int64)
    classes = tables.table(io, coded.get("classes"), size)
    words = _words(io, coded)
    if io.reading:
        return rans_decode(words, count, classes, io.place)
    symbols: Symbols = coded["symbols"]
    return symbols


def _tokens_and_raw(io: FieldStream, coded: dict[str, Any], count: int, *, signed: bool) -> Symbols:
    lowest = io.field(coded, "lowest_token", SVAR) if signed else 0
    most = 2 * LARGEST_TOKEN + 1 if signed else MAX_GAP_TOKENS
    tokens = _alphabet(io, coded, "token_count", most, count) + lowest
    if signed:
        validate_data.tokens_fit(io.place, lowest, coded["token_count"])
    widths = token_widths(tokens)
    bits = int(widths.sum())
    raw = io.raw(coded, "raw_bits", packed_length(bits))
    if not io.reading:
        return tokens
    validate_data.padding(io.place, padding_is_zero(raw, bits))
    return detokenise(tokens, unpack(raw, widths))


def _fixed(io: FieldStream, coded: dict[str, Any], count: int) -> Symbols:
    width = io.field(coded, "bit_width", U8)
    validate_data.fixed_width(io.place, width)
    data = io.raw(coded, "packed", packed_length(count * width))
    if not io.reading:
        symbols: Symbols = coded["symbols"]
        return symbols
    validate_data.padding(io.place, padding_is_zero(data, count * width))
    return unpack(data, np.full(count, width, np.int64)).astype(np.int64)


def plane(io: FieldStream, name: str, symbols: Symbols | None, count: int, columns: Columns | None = None) -> Symbols:
    """Transfer one plane of [count] symbols in -2^31..2^31-1; nothing at all if count is 0.

    A plane of Gaussians may be coded given the `columns` before it, and becomes one of them.
    """
    if count == 0:
        return np.zeros(0, np.int64)
    columns = Columns() if columns is None else columns
    coded: dict[str, Any] = {}
    if symbols is not None:
        _check_count(name, symbols, count)
        validate_data.symbols_fit(io.place, int(symbols.min()), int(symbols.max()))
        coded = _choose(symbols, columns)
    with io.scope(name):
        found = _plane(io, coded, count, columns)
    columns.planes.append(found if symbols is None else symbols)
    return columns.planes[-1]


def _plane(io: FieldStream, coded: dict[str, Any], count: int, columns: Columns) -> Symbols:
    """The symbols when reading, anything when writing."""
    model = io.field(coded, "entropy_model", U8)
    validate_data.entropy_model(io.place, model)
    minimum = io.field(coded, "minimum", SVAR)
    if model == FIXED:
        values = _fixed(io, coded, count)
    elif model == STATIC:
        values = _alphabet(io, coded, "symbol_count", tables.MAX_SYMBOLS, count)
    elif model == HYBRID:
        values = _tokens_and_raw(io, coded, count, signed=True)
    else:
        values = context_plane(io, coded.get("coding"), columns.planes, count)
    if io.reading:
        validate_data.symbols_fit(io.place, int(values.min()) + minimum, int(values.max()) + minimum)
    symbols: Symbols = values + minimum
    return symbols


def _check_count(name: str, symbols: Symbols, count: int) -> None:
    if len(symbols) != count:
        raise ValueError(f"plane {name} has {len(symbols)} symbols, expected {count}")


def gap_plane(io: FieldStream, name: str, gaps: Symbols | None, count: int) -> Symbols:
    """Transfer the plane of Morton gaps, [count] values 0..2^48-1."""
    if count == 0:
        return np.zeros(0, np.int64)
    coded = {}
    if gaps is not None:
        _check_count(name, gaps, count)
        coded = _hybrid(gaps, 0)
    with io.scope(name):
        model = io.field(coded, "entropy_model", U8)
        validate_data.gap_entropy_model(io.place, model)
        return _tokens_and_raw(io, coded, count, signed=False)


# The encoder's choice


def _static(values: Symbols, counts: NDArray[np.int64]) -> dict[str, Any]:
    coded: dict[str, Any] = {"symbol_count": len(counts), "symbols": values}
    if len(counts) > 1:
        coded["classes"] = tables.choose_classes(counts)
        coded["words"] = rans_encode(values, coded["classes"])
    return coded


def _hybrid(values: Symbols, lowest: int | None = None) -> dict[str, Any]:
    """Signed tokens; the lowest is that of the values unless given."""
    tokens, raw, widths = tokenise(values)
    first = int(tokens.min()) if lowest is None else lowest
    coded = _static(tokens - first, np.bincount(tokens - first))
    coded |= {"entropy_model": HYBRID, "token_count": coded.pop("symbol_count"), "raw_bits": pack(raw, widths)}
    return coded | {"lowest_token": first}


def _size(coded: dict[str, Any]) -> int:
    """Bytes that differ between the models."""
    table = tables.table_bits(coded["classes"]) // 8 if "classes" in coded else 0
    return table + sum(len(coded.get(part, b"")) for part in ("words", "raw_bits", "packed"))


def _choose(symbols: Symbols, columns: Columns) -> dict[str, Any]:
    """The smallest of the models that fit, as the fields of plane()."""
    minimum = int(symbols.min())
    values = symbols - minimum
    highest = int(values.max())
    if highest == 0:
        return {"entropy_model": STATIC, "minimum": minimum, "symbol_count": 1, "symbols": values}
    width = highest.bit_length()
    found = [{"entropy_model": FIXED, "minimum": minimum, "bit_width": width, "symbols": values, "packed": b""}]
    about, centre = best_centre(symbols) if highest >= 16 else (math.inf, 0)
    if highest < tables.MAX_SYMBOLS:
        counts = np.bincount(values)
        if len(counts) <= SMALL or rough_bits(counts) < CLOSE * about:
            found.append({"entropy_model": STATIC, "minimum": minimum, **_static(values, counts)})
    if highest >= 16:
        found.append({"minimum": centre, **_hybrid(symbols - centre)})
    sizes = [packed_length(len(values) * width), *(_size(c) for c in found[1:])]
    coding = context_coding(symbols, columns)
    if coding is not None:
        found.append({"entropy_model": CONTEXTS, "minimum": 0, "coding": coding})
        sizes.append(written_size(coding))
    best = found[sizes.index(min(sizes))]
    if best["entropy_model"] == FIXED:
        best["packed"] = pack(values.astype(np.uint64), np.full(len(values), width, np.int64))
    return best


def plane_bits(symbols: Symbols, columns: Columns | None = None) -> int:
    """Bits that `plane` takes for these symbols after these `columns`, of which it becomes one; measured by writing."""
    io = FieldStream()
    plane(io, "plane", symbols, len(symbols), columns)
    return 8 * len(io.getvalue())
