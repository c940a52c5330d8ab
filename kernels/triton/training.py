# SPDX-License-Identifier: MIT
"""Placing Gaussians for training, with gradients. Imports torch and triton.

As `gscodec.kernels.place` defines it, for one frame or several, except that nothing is gathered: all Gaussians go
along, and those whose window is shut get a mean that is not a number, so that they are not drawn and have no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.errors import ShapeError
from gscodec.kernels.place import PlaceSettings
from gscodec.kernels.reference_place import LEAST_WEIGHT, REACH, SLOPE_WIDTH

from .launch import INTERPRETED, launch, tensor

_BLOCK = 1024 if INTERPRETED else 128
_ALIGNED = 4  # numbers: kernels are compiled again for addresses that are not multiples of 16 bytes


@triton.jit
def _ramp(x):
    return tl.minimum(tl.maximum(x + 0.5, 0.0), 1.0)


@triton.jit
def _logistic(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _members(rows, tau, count, EACH: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Gaussians that take part in a frame: their places among those of all frames, which exist, their rows among all,
    their times.
    """
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    frame = tl.program_id(1)
    here, p = row < count, frame.to(tl.int64) * count + row
    t = tl.zeros([BLOCK], tl.float32) + tl.load(tau + frame)
    if ROWS:
        row = tl.load(rows + row, here, 0)
    if EACH:
        t = tl.load(tau + p, here, 0.0)
    return p, here, row, t


@triton.jit
def _life(window, row, here, index, edge, SHUT: tl.constexpr, SLOPE: tl.constexpr, REACH: tl.constexpr):
    """Positions on both ramps, and whether the window is open enough to take part."""
    rise = (index - tl.load(window + 2 * row, here, 0.0)) / edge
    fall = (tl.load(window + 2 * row + 1, here, 0.0) - index) / edge
    return rise, fall, _logistic(rise / SLOPE + REACH) * _logistic(fall / SLOPE + REACH) > SHUT


@triton.jit
def _colour(colour, drift, offset, row, p, here, tau, scale, k: tl.constexpr, DRIFT: tl.constexpr, FIELD: tl.constexpr):
    value = tl.load(colour + 3 * row + k, here, 0.0)
    if DRIFT:
        value += tl.load(drift + 3 * row + k, here, 0.0) * tau
    if FIELD:
        value += scale * tl.load(offset + 3 * p + k, here, 0.0)
    return value


@triton.jit
def _factors(shape, row, here, LOG: tl.constexpr):
    """1 / l11, 1 / l22 and l21 / l22."""
    s0, s1 = tl.load(shape + 3 * row, here, 1.0), tl.load(shape + 3 * row + 1, here, 0.0)
    s2 = tl.load(shape + 3 * row + 2, here, 1.0)
    first, second, ratio = tl.exp(-s0), tl.exp(-s2), s1
    if not LOG:
        first, second = 1 / s0, 1 / s2
        ratio = s1 * second
    return first, second, ratio


