# SPDX-License-Identifier: MIT
"""detail_data() of SPEC 5.21, in both directions: the blocks of a GoP's detail picture.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import entropy, validate_data, validate_detail
from .contexts import Columns
from .records import DETAIL_COMPONENTS, DetailData, Int64, SequenceHeader
from .schema import F32, U8, FieldStream, Values
from .validate_detail import BLOCK_NUMBERS

BLOCK = 8  # pixels
NEAR = 5  # coefficients before one that its context may look at


def block_grid(header: SequenceHeader) -> tuple[int, int]:
    """(rows, columns) of the blocks that cover a frame."""
    return -(-header.height // BLOCK), -(-header.width // BLOCK)


def detail_data(
    io: FieldStream,
    header: SequenceHeader,
    moving: bool,
    detail: DetailData | None,
    before: DetailData | None,
    predicted: bool,
) -> DetailData:
    """Transfer the detail of a GoP, which is `moving` or stays where it is.

    before: that of its reference, None if there is none. predicted: the GoP has one.
    """
    rows, columns = block_grid(header)
    count = rows * columns
    v: Values = {}
    if detail is not None:
        v = {"detail_reference": int(detail.kept is not None), "detail_step": detail.steps}
    reference = io.field(v, "detail_reference", U8) if predicted else 0
    validate_detail.detail_reference(io.place, reference, before is not None)
    old = before if reference else None
    kept: Int64 | None = None
    planes = Columns()
    if old is not None:
        steps = old.steps
        if detail is not None and detail.steps != steps:
            raise ValueError(
                f"steps of detail are {detail.steps}, the GoP before has {steps}, and what goes on keeps them"
            )
        kept = entropy.plane(io, "kept", detail and _of_blocks(detail.kept), count, planes)
        validate_detail.kept(io.place, int(kept.min()), int(kept.max()))
        symbols = old.symbols.reshape(DETAIL_COMPONENTS, count, BLOCK_NUMBERS) * kept[:, None]
    else:
        steps = tuple(io.fields(v, "detail_step", F32, 2))
        for step in steps:
            validate_detail.detail_step(io.place, step)
        symbols = np.zeros((DETAIL_COMPONENTS, count, BLOCK_NUMBERS), np.int64)
    for component in range(DETAIL_COMPONENTS):
        source = None
        if detail is not None:
            source = detail.symbols[component].reshape(count, BLOCK_NUMBERS) - symbols[component]
        with io.scope(f"component[{component}]"):
            symbols[component] += _component(io, source, count, planes)
    validate_data.symbols_fit(io.place, int(symbols.min()), int(symbols.max()))
    shape = DETAIL_COMPONENTS, rows, columns, BLOCK_NUMBERS
    flags = None if kept is None else kept.reshape(rows, columns)
    return detail or DetailData(steps, symbols.reshape(shape).astype(np.int32), flags, moving)


def _of_blocks(kept: Int64 | None) -> Int64 | None:
    return None if kept is None else kept.reshape(-1)


def _component(io: FieldStream, source: Int64 | None, count: int, planes: Columns) -> Int64:
    """Transfer the differences [count, 64] of one component, in zigzag order up to the last that is not 0."""
    ends = None if source is None else _ends(source)
    ends = entropy.plane(io, "coded_count", ends, count, planes)
    validate_detail.coded_count(io.place, int(ends.min()), int(ends.max()))
    found = np.zeros((BLOCK_NUMBERS, count), np.int64) if source is None else np.ascontiguousarray(source.T)
    for number in range(int(ends.max())):
        chosen = np.flatnonzero(ends > number)
        near = Columns([plane[chosen] for plane in (ends, *found[max(0, number - NEAR) : number])])
        values = None if source is None else found[number, chosen]
        found[number, chosen] = entropy.plane(io, f"coefficient[{number}]", values, len(chosen), near)
    return found.T


def _ends(source: Int64) -> NDArray[np.int64]:
    """[count] numbers of coefficients up to the last that is not 0."""
    there = source != 0
    return np.where(there.any(1), BLOCK_NUMBERS - there[:, ::-1].argmax(1), 0)
