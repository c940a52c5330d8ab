# SPDX-License-Identifier: MIT
"""Planes, tables, tokens, packing: round trips, golden bytes, and agreement with the plain coder of SPEC section 7."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gscodec.format import bits, entropy, morton, tables, tokens
from gscodec.format.contexts import Columns
from gscodec.format.errors import FormatError, Place
from gscodec.format.schema import FieldStream
from tests.conformance.numbers import Numbers
from tests.format import plain, strategies

SYMBOLS = st.integers(1, 200).flatmap(lambda n: strategies.arrays((n,)))
CLASSES = st.lists(st.integers(0, 63), min_size=2, max_size=80).filter(any)


def written(symbols: np.ndarray) -> bytes:
    io = FieldStream()
    entropy.plane(io, "plane", symbols, len(symbols))
    return io.getvalue()


def read(data: bytes, count: int) -> np.ndarray:
    io = FieldStream(data)
    symbols = entropy.plane(io, "plane", None, count)
    io.finish()
    return symbols


@given(SYMBOLS)
@example(np.array([strategies.LOWEST, strategies.HIGHEST]))
@example(np.array([7]))
def test_planes(symbols: np.ndarray) -> None:
    data = written(symbols)
    assert np.array_equal(read(data, len(symbols)), symbols)
    assert entropy.plane_bits(symbols) == 8 * len(data)


def test_empty_plane_takes_nothing() -> None:
    assert written(np.zeros(0, np.int64)) == b""
    assert len(read(b"", 0)) == 0


@given(SYMBOLS)
def test_every_model_gives_the_symbols(symbols: np.ndarray) -> None:
    minimum = int(symbols.min())
    values = symbols - minimum
    highest = int(values.max())
    models = [entropy._hybrid(values)]
    if 0 < highest < tables.MAX_SYMBOLS:
        models.append({"entropy_model": entropy.STATIC, **entropy._static(values, np.bincount(values))})
    for coded in models:
        io, source = FieldStream(), {"minimum": minimum, **coded}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(entropy, "_choose", lambda _, __, source=source: source)
            entropy.plane(io, "plane", symbols, len(symbols))
        assert np.array_equal(read(io.getvalue(), len(symbols)), symbols)


def after(columns: list[np.ndarray], symbols: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A plane written after columns, and what is read back."""
    io = FieldStream()
    entropy.plane(io, "plane", symbols, len(symbols), Columns(list(columns)))
    back = FieldStream(io.getvalue())
    found = entropy.plane(back, "plane", None, len(symbols), Columns(list(columns)))
    back.finish()
    return io.getvalue(), found


@given(st.lists(strategies.arrays((200,)), min_size=1, max_size=3), st.integers(0, 40), st.booleans())
def test_planes_after_columns(columns: list[np.ndarray], spread: int, large: bool) -> None:
    """Whatever the columns hold, up to the ends of the range; the plane follows one of them or none."""
    noise = Numbers(spread).peaked(spread, 200)
    symbols = np.clip(columns[0] + noise, strategies.LOWEST, strategies.HIGHEST) if large else noise * (columns[0] > 0)
    data, found = after(columns, symbols)
    assert np.array_equal(found, symbols)
    assert len(data) <= len(written(symbols))


def test_a_column_that_tells_the_spread_makes_a_plane_smaller() -> None:
    n = Numbers(7)
    size, other, noise = n.below(8, 3000), n.peaked(99, 3000), n.peaked(5, 3000)
    symbols = noise * (1 << size)
    data, found = after([other, size], symbols)
    assert data[0] == entropy.CONTEXTS
    assert len(data) < 0.92 * len(written(symbols))
    assert np.array_equal(found, symbols)
    assert after([other], symbols)[0][0] != entropy.CONTEXTS
    far, _ = after([other, size], n.peaked(2, 3000) + np.where(np.abs(other) > 60, n.peaked(80, 3000), 0))
    assert far[0] == entropy.CONTEXTS
    assert far[3] & 1  # the distance from the middle, not the symbol


