# SPDX-License-Identifier: MIT
"""The field of a GoP as the chosen engine evaluates it at its Gaussians. Imports neither torch nor the encoder."""

import numpy as np

from gscodec.format.dequant import FieldParameters, GopParameters
from gscodec.format.records import GridRecord
from gscodec.kernels import FieldPlan, FieldWeights, HashGeometry, reference_field, registry


class ExactField:
    """The field at fixed points as the reference defines it, without a rounding to float32 on the way."""

    def __init__(self, weights: FieldWeights, xy: np.ndarray) -> None:
        self._weights, self._xy = weights, xy

    def evaluate(self, t: float, *, threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """See FieldPlan.evaluate; float64."""
        heads = reference_field.field_forward(self._weights, self._xy, t)
        return heads[:, :2] * self._weights.mean_scale, heads[:, 2:] * self._weights.colour_scale


def prepare_field(
    params: GopParameters, size: tuple[int, int], threads: int, backend: str | None
) -> FieldPlan | ExactField:
    """The field of `params`, which has one, for a coded picture of `size` (width, height). Raises BackendError."""
    assert params.field is not None
    weights, xy = _weights(params.field), np.clip(params.mean / np.array(size, np.float64), 0, 1)
    if registry.select(backend).name == "reference":
        return ExactField(weights, xy)
    return FieldPlan(weights, xy.astype(np.float32), threads=threads, backend=backend)


def _weights(field: FieldParameters) -> FieldWeights:
    return FieldWeights(
        w1=field.w1,
        b1=field.b1,
        w2=field.w2,
        b2=field.b2,
        w_mean=field.w_mean,
        b_mean=field.b_mean,
        w_colour=field.w_colour,
        b_colour=field.b_colour,
        geometry2=_geometry(field.grid2),
        table2=field.table2,
        geometry3=_geometry(field.grid3),
        table3=field.table3,
        input_scale=field.input_scale,
        frequency_count=field.frequency_count,
        mean_scale=field.mean_scale,
        colour_scale=field.colour_scale,
    )


def _geometry(grid: GridRecord) -> HashGeometry:
    return HashGeometry(grid.dims, grid.feature_count, grid.resolutions, grid.scales, grid.entries())