@triton.jit
def _place_forward(
    mean, shape, colour, motion, drift, window, field_mean, field_colour, rows, tau, positions, matrix, out_mean,
    out_conic, out_feature, count, edge, mean_scale, colour_scale,
    DEGREE: tl.constexpr, DRIFT: tl.constexpr, WINDOW: tl.constexpr, FIELD: tl.constexpr, LOG: tl.constexpr,
    CHANNELS: tl.constexpr, EACH: tl.constexpr, ROWS: tl.constexpr, SHUT: tl.constexpr, SLOPE: tl.constexpr,
    REACH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    p, here, row, t = _members(rows, tau, count, EACH, ROWS, BLOCK)
    x, y = tl.load(mean + 2 * row, here, 0.0), tl.load(mean + 2 * row + 1, here, 0.0)
    power = t
    for k in tl.static_range(DEGREE):
        x += tl.load(motion + (row * DEGREE + k) * 2, here, 0.0) * power
        y += tl.load(motion + (row * DEGREE + k) * 2 + 1, here, 0.0) * power
        power *= t
    if FIELD:
        x += mean_scale * tl.load(field_mean + 2 * p, here, 0.0)
        y += mean_scale * tl.load(field_mean + 2 * p + 1, here, 0.0)
    weight = tl.full([BLOCK], 1.0, tl.float32)
    if WINDOW:
        index = tl.load(positions + tl.program_id(1))
        rise, fall, taking = _life(window, row, here, index, edge, SHUT, SLOPE, REACH)
        weight = _ramp(rise) * _ramp(fall)
        x = tl.where(taking, x, float("nan"))
    tl.store(out_mean + 2 * p, x, here)
    tl.store(out_mean + 2 * p + 1, y, here)
    first, second, ratio = _factors(shape, row, here, LOG)
    tl.store(out_conic + 3 * p, (1 + ratio * ratio) * first * first, here)
    tl.store(out_conic + 3 * p + 1, -ratio * first * second, here)
    tl.store(out_conic + 3 * p + 2, second * second, here)
    for c in tl.static_range(3):
        value = tl.zeros([BLOCK], tl.float32)
        for k in tl.static_range(3):
            part = _colour(colour, drift, field_colour, row, p, here, t, colour_scale, k, DRIFT, FIELD)
            value += part * tl.load(matrix + 3 * k + c)
        tl.store(out_feature + CHANNELS * p + c, value * weight, here)
    if CHANNELS == 4:
        tl.store(out_feature + CHANNELS * p + 3, weight, here)


@triton.jit
def _place_backward(
    shape, colour, drift, window, field_colour, rows, tau, positions, matrix, gmean, gconic, gfeature, dmean, dshape,
    dcolour, dmotion, ddrift, dwindow, dfield_mean, dfield_colour, count, stride, edge, mean_scale, colour_scale,
    DEGREE: tl.constexpr, DRIFT: tl.constexpr, WINDOW: tl.constexpr, FIELD: tl.constexpr, LOG: tl.constexpr,
    CHANNELS: tl.constexpr, EACH: tl.constexpr, ROWS: tl.constexpr, SHUT: tl.constexpr, SLOPE: tl.constexpr,
    REACH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes the rows that take part; the others must be zero already.

    Gradients by parameters that all frames share are those of one frame, `stride` numbers before the next one's.
    """
    p, here, row, t = _members(rows, tau, count, EACH, ROWS, BLOCK)
    frame = tl.program_id(1).to(tl.int64) * stride
    rise, fall, weight = t * 0, t * 0, t * 0 + 1
    if WINDOW:
        index = tl.load(positions + tl.program_id(1))
        rise, fall, taking = _life(window, row, here, index, edge, SHUT, SLOPE, REACH)
        weight = _ramp(rise) * _ramp(fall)
        here = here & taking
    gx, gy = tl.load(gmean + 2 * p, here, 0.0), tl.load(gmean + 2 * p + 1, here, 0.0)
    tl.store(dmean + frame + 2 * row, gx, here)
    tl.store(dmean + frame + 2 * row + 1, gy, here)
    power = t
    for k in tl.static_range(DEGREE):
        tl.store(dmotion + frame + (row * DEGREE + k) * 2, gx * power, here)
        tl.store(dmotion + frame + (row * DEGREE + k) * 2 + 1, gy * power, here)
        power *= t
    if FIELD:
        tl.store(dfield_mean + 2 * p, mean_scale * gx, here)
        tl.store(dfield_mean + 2 * p + 1, mean_scale * gy, here)
    dweight = tl.zeros([BLOCK], tl.float32)
    if CHANNELS == 4:
        dweight = tl.load(gfeature + CHANNELS * p + 3, here, 0.0)
    for k in tl.static_range(3):
        value, coded = _colour(colour, drift, field_colour, row, p, here, t, colour_scale, k, DRIFT, FIELD), t * 0
        for c in tl.static_range(3):
            seen = tl.load(gfeature + CHANNELS * p + c, here, 0.0) * tl.load(matrix + 3 * k + c)
            coded += seen * weight
            dweight += seen * value
        tl.store(dcolour + frame + 3 * row + k, coded, here)
        if DRIFT:
            tl.store(ddrift + frame + 3 * row + k, coded * t, here)
        if FIELD:
            tl.store(dfield_colour + 3 * p + k, colour_scale * coded, here)
    if WINDOW:
        up, down = _logistic(rise / SLOPE), _logistic(fall / SLOPE)
        tl.store(dwindow + frame + 2 * row, -dweight * _ramp(fall) * up * (1 - up) / SLOPE / edge, here)
        tl.store(dwindow + frame + 2 * row + 1, dweight * _ramp(rise) * down * (1 - down) / SLOPE / edge, here)
    _store_shape(shape, gconic, dshape + frame, row, p, here, LOG)


@triton.jit
def _store_shape(shape, gconic, dshape, row, p, here, LOG: tl.constexpr):
    first, second, ratio = _factors(shape, row, here, LOG)
    a, b = tl.load(gconic + 3 * p, here, 0.0), tl.load(gconic + 3 * p + 1, here, 0.0)
    c = tl.load(gconic + 3 * p + 2, here, 0.0)
    dratio = 2 * a * ratio * first * first - b * first * second
    dfirst = 2 * a * (1 + ratio * ratio) * first - b * ratio * second
    dsecond = 2 * c * second - b * ratio * first
    if LOG:
        dfirst, dsecond = -dfirst * first, -dsecond * second
    else:
        dfirst, dsecond = -dfirst * first * first, -(dsecond * second + dratio * ratio) * second
        dratio *= second
    tl.store(dshape + 3 * row, dfirst, here)
    tl.store(dshape + 3 * row + 1, dratio, here)
    tl.store(dshape + 3 * row + 2, dsecond, here)


def place(
    settings: PlaceSettings, rows: Tensor | None, tau: Tensor, parameters: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor, Tensor]:
    """See `gscodec.kernels.place`; what it takes as arrays are tensors here. rows: None for all.

    Where `settings.index` is a tensor [B], so many frames are placed: tau is [B] or [B, n], the outputs of the field
    and all results have a first dimension more. Raises ShapeError, BackendError.
    """
    given, count, switches, numbers = _checked(settings, rows, tau, parameters)
    positions, device, leading = _positions(settings, given[0]), given[0].device, _leading(settings)
    out = torch.empty(*leading, count, 2, device=device), torch.empty(*leading, count, 3, device=device)
    feature = torch.empty(*leading, count, 3 + settings.weighted, device=device)
    shared = rows if rows is not None else given[0], tau.contiguous(), positions, _matrix(settings.matrix, device)
    grid = triton.cdiv(count, _BLOCK), len(positions)
    launch(_place_forward, grid, *given, *shared, *out, feature, count, *numbers, **switches)
    return *out, feature


def place_backward(
    settings: PlaceSettings,
    rows: Tensor | None,
    tau: Tensor,
    parameters: Sequence[Tensor | None],
    grads: Sequence[Tensor],
) -> list[Tensor | None]:
    """See `gscodec.kernels.place_backward`; those of several frames are summed. Raises ShapeError, BackendError."""
    given, count, switches, numbers = _checked(settings, rows, tau, parameters)
    positions, device, leading = _positions(settings, given[0]), given[0].device, _leading(settings)
    checked = [
        tensor("grads", grad, (*leading, count, width))
        for grad, width in zip(grads, (2, 3, 3 + settings.weighted), strict=True)
    ]
    parts, stride = _parts(parameters[:6])
    sums = torch.zeros(len(positions), stride, device=device)
    of_field = [None if value is None else torch.zeros_like(value) for value in parameters[6:]]
    targets = [sums if begin is None else sums[0, begin:] for begin in parts]
    targets += [sums if value is None else value for value in of_field]
    inputs = given[1], given[2], given[4], given[5], given[7], rows if rows is not None else given[0]
    arrays = *inputs, tau.contiguous(), positions, _matrix(settings.matrix, device), *checked, *targets
    grid = triton.cdiv(count, _BLOCK), len(positions)
    launch(_place_backward, grid, *arrays, count, stride, *numbers, **switches)
    total = sums.sum(0) if len(sums) > 1 else sums[0]
    found = [
        None if value is None or begin is None else total[begin : begin + value.numel()].view(value.shape)
        for value, begin in zip(parameters[:6], parts, strict=True)
    ]
    return [*found, *of_field]


def _leading(settings: PlaceSettings) -> tuple[int, ...]:
    """What results have in front of their dimensions: the number of frames, nothing for a frame that is a number."""
    return tuple(settings.index.shape) if isinstance(settings.index, Tensor) else ()


def _positions(settings: PlaceSettings, like: Tensor) -> Tensor:
    """[B] float32, the positions of the frames."""
    if isinstance(settings.index, Tensor):
        return settings.index.float()
    return torch.full((1,), float(settings.index), device=like.device)


def _parts(parameters: Sequence[Tensor | None]) -> tuple[list[int | None], int]:
    """Where the numbers of each begin, one tensor behind the other, and how many numbers that takes."""
    begins: list[int | None] = []
    end = 0
    for value in parameters:
        begins.append(None if value is None else end)
        end += 0 if value is None else -(-value.numel() // _ALIGNED) * _ALIGNED
    return begins, end


def _checked(
    settings: PlaceSettings, rows: Tensor | None, tau: Tensor, parameters: Sequence[Tensor | None]
) -> tuple[list[Tensor], int, dict[str, object], tuple[float, ...]]:
    """Tensors (the mean stands in for those that are None), Gaussians that take part, switches and numbers."""
    mean, shape, colour, motion, drift, window, field_mean, field_colour = parameters
    if mean is None or shape is None or colour is None or (field_mean is None) != (field_colour is None):
        raise ShapeError("parameters: mean, shape and colour are needed, and both outputs of the field or none")
    held, total = tensor("parameter 0", mean, (None, 2)), len(mean)
    count = total if rows is None else len(tensor("rows", rows, (None,), torch.int64))
    leading = _leading(settings)
    one = leading or (1,)
    if tensor("tau", tau, (None,) * tau.ndim).shape not in (one, (*leading, count)):
        raise ShapeError(f"tau: found {tuple(tau.shape)}, expected {one} or {(*leading, count)}")
    shared = (total, 2), (total, 3), (total, 3), (total, None, 2), (total, 3), (total, 2)
    wanted: list[tuple[int | None, ...]] = [*shared, (*leading, count, 2), (*leading, count, 3)]
    given = [
        held if value is None else tensor(f"parameter {k}", value, need)
        for k, (value, need) in enumerate(zip(parameters, wanted, strict=True))
    ]
    switches: dict[str, object] = {
        "DEGREE": 0 if motion is None else motion.shape[1],
        "DRIFT": drift is not None,
        "WINDOW": window is not None,
        "FIELD": field_mean is not None,
        "LOG": settings.log_shape,
        "CHANNELS": 3 + settings.weighted,
        "EACH": tau.shape != one,
        "ROWS": rows is not None,
        "SHUT": LEAST_WEIGHT,
        "SLOPE": SLOPE_WIDTH,
        "REACH": REACH,
        "BLOCK": _BLOCK,
    }
    numbers = settings.edge, settings.mean_scale, settings.colour_scale
    return given, count, switches, tuple(map(float, numbers))


@lru_cache(maxsize=16)
def _matrix(rows: tuple[tuple[float, float, float], ...], device: torch.device) -> Tensor:
    """A matrix on a device, sent once: each time would be to wait for the device."""
    return torch.tensor(rows, dtype=torch.float32, device=device)
