# SPDX-License-Identifier: MIT
"""coded() of SPEC 5.8, in both directions: a quantiser and its planes. Imports numpy and the format's own modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import entropy, validate_data
from .carry import difference
from .contexts import GopColumns
from .records import QUANTISER_RVQ, QUANTISER_UNIFORM, Coded, RvqQuantiser, UniformQuantiser
from .schema import F32, U8, FieldStream, Values


def coded_planes(
    io: FieldStream,
    name: str,
    coded: Coded | None,
    components: int,
    count: int,
    columns: GopColumns,
    expected: Coded | None = None,
) -> Coded:
    """Transfer quantiser and planes of `components` numbers per Gaussian (SPEC 5.8).

    `columns`: the planes before these. `expected`: the inherited quantiser and the predicted symbols
    of the carried Gaussians, in a predicted GoP.
    """
    if expected is not None:
        return _differences(io, name, coded, expected, count, columns)
    v: Values = {}
    if coded is not None:
        v["quantiser_type"] = QUANTISER_RVQ if isinstance(coded.quantiser, RvqQuantiser) else QUANTISER_UNIFORM
    with io.scope(name):
        io.field(v, "quantiser_type", U8)
        validate_data.quantiser_type(io.place, v["quantiser_type"])
        quantiser: UniformQuantiser | RvqQuantiser
        if v["quantiser_type"] == QUANTISER_UNIFORM:
            quantiser = _uniform(io, coded and coded.quantiser, components)
            label, width = "component", components
        else:
            quantiser = _rvq(io, coded and coded.quantiser, components)
            label, width = "index", len(quantiser.codebook_steps)
        planes = []
        for column in range(width):
            source = None if coded is None else coded.symbols[:, column]
            planes.append(entropy.plane(io, f"{label}[{column}]", source, count, columns.new))
            if isinstance(quantiser, RvqQuantiser) and count:
                low, high = int(planes[-1].min()), int(planes[-1].max())
                validate_data.codeword_index(io.place, low, high, len(quantiser.codebooks[0]))
    return coded or Coded(quantiser, np.stack(planes, axis=1))


def _differences(
    io: FieldStream, name: str, coded: Coded | None, expected: Coded, count: int, columns: GopColumns
) -> Coded:
    if coded is not None and coded.quantiser != expected.quantiser:
        raise ValueError(f"{name}: a predicted GoP keeps the quantisers of the GoP before")
    carried, found = len(expected.symbols), []
    with io.scope(name):
        for i, base in enumerate(expected.symbols.T):
            source = None if coded is None else coded.symbols[:, i]
            kept, fresh = (None, None) if source is None else (source[:carried], source[carried:])
            old = difference(io, f"delta[{i}]", base, kept, columns.carried)
            new = entropy.plane(io, f"component[{i}]", fresh, count - carried, columns.new)
            found.append(np.concatenate([old, new]))
    return coded or Coded(expected.quantiser, np.stack(found, axis=1))


def _uniform(io: FieldStream, quantiser: Any, components: int) -> UniformQuantiser:
    steps, offsets = [], []
    for i in range(components):
        v = {} if quantiser is None else {f"step[{i}]": quantiser.steps[i], f"offset[{i}]": quantiser.offsets[i]}
        steps.append(io.field(v, f"step[{i}]", F32))
        validate_data.step(io.place, steps[-1])
        offsets.append(io.field(v, f"offset[{i}]", F32))
    return UniformQuantiser(tuple(steps), tuple(offsets))


def _rvq(io: FieldStream, quantiser: Any, components: int) -> RvqQuantiser:
    v: Values = {}
    if quantiser is not None:
        v = {"stage_count": len(quantiser.codebooks), "codebook_log2": quantiser.codebook_log2}
        v["codebook_step"] = quantiser.codebook_steps
    with io.component("codebooks"):
        io.field(v, "stage_count", U8)
        validate_data.stage_count(io.place, v["stage_count"])
        io.field(v, "codebook_log2", U8)
        validate_data.codebook_log2(io.place, v["codebook_log2"])
        for step in io.fields(v, "codebook_step", F32, v["stage_count"]):
            validate_data.step(io.place, step)
        books = []
        size = components << v["codebook_log2"]
        for stage in range(v["stage_count"]):
            source = None if quantiser is None else quantiser.codebooks[stage].reshape(-1).astype(np.int64)
            books.append(entropy.plane(io, f"codebook[{stage}]", source, size).reshape(-1, components))
    return RvqQuantiser(tuple(v["codebook_step"]), tuple(b.astype(np.int32) for b in books))
