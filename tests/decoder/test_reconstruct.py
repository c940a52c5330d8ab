# SPDX-License-Identifier: MIT
"""The renderer against SPEC 7.7 to 7.9 written out a second time, one Gaussian and one pixel grid at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gscodec.format.dequant import GopParameters, dequantise
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.limits import LEVELS, Limits
from gscodec.kernels import last_engine
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.view import View, make_view
from tests.decoder.synthetic import make_gop, make_header

ALL = ("motion", "drift", "window", "normalised", "log", "ycc", "energy", "field", "camera")
SETS = [
    (),
    ("motion", "drift"),
    ("window", "motion"),
    ("normalised", "window"),
    ("log", "ycc", "energy"),
    ("field",),
    ("camera",),
    ("motion", "window", "camera"),
    ALL,
]
YCC = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([3.0, 2.0, 6.0])[:, None]


def grid_features(grid, table, point: list[float]) -> list[float]:
    features, base = [], 0
    for side, scale, entries in zip(grid.resolutions, grid.scales, grid.entries(), strict=True):
        p = [scale * u + 0.5 for u in point]
        total = np.zeros(grid.feature_count)
        for corner in np.ndindex(*(2,) * grid.dims):
            weight, vertex = 1.0, []
            for d, e in enumerate(corner):
                f = p[d] - math.floor(p[d])
                weight *= f if e else 1 - f
                vertex.append(min(math.floor(p[d]) + e, side - 1))
            if side**grid.dims <= entries:
                address = sum(v * side**d for d, v in enumerate(vertex))
            else:
                address = 0
                for v, prime in zip(vertex, (1, 2654435761, 805459861), strict=False):
                    address ^= v * prime % 2**32
            total += weight * table[base + address % entries].astype(float)
        features += list(total)
        base += entries
    return features


def field_at(params: GopParameters, n: int, size: tuple[int, int], t: float) -> tuple[np.ndarray, np.ndarray]:
    f = params.field
    point = [*(params.mean[n].astype(float) / size), t]
    scaled = [min(max(x, 0.0), 1.0) * s for x, s in zip(point, f.input_scale, strict=True)]
    waves = [w for k in range(f.frequency_count) for w in (math.sin(2**k * math.pi * t), math.cos(2**k * math.pi * t))]
    h = np.array(grid_features(f.grid2, f.table2, scaled[:2]) + grid_features(f.grid3, f.table3, scaled) + waves)
    h = np.maximum(f.w1.astype(float) @ h + f.b1, 0)
    h = np.maximum(f.w2.astype(float) @ h + f.b2, 0)
    return f.mean_scale * (f.w_mean.astype(float) @ h + f.b_mean), f.colour_scale * (
        f.w_colour.astype(float) @ h + f.b_colour
    )


def gaussian_at(params: GopParameters, n: int, i: float, size: tuple[int, int]):
    """Mean, Cholesky factor, RGB and weight of Gaussian n at position i (SPEC 7.7)."""
    frames, r, tc = params.frame_count, 1.0, 0.0
    if params.birth is not None:
        b, d, edge, j = float(params.birth[n]), float(params.death[n]), params.edge, min(max(i, 0), frames - 1)
        r = min(max((j - b) / edge + 0.5, 0), 1) * min(max((d - j) / edge + 0.5, 0), 1)
        tc = (min(max(b, 0), frames - 1) + min(max(d, 0), frames - 1)) / 2
    tau = 2 * (i - tc) / frames
    s0, s1, s2 = params.shape[n].astype(float)
    l11, l22 = (math.exp(min(max(s, -16), 16)) for s in (s0, s2)) if params.shape_type else (s0, s2)
    l11, l22 = min(max(l11, 2**-4), 2**14), min(max(l22, 2**-4), 2**14)
    l21 = min(max(s1 * l22 if params.shape_type else s1, -(2**14)), 2**14)
    norm = math.sqrt(math.pi * l11 * l22) if params.colour_norm else 1.0
    mean, colour = params.mean[n].astype(float), params.colour[n].astype(float) / norm
    if params.motion is not None:
        mean = mean + sum(params.motion[n, k].astype(float) * tau ** (k + 1) for k in range(params.motion.shape[1]))
    if params.drift is not None:
        colour = colour + params.drift[n].astype(float) * tau / norm
    if params.field is not None:
        dmean, dcolour = field_at(params, n, size, (i + 0.5) / frames)
        mean, colour = mean + dmean, colour + dcolour
    if params.camera is not None:
        j = min(max(i, 0), frames - 1)
        k = min(math.floor(j), frames - 2)
        at = params.camera[k] + (j - k) * (params.camera[k + 1].astype(float) - params.camera[k])
        mean = mean + at[:2] + at[2:].reshape(2, 2) @ (mean - np.array(size) / 2)
    rgb = colour @ YCC if params.colour_space else colour
    return mean, np.array([[l11, 0], [l21, l22]]), rgb, r


def picture(params: GopParameters, i: float, size: tuple[int, int], view: View | None = None) -> np.ndarray:
    """`out` of SPEC 7.8 clamped to 0..1, [H, W, 3] float64, at another size and crop if asked (7.9)."""
    view = view or View(size, (0, 0, *size))
    x0, y0, width, height = view.crop
    scale = np.array(view.size) / size
    x, y = np.meshgrid(np.arange(width) + x0 + 0.5, np.arange(height) + y0 + 0.5)
    total, weights = np.zeros((height, width, 3)), np.zeros((height, width))
    for n in range(params.gaussian_count):
        mean, chol, rgb, r = gaussian_at(params, n, i, size)
        inverse = np.linalg.inv(np.diag(scale) @ chol)
        z = np.einsum("ab,bhw->ahw", inverse, np.stack([x - mean[0] * scale[0], y - mean[1] * scale[1]]))
        sigma = 0.5 * (z * z).sum(0)
        g = r * np.where(sigma < 4.5, np.exp(-sigma) - math.exp(-4.5), 0)
        total += g[..., None] * rgb
        weights += g
    if params.blend_mode:
        eps = params.blend_epsilon
        total = (total + eps * np.array(params.background)) / (weights + eps)[..., None]
    return np.clip(total, 0, 1)


def to_8bit(image: np.ndarray) -> np.ndarray:
    return np.floor(image * 255 + 0.5).astype(int)


def gop(tools: tuple[str, ...], gaussians: int = 25) -> tuple[GopParameters, object]:
    header = make_header()
    return dequantise(make_gop(header, 0, 10, gaussians, tools=tools)), header


@pytest.mark.parametrize("tools", SETS, ids=lambda t: "+".join(t) or "none")
@pytest.mark.parametrize("position", [-0.5, 0, 4, 7.25, 9.49])
def test_both_engines_draw_what_the_specification_says(tools, position):
    params, header = gop(tools)
    expected = picture(params, position, (48, 32)) * 255
    exact = GopRenderer(params, header, backend="reference").render(position)
    assert last_engine().name == "reference"
    assert (np.abs(exact - expected) < 0.5 + 1e-6).all()
    fast = GopRenderer(params, header, backend="cpu").render(position)
    assert last_engine().name == "cpu"
    assert (np.abs(fast - expected) < 0.51).all()
    assert np.abs(fast.astype(int) - to_8bit(expected / 255)).max() <= 1


@pytest.mark.parametrize("tools", [(), ALL], ids=["none", "all"])
@pytest.mark.parametrize(
    "view", [View((96, 64), (0, 0, 96, 64)), View((31, 50), (0, 0, 31, 50)), View((48, 32), (5, 7, 20, 11))]
)
def test_other_sizes_and_crops_are_drawn_not_resampled(tools, view):
    params, header = gop(tools)
    expected = picture(params, 3, (48, 32), view) * 255
    drawn = GopRenderer(params, header, view=view).render(3)
    assert drawn.shape == (*view.shape, 3)
    assert (np.abs(drawn - expected) < 0.52).all()


def test_gaussians_outside_their_life_are_left_out():
    params, header = gop(("window",), 200)
    rendered = GopRenderer(params, header)
    alive = sum(gaussian_at(params, n, 5, (48, 32))[3] > 0 for n in range(200))
    assert len(rendered.moving.at(5).mean) == alive < 200


def test_no_gaussians_draw_black_or_the_background():
    for tools, colour in ((), 0), (("normalised",), [51, 102, 153]):
        params, header = gop(tools, 0)
        assert (GopRenderer(params, header).render(0) == colour).all()


def test_out_is_filled_and_returned():
    params, header = gop(())
    for backend in ("cpu", "reference"):
        renderer, out = GopRenderer(params, header, backend=backend), np.empty((32, 48, 3), np.uint8)
        assert renderer.render(2, out) is out
        np.testing.assert_array_equal(out, renderer.render(2))


def test_numbers_that_overflow_draw_nothing_and_warn_of_nothing():
    params, header = gop(("motion", "drift", "energy", "log"))
    huge = np.full_like(params.colour, 3e38)
    motion = np.full_like(params.motion, 3e38)
    drawn = GopRenderer(replace(params, colour=huge, drift=huge, motion=motion), header).render(9)
    assert (drawn == 0).all()


def test_the_number_of_threads_changes_nothing():
    params, header = gop(ALL, 300)
    pictures = [GopRenderer(params, header, threads=threads).render(4) for threads in (1, 2, 5)]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_work_is_limited_before_drawing(monkeypatch):
    params, header = gop(())
    with pytest.raises(LimitError, match="--limit-covered-pixels"):
        GopRenderer(params, header, limits=Limits(covered_pixels=10)).render(0)
    monkeypatch.setitem(LEVELS, 1, replace(LEVELS[1], covered_pixels=10))
    with pytest.raises(FormatError, match=r"frames 0:10.*C-6\.5-16"):
        GopRenderer(params, header).render(0)


def test_drawing_larger_is_the_callers_wish(monkeypatch):
    params, header = gop(())
    covered = 25 * 100 * 10
    limits = Limits(covered_pixels=covered)
    GopRenderer(params, header, limits=limits).render(0)
    GopRenderer(params, header, limits=limits, view=View((480, 320), (0, 0, 480, 320))).render(0)


@pytest.mark.parametrize("tools", [(), ("field",)])
def test_memory_for_drawing_is_checked_before_it_is_taken(tools):
    header = make_header(64, 64, 1)
    params = dequantise(make_gop(header, 0, 1, 500, tools=tools, log_extent=(3.0, 0.1)))
    GopRenderer(params, header, limits=Limits(memory=600_000)).render(0)
    with pytest.raises(LimitError, match="--limit-memory"):
        GopRenderer(params, header, limits=Limits(memory=500 * 400))
    large = make_view(header, (640, 640))
    GopRenderer(params, header, view=large, limits=Limits(memory=30_000_000))
    with pytest.raises(LimitError, match="--limit-memory"):
        GopRenderer(params, header, view=large, limits=Limits(memory=6_000_000))
    with pytest.raises(LimitError, match="--limit-memory"):  # what the kernel keeps for each line it draws on
        GopRenderer(params, header, view=large, limits=Limits(memory=7_000_000)).render(0)
