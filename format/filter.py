# SPDX-License-Identifier: MIT
"""filter_data() of SPEC 5.23, in both directions. Imports numpy and the format's own modules."""

from __future__ import annotations

from . import entropy, validate_filter
from .records import DETAIL_COMPONENTS, FILTER_TAPS, FilterData
from .schema import FieldStream


def filter_data(io: FieldStream, data: FilterData | None) -> FilterData:
    """Transfer the weights of a GoP's filter."""
    count = DETAIL_COMPONENTS * FILTER_TAPS
    found = entropy.plane(io, "filter_weight", None if data is None else data.symbols.reshape(-1), count)
    validate_filter.filter_weight(io.place, int(found.min()), int(found.max()))
    return data or FilterData(found.reshape(DETAIL_COMPONENTS, FILTER_TAPS))


def filter_bytes(data: FilterData) -> int:
    """Bytes that a filter takes in its GoP; measured by writing."""
    io = FieldStream()
    filter_data(io, data)
    return len(io.getvalue())