@pytest.mark.parametrize(
    ("symbols", "model"),
    [
        (np.arange(256) % 256, entropy.FIXED),
        (np.full(9, -5), entropy.STATIC),
        (np.r_[np.zeros(500, int), np.arange(20)], entropy.STATIC),
        (np.r_[np.zeros(500, int), 1 << 30], entropy.HYBRID),
        (np.r_[np.zeros(500, int), -(1 << 31), (1 << 31) - 1], entropy.HYBRID),
    ],
)
def test_the_smallest_model_is_taken(symbols: np.ndarray, model: int) -> None:
    assert written(symbols)[0] == model


def test_tokens_count_from_the_middle() -> None:
    """A peak and two long tails: with a table of all symbols, or tokens from the smallest one, each takes 13.3 bits."""
    near, wide = Numbers(5).peaked(9, 2000), Numbers(6).peaked(9, 2000)
    symbols = np.sign(near) * np.abs(near) ** 3 + wide * np.abs(near)
    assert entropy.plane_bits(symbols + 7000) < 12.2 * len(symbols)


@given(st.lists(st.one_of(st.integers(0, 40), st.integers(0, (1 << 47) - 1)), min_size=1, max_size=100))
def test_gap_planes(gaps: list[int]) -> None:
    io = FieldStream()
    entropy.gap_plane(io, "gap", np.array(gaps), len(gaps))
    back = FieldStream(io.getvalue())
    assert entropy.gap_plane(back, "gap", None, len(gaps)).tolist() == gaps
    back.finish()


@given(st.lists(st.integers(1 - (1 << 48), (1 << 48) - 1), min_size=1))
def test_tokens(values: list[int]) -> None:
    found, raw, widths = tokens.tokenise(np.array(values))
    assert np.abs(found).max() < entropy.MAX_GAP_TOKENS
    assert tokens.detokenise(found, raw).tolist() == values
    assert [plain.token_value(int(t), int(r)) for t, r in zip(found, raw, strict=True)] == values
    assert [plain.raw_width(int(t)) for t in found] == widths.tolist() == tokens.token_widths(found).tolist()


@given(CLASSES)
def test_tables(classes: list[int]) -> None:
    io = FieldStream()
    tables.table(io, np.array(classes), len(classes))
    data = io.getvalue()
    assert tables.table_bits(np.array(classes)) == 8 * len(data)
    back = FieldStream(data)
    assert tables.table(back, None, len(classes)).tolist() == classes
    back.finish()
    assert plain.rice_classes(plain.Bits(data[1:]), len(classes), data[0]) == classes


@given(CLASSES)
def test_frequencies(classes: list[int]) -> None:
    freq = tables.frequencies(np.array(classes))
    assert freq.sum() == 1 << 24
    assert freq.min() >= 1
    assert freq.tolist() == plain.frequencies(classes)


@given(CLASSES, st.data())
def test_rans_is_the_plain_one(classes: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, len(classes) - 1), max_size=60))
    freq = plain.frequencies(classes)
    words = tokens.rans_encode(np.array(values, np.int64), np.array(classes))
    assert list(struct.unpack(f"<{len(words) // 4}I", words)) == plain.rans_encode(values, freq)
    assert plain.rans_decode(plain.rans_encode(values, freq), len(values), freq) == (values, True)
    assert tokens.rans_decode(words, len(values), np.array(classes), Place()).tolist() == values


@given(CLASSES, st.lists(st.integers(0, (1 << 32) - 1), max_size=12), st.integers(1, 40))
def test_rans_of_noise_is_the_plain_one(classes: list[int], words: list[int], count: int) -> None:
    if words and words[-1] == 0:
        words[-1] = 1
    values, empty = plain.rans_decode(words, count, plain.frequencies(classes))
    data = struct.pack(f"<{len(words)}I", *words)
    if empty:
        assert tokens.rans_decode(data, count, np.array(classes), Place()).tolist() == values
    else:
        with pytest.raises(FormatError) as caught:
            tokens.rans_decode(data, count, np.array(classes), Place())
        assert caught.value.code == "C-6.11-7"


