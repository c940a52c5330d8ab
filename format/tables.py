# SPDX-License-Identifier: MIT
"""Frequency tables from weight classes (SPEC 5.12, 7.2): integers only on the way from bytes to frequencies.

Choosing the classes for given counts is the encoder's business and may use floats. Imports numpy and the rules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import validate, validate_data
from .bits import BitReader, pack, padding_is_zero
from .errors import Place
from .schema import U8, FieldStream

PRECISION = 24
CLASS_COUNT = 64
MAX_SYMBOLS = 4096

# LUT[w] = floor(2^16 * 2^((w-1)/4)), the weight of class w; printed in SPEC 7.2.
# fmt: off
LUT = np.array([
    0, 65536, 77935, 92681, 110217, 131072, 155871, 185363,
    220435, 262144, 311743, 370727, 440871, 524288, 623487, 741455,
    881743, 1048576, 1246974, 1482910, 1763487, 2097152, 2493948, 2965820,
    3526975, 4194304, 4987896, 5931641, 7053950, 8388608, 9975792, 11863283,
    14107900, 16777216, 19951584, 23726566, 28215801, 33554432, 39903169, 47453132,
    56431603, 67108864, 79806338, 94906265, 112863206, 134217728, 159612677, 189812531,
    225726412, 268435456, 319225354, 379625062, 451452825, 536870912, 638450708, 759250124,
    902905650, 1073741824, 1276901416, 1518500249, 1805811301, 2147483648, 2553802833, 3037000499,
], dtype=np.int64)
# fmt: on

Classes = NDArray[np.int64]
Frequencies = NDArray[np.int64]


def frequencies(classes: Classes) -> Frequencies:
    """[n] int64 frequencies >= 1 that sum to 2^24, from [n] weight classes 0..63 that are not all 0."""
    weights = LUT[classes]
    spread = (1 << PRECISION) - len(classes)
    freq = 1 + weights * spread // int(weights.sum())
    freq[np.argmax(freq)] += (1 << PRECISION) - int(freq.sum())
    return freq


def table(io: FieldStream, classes: Classes | None, count: int) -> Classes:
    """Transfer the table of `count` weight classes: rice_k, then the Rice-coded differences (SPEC 5.12)."""
    coded: dict[str, Any] = {}
    if classes is not None:
        coded["rice_k"] = _best_rice_k(classes)
        coded["classes"] = _rice_pack(classes, coded["rice_k"])
    k = io.field(coded, "rice_k", U8)
    validate_data.rice_k(io.place, k)
    if classes is None:
        length, classes = _rice_unpack(bytes(io.rest()[: 17 * count]), count, k, io.place)
        io.raw(coded, "classes", length)
    else:
        io.raw(coded, "classes", len(coded["classes"]))
    validate_data.weights_are_not_all_zero(io.place, int(LUT[classes].sum()))
    return classes


def table_bits(classes: Classes) -> int:
    """Bits that `table` takes for these classes."""
    return 8 * (1 + (min(_rice_totals(classes)) + 7) // 8)


def _zigzag_differences(classes: Classes) -> NDArray[np.int64]:
    difference = np.diff(classes, prepend=0)
    return np.where(difference >= 0, 2 * difference, -2 * difference - 1)


def _rice_totals(classes: Classes) -> list[int]:
    """Bits of the Rice codes for rice_k 0..5."""
    value = _zigzag_differences(classes)
    return [int((value >> k).sum()) + (1 + k) * len(value) for k in range(6)]


def _best_rice_k(classes: Classes) -> int:
    totals = _rice_totals(classes)
    return totals.index(min(totals))


def _rice_pack(classes: Classes, k: int) -> bytes:
    value = _zigzag_differences(classes).astype(np.uint64)
    ones = value >> np.uint64(k)
    unary, low = np.uint64(1), value & np.uint64((1 << k) - 1)
    # The unary part can be longer than one packed value holds, so ones are laid out one bit each.
    runs = np.repeat(np.arange(len(value)), ones.astype(np.int64))
    order = np.concatenate([runs * 3, np.arange(len(value)) * 3 + 1, np.arange(len(value)) * 3 + 2])
    values = np.concatenate([np.full(len(runs), unary), np.zeros(len(value), np.uint64), low])
    widths = np.concatenate([np.ones(len(runs) + len(value), np.int64), np.full(len(value), k, np.int64)])
    place = np.argsort(order, kind="stable")
    return pack(values[place], widths[place])


def _rice_unpack(data: bytes, count: int, k: int, at: Place) -> tuple[int, Classes]:
    """(bytes used, classes); the bits are a few hundred at most, so a plain loop does."""
    bits = BitReader(data)
    classes = np.zeros(count, np.int64)
    current = 0
    for index in range(count):
        try:
            value = bits.unary(126 >> k) << k | bits.bits(k)
        except EOFError:
            validate.bytes_are_there(at, len(data) + 1, len(data))
        except ValueError:
            validate_data.weight_class(at, CLASS_COUNT)
        current += value >> 1 if value & 1 == 0 else -(value + 1 >> 1)
        validate_data.weight_class(at, current)
        classes[index] = current
    length = (bits.position + 7) // 8
    validate_data.padding(at, padding_is_zero(data[:length], bits.position))
    return length, classes


def choose_classes(counts: NDArray[np.int64], *, quick: bool = False) -> Classes:
    """Weight classes for [n] symbol counts, minimising the coded symbols plus the table itself.

    With weights of `unit` per occurrence, the cost of giving symbol k the weight W is, to first order in the sum of all
    weights S, -c_k log2 W + W / (unit ln 2) (as S = unit * sum of counts): separable, so the choice is a shortest path
    through the classes with the Rice lengths as step costs. Tried with the rarest symbol, and with one occurrence, at
    class 1; `quick`: the former only, with one rice_k.
    """
    if not counts.any():
        return np.ones(len(counts), np.int64)
    rarest = int(counts[counts > 0].min())
    scales = {rarest} if quick else {1, rarest}
    tried = [made for scale in sorted(scales) for made in _classes_for_unit(counts, float(LUT[1]) / scale, quick)]
    if len(tried) == 1:
        return tried[0]
    return min(tried, key=lambda classes: table_bits(classes) + symbol_bits(classes, counts))


def _classes_for_unit(counts: NDArray[np.int64], unit: float, quick: bool) -> list[Classes]:
    highest = int(counts.max())
    unit = min(unit, float(LUT[-1]) / highest)
    most = min(CLASS_COUNT - 1, 2 + math.ceil(4 * math.log2(max(unit * highest / float(LUT[1]), 1))))
    weights = LUT[: most + 1].astype(np.float64)
    # log2 LUT[w], without a logarithm whose last bit may depend on the machine; class 0 gets the frequency 1.
    log_weight = 16 + (np.arange(most + 1) - 1) / 4
    log_weight[0] = math.log2(unit * float(counts.sum()) / (1 << PRECISION))
    cost = weights / (unit * math.log(2)) - counts[:, None] * log_weight
    nearest: Classes = np.argmin(cost, axis=1).astype(np.int64)
    if len(counts) > _PATH_LIMIT:
        return [nearest]
    k = _best_rice_k(nearest)
    return [_path(cost, tried) for tried in ({k} if quick else {k, max(k - 1, 0)})]


_PATH_LIMIT = 1024


def symbol_bits(classes: Classes, counts: NDArray[np.int64]) -> float:
    """Bits of symbols with these [n] counts under the table of `classes`, by the ideal code length."""
    return float(counts @ (PRECISION - np.log2(frequencies(classes))))


def _path(cost: NDArray[np.float64], k: int) -> Classes:
    """Classes that minimise cost[i, w_i] + Rice length of w_i - w_(i-1)."""
    count, size = cost.shape
    step = np.arange(size)[None, :] - np.arange(size)[:, None]  # [to, from] holds from - to; zigzag is of to - from
    step = np.where(step <= 0, -2 * step, 2 * step - 1)
    length = ((step >> k) + 1 + k).astype(np.float64)
    best = length[:, 0] + cost[0]
    came_from = np.zeros((count, size), np.int64)
    rows = np.arange(size)
    for index in range(1, count):
        through = length + best
        came_from[index] = through.argmin(axis=1)
        best = through[rows, came_from[index]] + cost[index]
    classes = np.zeros(count, np.int64)
    classes[-1] = best.argmin()
    for index in range(count - 1, 0, -1):
        classes[index - 1] = came_from[index, classes[index]]
    return classes
