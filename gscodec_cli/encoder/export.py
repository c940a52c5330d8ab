# SPDX-License-Identifier: MIT
"""Trained GoP -> `format.GopRecord`.

The one-way door out of torch. Integers come from the quantisers that were trained through.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gscodec.format.morton import morton_order
from gscodec.format.records import (
    CameraData,
    Coded,
    ColourData,
    DriftData,
    FieldRecord,
    GopRecord,
    GridRecord,
    MeanData,
    MotionData,
    RvqQuantiser,
    ShapeData,
    UniformQuantiser,
    WindowData,
)
from gscodec_cli.encoder.compression import WINDOW_DENOMINATOR, Compression
from gscodec_cli.encoder.hash_field import FIELD_TENSORS, field_geometries
from gscodec_cli.encoder.home import array_of, tensor_of
from gscodec_cli.encoder.model import (
    BLEND_EPSILON,
    COLOUR_SCALE,
    MEAN_SCALE,
    WINDOW_EDGE,
    GopModel,
)
from gscodec_cli.encoder.quantise import Uniform


@torch.no_grad()
def export_gop(
    compression: Compression,
    first_frame: int,
    pts: tuple[int, ...] | None,
    reference: GopRecord | None = None,
    camera: CameraData | None = None,
) -> GopRecord:
    """The integers of a GoP's Gaussians: those carried over from `reference`, then new ones in Morton order.

    New ones that cannot be seen are left out. What is added to the Gaussians is not there yet.
    """
    model = compression.model
    params, tools = model.params, model.tools
    size = compression.coded_norms()
    amplitudes = compression.amplitude.symbols(params["colour"] * size)
    grid = _mean_grid(compression)
    carried = model.carried.count if model.carried is not None else 0
    order = morton_order(grid[carried:]) + carried
    order = np.concatenate([np.arange(carried), order[_visible(model, amplitudes)[order]]])

    def coded(quantiser: Uniform, values: Tensor) -> Coded:
        return _uniform(quantiser, array_of(quantiser.symbols(values))[order])

    return GopRecord(
        first_frame=first_frame,
        frame_count=model.frames,
        pts=pts,
        reference_mode=int(model.carried is not None),
        carried=array_of(model.carried.index) if model.carried is not None else None,
        blend_mode=int(tools.normalised),
        background=tuple(model.background(params).tolist()) if tools.normalised else (0.0, 0.0, 0.0),
        blend_epsilon=BLEND_EPSILON,
        mean=MeanData(compression.fraction_bits, model.margin, grid[order]),
        shape=ShapeData(int(tools.shape_log), coded(compression.shape, params["shape"])),
        colour=ColourData(int(tools.ycc), int(tools.energy_colour), _colour(compression, array_of(amplitudes)[order])),
        motion=_motion(compression, order) if tools.motion_degree else None,
        drift=DriftData(coded(compression.drift, params["drift"] * size)) if tools.drift else None,
        window=_window(compression, order, reference) if tools.window else None,
        field=_field(compression) if tools.field is not None else None,
        camera=camera,
    )


def _visible(model: GopModel, amplitudes: Tensor) -> np.ndarray:
    """Gaussians that contribute.

    In a sum, an amplitude of all zeros draws nothing (under normalised blending it still has weight).
    """
    tools = model.tools
    if not tools.energy_colour or tools.normalised or tools.rvq or tools.field is not None:
        return np.ones(model.count, bool)
    return array_of((amplitudes != 0).any(1))


def _mean_grid(compression: Compression) -> np.ndarray:
    """Integer coordinates [N, 2] from the corner of the margin."""
    symbols = array_of(compression.mean.symbols(compression.model.params["mean"]))
    return symbols + (compression.model.margin << compression.fraction_bits)


def _uniform(quantiser: Uniform, symbols: np.ndarray) -> Coded:
    steps, offsets = quantiser.step().tolist(), quantiser.offset.tolist()
    return Coded(UniformQuantiser(tuple(steps), tuple(offsets)), symbols)


def _colour(compression: Compression, symbols: np.ndarray) -> Coded:
    quantiser = compression.amplitude
    if isinstance(quantiser, Uniform):
        return _uniform(quantiser, symbols)
    books, indices = quantiser.coded(tensor_of(symbols))
    entries = tuple(array_of(book).astype(np.int32) for book in books)
    return Coded(RvqQuantiser(tuple(quantiser.entry_steps), entries), array_of(indices))


def _motion(compression: Compression, order: np.ndarray) -> MotionData:
    motion = compression.model.params["motion"]
    degrees = [array_of(compression.motion.symbols(motion[:, k]))[order] for k in range(motion.shape[1])]
    return MotionData(tuple(_uniform(compression.motion, symbols) for symbols in degrees))


def _window(compression: Compression, order: np.ndarray, reference: GopRecord | None) -> WindowData:
    symbols = array_of(compression.window.symbols(compression.model.params["window"]))[order]
    carried = compression.model.carried
    if reference is not None and reference.window is not None and carried is not None:
        birth = reference.window.birth[array_of(carried.index)] - reference.distinct_count * WINDOW_DENOMINATOR
        symbols[: carried.count, 0] = birth
    return WindowData(WINDOW_EDGE, WINDOW_DENOMINATOR, symbols[:, 0], symbols[:, 1] - symbols[:, 0])


def _field(compression: Compression) -> FieldRecord:
    layout, params = compression.model.tools.field, compression.model.params
    assert layout is not None
    grids = [
        GridRecord(g.dims, g.feature_count, layout.log2_table_size, tuple(g.resolutions), tuple(g.scales))
        for g in field_geometries(layout)
    ]
    steps, tensors = [], []
    for name in FIELD_TENSORS:
        quantiser = compression.field[name]
        steps += quantiser.steps(params[name])
        tensors += [array_of(part).astype(np.int32).ravel() for part in quantiser.symbols(params[name])]
    return FieldRecord(
        input_scale=layout.input_scale,
        grid2=grids[0],
        grid3=grids[1],
        frequency_count=layout.frequencies,
        hidden_width=layout.hidden_width,
        mean_scale=MEAN_SCALE,
        colour_scale=COLOUR_SCALE,
        steps=tuple(steps),
        tensors=tuple(tensors),
    )
