# SPDX-License-Identifier: MIT
"""SHA-256 of what a decoder must get exactly right: symbol arrays and float32 parameters of a GoP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from gscodec.format.dequant import GopParameters
from gscodec.format.records import Coded, GopRecord, RvqQuantiser


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def symbol_digests(record: GopRecord) -> dict[str, str]:
    """{array: digest of its elements as 64-bit little-endian integers, row by row}."""
    return {name: sha256(np.ascontiguousarray(array, "<i8").tobytes()) for name, array in _symbols(record)}


def parameter_digests(params: GopParameters) -> dict[str, str]:
    """{array: digest of its elements as little-endian float32, row by row}."""
    return {name: sha256(np.ascontiguousarray(array, "<f4").tobytes()) for name, array in _parameters(params)}


def _symbols(r: GopRecord) -> Iterator[tuple[str, np.ndarray]]:
    yield "grid", r.mean.grid
    if r.repeats:
        yield "repeats", np.array(r.repeats)
    yield from _coded("shape", r.shape.coded)
    yield from _coded("colour", r.colour.coded)
    if r.motion:
        for k, coded in enumerate(r.motion.degrees, 1):
            yield from _coded(f"motion[{k}]", coded)
    if r.drift:
        yield from _coded("drift_data", r.drift.coded)
    if r.window:
        yield "birth", r.window.birth
        yield "duration", r.window.duration
    if r.camera:
        yield "camera", r.camera.values
    if r.detail:
        yield "detail", r.detail.symbols
        if r.detail.kept is not None:
            yield "kept", r.detail.kept
    if r.residual:
        for c, (index, values) in enumerate(zip(r.residual.index, r.residual.values, strict=True)):
            yield f"residual[{c}].index", index
            yield f"residual[{c}].values", values
    if r.filter:
        yield "filter", r.filter.symbols
    if r.field:
        for (name, _), tensor in zip(r.field.tensor_shapes(), r.field.tensors, strict=True):
            yield f"field.{name}", tensor


def _coded(name: str, coded: Coded) -> Iterator[tuple[str, np.ndarray]]:
    yield name, coded.symbols
    if isinstance(coded.quantiser, RvqQuantiser):
        for m, book in enumerate(coded.quantiser.codebooks):
            yield f"{name}.codebook[{m}]", book


def _parameters(p: GopParameters) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("mean", "shape", "colour", "motion", "drift", "birth", "death", "camera", "detail", "filter"):
        array = getattr(p, name)
        if array is not None:
            yield name, array
    if p.residual:
        for c, values in enumerate(p.residual.values):
            yield f"residual[{c}].values", values
    if p.field:
        for name in ("table2", "table3", "w1", "b1", "w2", "b2", "w_mean", "b_mean", "w_colour", "b_colour"):
            yield f"field.{name}", getattr(p.field, name)
