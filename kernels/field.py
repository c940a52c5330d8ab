# SPDX-License-Identifier: MIT
"""The deformation field: (position, time) -> displacement and change of colour. Imports numpy only.

Input of the network: features of a 2D grid at (x, y), of a 3D grid at (x, y, t), and sin, cos of 2^k pi t; two hidden
layers with ReLU; two linear heads. Source: eq. 3-6 of STGV, with the level geometry stored.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import reference_field, registry
from .checks import Array, float_array
from .encoding import HashGeometry
from .errors import ShapeError

MAX_HIDDEN = 4096


@dataclass(frozen=True)
class FieldWeights:
    """All of a field; arrays are float32, made contiguous on the way in. Raises ShapeError if they do not fit.

    w1 [hidden, inputs], b1 [hidden], w2 [hidden, hidden], b2, w_mean [2, hidden], b_mean [2], w_colour [3, hidden],
    b_colour [3]; table2, table3 [entries, features]; input_scale: three factors (x, y, t) in (0, 1];
    mean_scale (pixels) and colour_scale multiply the heads. inputs = geometry2.width + geometry3.width +
    2 * frequency_count.
    """

    w1: Array
    b1: Array
    w2: Array
    b2: Array
    w_mean: Array
    b_mean: Array
    w_colour: Array
    b_colour: Array
    geometry2: HashGeometry
    table2: Array
    geometry3: HashGeometry
    table3: Array
    input_scale: tuple[float, float, float]
    frequency_count: int
    mean_scale: float = 1.0
    colour_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.geometry2.dims != 2 or self.geometry3.dims != 3 or len(self.input_scale) != 3:
            raise ShapeError("field: expected a 2D grid, a 3D grid and three input scales")
        hidden = len(self.b1)
        if not (1 <= hidden <= MAX_HIDDEN and 0 <= self.frequency_count <= 64):
            raise ShapeError(f"field: {hidden} hidden units or {self.frequency_count} frequencies are not supported")
        shapes = {
            "w1": (hidden, self.input_count),
            "b1": (hidden,),
            "w2": (hidden, hidden),
            "b2": (hidden,),
            "w_mean": (2, hidden),
            "b_mean": (2,),
            "w_colour": (3, hidden),
            "b_colour": (3,),
        }
        for name, geometry in (("table2", self.geometry2), ("table3", self.geometry3)):
            shapes[name] = (geometry.total_entries, geometry.feature_count)
            object.__setattr__(self, name, np.reshape(getattr(self, name), (-1, geometry.feature_count)))
        for name, shape in shapes.items():
            object.__setattr__(self, name, float_array(name, getattr(self, name), shape))

    @property
    def input_count(self) -> int:
        """Inputs of the first layer."""
        return self.geometry2.width + self.geometry3.width + 2 * self.frequency_count

    @property
    def tensors(self) -> list[Array]:
        """The ten arrays that are trained: tables, then layers, then heads."""
        layers = [self.w1, self.b1, self.w2, self.b2]
        return [self.table2, self.table3, *layers, self.w_mean, self.b_mean, self.w_colour, self.b_colour]

    def compiled_arguments(self) -> tuple[Any, ...]:
        """What the compiled functions take between the instruction set and the points."""
        scales = [float(scale) for scale in self.input_scale]
        flat = [tensor.reshape(-1) for tensor in self.tensors]
        return self.geometry2.compiled, self.geometry3.compiled, scales, self.frequency_count, len(self.b1), flat


def field_forward(
    weights: FieldWeights,
    xy: Array,  # [N, 2] float32, position in the frame, 0..1; clamped, NaN counts as 0
    t: float,  # time within the GoP, 0..1
    *,
    threads: int = 0,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """Heads before scaling: (dmean_raw [N, 2], dcolour_raw [N, 3]) float32. Raises ShapeError, BackendError."""
    xy = float_array("xy", xy, (None, 2))
    engine = registry.select(backend)
    if engine.name == "reference":
        heads = reference_field.field_forward(weights, xy, t)
        return heads[:, :2].astype(np.float32), heads[:, 2:].astype(np.float32)
    if engine.name == "triton":
        found: tuple[Array, Array] = registry.triton().field_forward(weights, xy, t)
        return found
    out = np.empty((len(xy), 2), np.float32), np.empty((len(xy), 3), np.float32)
    registry.cpu.field_forward(engine.isa, *weights.compiled_arguments(), xy, t, *out, threads)
    return out


def field_backward(
    weights: FieldWeights,
    xy: Array,
    t: float,
    dmean: Array,  # [N, 2] gradient of the first head, before scaling
    dcolour: Array,  # [N, 3] gradient of the second
    *,
    threads: int = 0,
    backend: str | None = None,
) -> list[Array]:
    """Gradients of `weights.tensors`, in that order and of those shapes, float32; the same for any number of threads.

    xy and t get none. Raises ShapeError, BackendError.
    """
    xy = float_array("xy", xy, (None, 2))
    dmean, dcolour = float_array("dmean", dmean, (len(xy), 2)), float_array("dcolour", dcolour, (len(xy), 3))
    engine = registry.select(backend)
    if engine.name == "reference":
        exact = reference_field.field_backward(weights, xy, t, np.concatenate([dmean, dcolour], 1))
        return [grad.astype(np.float32) for grad in exact]
    if engine.name == "triton":
        found: list[Array] = registry.triton().field_backward(weights, xy, t, dmean, dcolour)
        return found
    grads = [np.empty_like(tensor) for tensor in weights.tensors]
    flat = [grad.reshape(-1) for grad in grads]
    registry.cpu.field_backward(engine.isa, *weights.compiled_arguments(), xy, t, dmean, dcolour, flat, threads)
    return grads


class FieldPlan:
    """A field at fixed points: what does not depend on the time is computed once."""

    def __init__(
        self,
        weights: FieldWeights,
        xy: Array,  # [N, 2] float32, position in the frame, 0..1
        *,
        threads: int = 0,
        backend: str | None = None,
    ) -> None:
        """Prepare the evaluation at `xy`. Raises ShapeError, BackendError."""
        self._weights = weights
        self._xy = float_array("xy", xy, (None, 2))
        self._engine = registry.select(backend)
        self._plan: Any = None
        if self._engine.name == "cpu":
            arguments = weights.compiled_arguments()
            self._plan = registry.cpu.FieldPlan(self._engine.isa, *arguments, self._xy, threads)
        elif self._engine.name == "triton":
            self._plan = registry.triton().FieldPlan(weights, self._xy)

    @property
    def device_plan(self) -> Any:
        """With the engine `triton` the same plan for tensors, `gscodec.kernels.triton.field.FieldPlan`; else None."""
        return self._plan.device_plan if self._engine.name == "triton" else None

    def evaluate(self, t: float, *, threads: int = 0) -> tuple[Array, Array]:
        """(dmean [N, 2] in pixels, dcolour [N, 3] in the coded colour space) at time t in 0..1, float32, scaled."""
        registry.remember(self._engine)
        w, count = self._weights, len(self._xy)
        if self._plan is None:
            heads = reference_field.field_forward(w, self._xy, t)
            return (heads[:, :2] * w.mean_scale).astype(np.float32), (heads[:, 2:] * w.colour_scale).astype(np.float32)
        if self._engine.name == "triton":
            found: tuple[Array, Array] = self._plan.evaluate(t)
            return found
        out = np.empty((count, 2), np.float32), np.empty((count, 3), np.float32)
        self._plan.evaluate(t, w.mean_scale, w.colour_scale, *out, threads)
        return out
