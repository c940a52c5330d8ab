# SPDX-License-Identifier: MIT
"""field_hash() of SPEC 5.10, in both directions. Imports numpy and the format's own modules."""

from __future__ import annotations

import math

import numpy as np

from . import entropy, validate_data
from .limits import Limits
from .records import FieldRecord, GridRecord, field_tensor_shapes
from .schema import F32, U8, UVAR, FieldStream, Values

PARAMETER_BYTES = 40  # rough memory per field parameter while it is decoded


def field_hash(io: FieldStream, limits: Limits, r: FieldRecord | None) -> FieldRecord:
    """Transfer the hash field. Sizes are checked before any tensor is made."""
    v: Values = {}
    if r is not None:
        names = ("input_scale", "frequency_count", "hidden_width", "mean_scale", "colour_scale")
        v = {name: getattr(r, name) for name in names}
    for scale in io.fields(v, "input_scale", F32, 3):
        validate_data.input_scale(io.place, scale)
    grid2 = _grid(io, r and r.grid2, 2)
    grid3 = _grid(io, r and r.grid3, 3)
    with io.component("mlp"):
        io.field(v, "frequency_count", U8)
        validate_data.frequency_count(io.place, v["frequency_count"])
        io.field(v, "hidden_width", UVAR)
        validate_data.hidden_width(io.place, v["hidden_width"])
        io.field(v, "mean_scale", F32)
        io.field(v, "colour_scale", F32)
    shapes = field_tensor_shapes(grid2, grid3, v["frequency_count"], v["hidden_width"])
    _check_size(io, limits, grid2.width + grid3.width + 2 * v["frequency_count"], shapes)
    steps, tensors = [], []
    for index, (name, shape) in enumerate(shapes):
        with io.component("field_tables" if name.startswith("grid") else "mlp"), io.scope(name):
            step, tensor = _tensor(io, r, index, math.prod(shape))
        steps.append(step)
        tensors.append(tensor)
    return r or FieldRecord(
        tuple(v["input_scale"]),  # type: ignore[arg-type]
        grid2,
        grid3,
        v["frequency_count"],
        v["hidden_width"],
        v["mean_scale"],
        v["colour_scale"],
        tuple(steps),
        tuple(tensors),
    )


def _tensor(io: FieldStream, r: FieldRecord | None, index: int, size: int) -> tuple[float, np.ndarray]:
    v: Values = {} if r is None else {"step": r.steps[index]}
    source = None if r is None else r.tensors[index].astype(np.int64)
    step = io.field(v, "step", F32)
    validate_data.step(io.place, step)
    return step, entropy.plane(io, "symbols", source, size).astype(np.int32)


def _check_size(io: FieldStream, limits: Limits, inputs: int, shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
    validate_data.field_has_inputs(io.place, inputs)
    count = sum(math.prod(shape) for _, shape in shapes)
    limits.check("parameters", count)
    limits.check("memory", count * PARAMETER_BYTES)
    if io.reading:
        validate_data.parameters_have_bytes(io.place, count, io.payload_length)


def _grid(io: FieldStream, grid: GridRecord | None, dims: int) -> GridRecord:
    v: Values = {}
    if grid is not None:
        v = {"feature_count": grid.feature_count, "log2_table_size": grid.log2_table_size}
        v["level_count"] = len(grid.resolutions)
    with io.scope(f"grid{dims}"):
        io.field(v, "level_count", U8)
        validate_data.level_count(io.place, v["level_count"])
        io.field(v, "feature_count", U8)
        validate_data.feature_count(io.place, v["feature_count"])
        io.field(v, "log2_table_size", U8)
        validate_data.log2_table_size(io.place, v["log2_table_size"])
        resolutions, scales = [], []
        for level in range(v["level_count"]):
            names = (f"resolution[{level}]", f"scale[{level}]")
            w: Values = (
                {} if grid is None else dict(zip(names, (grid.resolutions[level], grid.scales[level]), strict=True))
            )
            resolutions.append(io.field(w, names[0], UVAR))
            validate_data.resolution(io.place, resolutions[-1])
            scales.append(io.field(w, names[1], F32))
            validate_data.level_scale(io.place, scales[-1], resolutions[-1])
    return GridRecord(dims, v["feature_count"], v["log2_table_size"], tuple(resolutions), tuple(scales))