def test_golden_bytes() -> None:
    """Pinned: what a given table and given symbols become."""
    classes = np.array([0, 5, 13, 21, 13, 6, 1])
    freq = tables.frequencies(classes)
    assert freq.tolist() == [1, 628615, 2514457, 10057829, 2514457, 747549, 314308]
    symbols = np.array([3, 3, 2, 4, 3, 1, 5, 3, 3, 6, 0, 3, 4, 2, 3, 3])
    assert tokens.rans_encode(symbols, classes).hex() == GOLDEN_WORDS
    io = FieldStream()
    tables.table(io, classes, len(classes))
    assert io.getvalue().hex() == GOLDEN_TABLE
    assert np.array_equal(read(bytes.fromhex(GOLDEN_PLANE), 320), np.repeat(symbols, 20) * 1000 - 5)


GOLDEN_WORDS = "aca88ebb9cb6c665011b0000"
GOLDEN_TABLE = "039086a1d702"
GOLDEN_PLANE = (
    "0209003202fffc1700000000000000000000000000e09fff02fee7f7fffcdf3f2d1845e11de33416261c5237ca0b57fcdaecc9"
    "093e1103f50b28adc301d011c800942f83f1607dcdf7bb646ba0ea361bebf6f54fef113f41e6fec4aa15809288118727ec4d"
    "87b508d5facc53d53ab27922ab55142b15c9e2972723d46ce390ef0500b871e3c68d1b376edcb871e3c68d1b376edcb871e3"
    "c68d1b376edcb871e3c68d1b376edcb871e3c68d1b376edcd0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0a04183060d1a"
    "3468d0a04183060d1a3468d0a04183068d1b376edcb871e3c68d1b376edcb871e3c68d1b376edc68341a8d46a3d168341a8d"
    "46a3d168341a8d38e288238e38e288238e38e288238e38e288238e38e288238e1b376edcb871e3c68d1b376edcb871e3c68d"
    "1b376edcb871e3c68d1b376edcb871e3c68d1b376edcb871e3c60d37dc70c30d37dc70c30d37dc70c30d37dc70c30d37dc70"
    "c38d1b376edcb871e3c68d1b376edcb871e3c68d1b376edca04183060d1a3468d0a04183060d1a3468d0a04183060d0d0d0d"
    "0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d8d1b376edcb871e3c68d1b376edcb871e3c68d1b376edcb871e3c68d1b376edcb871"
    "e3c68d1b376edcb871e3c60d"
)


@given(st.lists(st.tuples(st.integers(0, (1 << 56) - 1), st.integers(0, 56)), max_size=50))
def test_packing(items: list[tuple[int, int]]) -> None:
    values = [value & ((1 << width) - 1) for value, width in items]
    widths = np.array([width for _, width in items], np.int64)
    data = bits.pack(np.array(values, np.uint64), widths)
    assert len(data) == bits.packed_length(int(widths.sum()))
    assert bits.unpack(data, widths).tolist() == values
    taker = plain.Bits(data)
    assert [taker.take(width) for _, width in items] == values


@given(st.lists(st.tuples(st.integers(0, (1 << 24) - 1), st.integers(0, (1 << 24) - 1)), min_size=1))
def test_morton(points: list[tuple[int, int]]) -> None:
    grid = np.array(points)
    codes = morton.morton_encode(grid)
    for (x, y), code in zip(points, codes.tolist(), strict=True):
        assert code == sum((x >> b & 1) << 2 * b | (y >> b & 1) << 2 * b + 1 for b in range(24))
    assert np.array_equal(morton.morton_decode(codes), grid)
    assert np.all(np.diff(codes[morton.morton_order(grid)]) >= 0)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5000), min_size=2, max_size=60).filter(any))
def test_chosen_classes_cost_little_more_than_the_entropy(counts: list[int]) -> None:
    array = np.array(counts)
    classes = tables.choose_classes(array)
    total = array.sum()
    seen = array[array > 0]
    ideal = float((seen * np.log2(total / seen)).sum())
    assert tables.symbol_bits(classes, array) + tables.table_bits(classes) <= 1.01 * ideal + 24 + 9 * len(counts)


def test_many_symbols_are_fast() -> None:
    """Not a benchmark: a plane of 20 000 symbols must not fall back to a Python loop (which takes seconds)."""
    symbols = np.arange(20_000) ** 2 % 65_537
    assert np.array_equal(read(written(symbols), len(symbols)), symbols)
