# SPDX-License-Identifier: MIT
"""The detail of a GoP: its picture by the definition of the cosine transform, and frames with it from every engine."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.fft import idctn
from scipy.ndimage import map_coordinates

from gscodec import kernels
from gscodec.format.dequant import GopParameters, dequantise
from gscodec.format.errors import LimitError
from gscodec.format.limits import Limits
from gscodec.format.records import SequenceHeader
from gscodec.kernels import backends, rasterize
from gscodec_cli import VideoDecoder
from gscodec_cli.decoder import detail, reconstruct
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.detail import BASIS, ZIGZAG, detail_picture
from gscodec_cli.decoder.moving import MovingGaussians
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.view import YCC_TO_RGB, View
from tests.decoder.synthetic import make_file, make_gop, make_header
from tests.decoder.test_reconstruct import gaussian_at

GPU = next(backend for backend in backends() if backend.name == "triton")
ENGINES = ["cpu", pytest.param("triton", marks=pytest.mark.skipif(not GPU.available, reason=GPU.reason))]
SETS = [
    ("normalised", "detail"),
    ("normalised", "detail", "motion", "window"),
    ("normalised", "detail", "motion", "drift", "window", "log", "ycc", "energy", "field", "camera"),
    ("normalised", "still detail", "motion", "window"),
    ("normalised", "still detail", "motion", "drift", "window", "log", "ycc", "energy", "field", "camera"),
]
UNMOVED = ("normalised", "detail")
BOTH = pytest.mark.parametrize("tools", [SETS[1], SETS[3]], ids=["moving", "still"])
SIZE = 44, 29  # neither side is whole blocks
# Row by row of a block, the place of each coefficient in the file (ITU-T T.81, figure A.6).
TABLE = """
     0  1  5  6 14 15 27 28
     2  4  7 13 16 26 29 42
     3  8 12 17 25 30 41 43
     9 11 18 24 31 40 44 53
    10 19 23 32 39 45 52 54
    20 22 33 38 46 51 55 60
    21 34 37 47 50 56 59 61
    35 36 48 49 57 58 62 63
"""


def gop(tools: tuple[str, ...], frames: int = 6, **header: Any) -> tuple[GopParameters, SequenceHeader]:
    """A GoP of 40 Gaussians, which leave holes."""
    made = make_header(*SIZE, frames, **header)
    return dequantise(make_gop(made, 0, frames, 40, tools=tools)), made


def plain(params: GopParameters, position: float, view: View | None = None) -> np.ndarray:
    """[h, w, 3] in 0..1 in float64, one Gaussian at a time: what SPEC 7.8 and 7.10 say, written out once more."""
    view = view or View(SIZE, (0, 0, *SIZE))
    x0, y0, width, height = view.crop
    scale, home = np.array(view.size) / SIZE, params.frame_count // 2
    x, y = np.meshgrid(np.arange(width) + x0 + 0.5, np.arange(height) + y0 + 0.5)
    total, shift, weights = np.zeros((height, width, 3)), np.zeros((height, width, 2)), np.zeros((height, width))
    for n in range(params.gaussian_count):
        mean, chol, rgb, r = gaussian_at(params, n, position, SIZE)
        gone = (mean - gaussian_at(params, n, home, SIZE)[0]) * scale * params.detail_moving
        inverse = np.linalg.inv(np.diag(scale) @ chol)
        z = np.einsum("ab,bhw->ahw", inverse, np.stack([x - mean[0] * scale[0], y - mean[1] * scale[1]]))
        sigma = 0.5 * (z * z).sum(0)
        g = r * np.where(sigma < 4.5, np.exp(-sigma) - np.exp(-4.5), 0)
        total, shift, weights = total + g[..., None] * rgb, shift + g[..., None] * gone, weights + g
    whole = (weights + params.blend_epsilon)[..., None]
    colours, shift = (total + params.blend_epsilon * np.array(params.background)) / whole, shift / whole
    at = [(start - shift[..., k]) / scale[k] - 0.5 for k, start in enumerate((x, y))]
    picture = detail_picture(params.detail, SIZE[::-1], YCC_TO_RGB)
    planes = [map_coordinates(picture[..., c], at[::-1], order=1, mode="nearest") for c in range(3)]
    return np.clip(colours + np.stack(planes, 2), 0, 1)


def test_coefficients_stand_in_zigzag_order():
    np.testing.assert_array_equal(np.argsort(ZIGZAG), np.array(TABLE.split(), int))


def test_the_transform_is_orthonormal():
    np.testing.assert_allclose(BASIS @ BASIS.T, np.eye(8), atol=1e-15)


@pytest.mark.parametrize(
    ("rows", "columns", "size"), [(1, 1, (8, 8)), (1, 1, (1, 3)), (3, 5, (21, 33)), (2, 9, (16, 72))]
)
def test_the_picture_is_the_inverse_cosine_transform(rows, columns, size):
    rng = np.random.default_rng(rows)
    coefficients = rng.normal(0, 1, (3, rows, columns, 64))
    planes = np.zeros((3, rows * 8, columns * 8))
    for c, row, column in np.ndindex(3, rows, columns):
        block = coefficients[c, row, column][np.argsort(ZIGZAG)].reshape(8, 8)
        planes[c, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = idctn(block, norm="ortho")
    expected = planes.transpose(1, 2, 0)[: size[0], : size[1]] @ YCC_TO_RGB
    picture = detail_picture(coefficients, size, YCC_TO_RGB)
    np.testing.assert_allclose(picture, expected, atol=1e-13)
    single = detail_picture(coefficients, size, YCC_TO_RGB, np.float32)
    assert single.dtype == np.float32
    assert single.flags.c_contiguous
    np.testing.assert_array_equal(single, picture.astype(np.float32))


def test_a_renderer_has_the_picture_as_kernels_take_it(monkeypatch):
    """So that no frame converts it."""
    params, header = gop(UNMOVED)
    seen, blend = [], kernels.blend_detail
    monkeypatch.setattr(detail, "blend_detail", lambda *given, **more: seen.append(given[2]) or blend(*given, **more))
    renderer = GopRenderer(params, header, backend="cpu")
    renderer.render(0)
    renderer.render(1)
    assert seen[0] is seen[1]
    assert seen[0].dtype == np.float32
    assert seen[0].flags.c_contiguous


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tools", SETS, ids=["unmoved", "moving", "all", "still", "all still"])
@pytest.mark.parametrize("position", [-0.5, 0, 3, 4.75])
def test_every_engine_draws_what_the_specification_says(tools, engine, position):
    params, header = gop(tools)
    expected = plain(params, position) * 255
    drawn = GopRenderer(params, header, backend=engine).render(position)
    assert kernels.last_engine().name == engine
    assert (np.abs(drawn - expected) < 0.52).all()
    assert (np.abs(GopRenderer(params, header, backend="reference").render(position) - expected) < 0.5 + 1e-6).all()


@BOTH
@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_detail_changes_pictures(engine, tools):
    params, header = gop(tools)
    bare = GopRenderer(replace(params, detail=None), header, backend=engine).render(1)
    assert np.abs(GopRenderer(params, header, backend=engine).render(1).astype(int) - bare).mean() > 10


@BOTH
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("crop", [(0, 0, 1, 1), (5, 3, 20, 17), (43, 0, 1, 29)])
def test_a_part_is_the_cut_of_the_whole(engine, crop, tools):
    params, header = gop(tools)
    x, y, width, height = crop
    whole = GopRenderer(params, header, backend=engine).render(1)[y : y + height, x : x + width]
    part = GopRenderer(params, header, backend=engine, view=View(SIZE, crop)).render(1)
    assert part.shape == (height, width, 3)
    assert np.abs(part.astype(int) - whole).max() <= 1


@BOTH
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "view", [View((88, 58), (0, 0, 88, 58)), View((88, 58), (31, 7, 40, 50)), View((20, 31), (0, 0, 20, 31))]
)
def test_other_sizes_are_drawn_by_the_same_rule(engine, view, tools):
    params, header = gop(tools)
    drawn = GopRenderer(params, header, backend=engine, view=view).render(1)
    assert (np.abs(drawn - plain(params, 1, view) * 255) < 0.52).all()


def test_twice_the_size_is_near_the_enlarged_picture():
    params, header = gop(SETS[1])
    small = GopRenderer(params, header).render(1).astype(float)
    large = GopRenderer(params, header, view=View((88, 58), (0, 0, 88, 58))).render(1)
    again = large.reshape(29, 2, 44, 2, 3).mean((1, 3))
    assert np.abs(again - small).mean() < 6  # 255 is white; without its detail the picture is 20 off


def as_it_is(renderer: GopRenderer, position: float, engine: str) -> np.ndarray:
    """[h, w, 3] in 0..1: what the Gaussians draw at a position, and pixel by pixel the detail."""
    g = renderer.moving.at(position)
    sums = rasterize(g.mean, g.conic, g.feature, renderer.view.shape, backend=engine)
    image = renderer.blended(sums.astype(g.mean.dtype)).transpose(1, 2, 0) + renderer.detail.picture
    return np.clip(image, 0, 1)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_what_does_not_move_has_its_detail_as_it_is_in_every_frame(engine):
    params, header = gop(UNMOVED)
    renderer = GopRenderer(params, header, backend=engine)
    frames = [renderer.render(position) for position in range(6)]
    assert (np.abs(frames[0] - as_it_is(renderer, 0, engine) * 255) < 0.5 + 1e-3).all()
    assert len({frame.tobytes() for frame in frames}) == 1


@pytest.mark.parametrize("engine", [*ENGINES, "reference"])
def test_still_detail_is_as_it_is_while_the_gaussians_move(engine, monkeypatch):
    params, header = gop(SETS[4])
    monkeypatch.setattr(MovingGaussians, "displaced", None)  # is not called
    renderer = GopRenderer(params, header, backend=engine)
    frames = [renderer.render(position) for position in range(6)]
    for position, frame in enumerate(frames):
        assert (np.abs(frame - as_it_is(renderer, position, engine) * 255) < 0.5 + 1e-3).all()
    assert len({frame.tobytes() for frame in frames}) == 6


def test_gaussians_outside_their_life_in_the_home_frame_take_detail_along():
    params, header = gop(SETS[1])
    birth, death = np.where(np.arange(40) % 2, 2.5, -1), np.where(np.arange(40) % 2, 9, 1.0)
    params = replace(params, birth=birth.astype(np.float32), death=death.astype(np.float32), frame_count=6)
    for position in (0, 5):
        drawn = GopRenderer(params, header, backend="cpu").render(position)
        assert (np.abs(drawn - plain(params, position) * 255) < 0.52).all()


@pytest.mark.parametrize("tools", [SETS[2], SETS[4]], ids=["moving", "still"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ENGINES[1].marks)])
def test_any_order_gives_the_same_frames(device, tools):
    data = make_file(make_header(*SIZE, 7, max_gop_frames=4), 40, tools)
    with VideoDecoder(data, output="numpy", device=device) as decoder:
        frames = list(decoder)
    with VideoDecoder(data, output="numpy", device=device) as decoder:
        for index in (6, 2, 4, 0, 3, 5, 1):
            np.testing.assert_array_equal(decoder[index], frames[index])
    cpu = np.stack(list(VideoDecoder(data, output="numpy")))
    assert np.abs(np.stack(frames).astype(int) - cpu).max() <= 1


@BOTH
@pytest.mark.parametrize("engine", [*ENGINES, "reference"])
def test_frames_of_ten_bits(engine, tools):
    params, header = gop(tools, bit_depth=10)
    drawn, out = GopRenderer(params, header, backend=engine).render(1), np.empty((29, 44, 3), np.uint16)
    assert drawn.dtype == np.uint16
    assert np.abs(drawn - plain(params, 1) * 65535).max() <= 65535 * 2**-13
    assert GopRenderer(params, header, backend=engine).render(1, out) is out
    np.testing.assert_array_equal(out, drawn)


@BOTH
def test_batches_of_ten_bits(tools):
    if not GPU.available:
        pytest.skip(GPU.reason)
    data = make_file(make_header(*SIZE, 3, bit_depth=10), 40, tools)
    expected = np.stack(list(VideoDecoder(data, output="numpy")))
    found = VideoDecoder(data, output="numpy", device="cuda")[:]
    assert found.dtype == np.uint16
    assert np.abs(found.astype(int) - expected).max() <= 65535 * 2**-13


def test_out_is_filled_and_returned():
    params, header = gop(UNMOVED)
    renderer, out = GopRenderer(params, header), np.empty((58, 44, 3), np.uint8)[::2]
    assert renderer.render(2, out) is out
    np.testing.assert_array_equal(out, renderer.render(2))


def test_the_number_of_threads_changes_nothing():
    params, header = gop(SETS[2])
    assert len({GopRenderer(params, header, threads=threads).render(4).tobytes() for threads in (1, 2, 5)}) == 1


def test_memory_is_checked_before_the_picture_is_made(monkeypatch):
    header = make_header(640, 400, 1)
    params = dequantise(make_gop(header, 0, 1, 5, tools=UNMOVED))
    bare = Limits(memory=8 << 20)
    GopRenderer(replace(params, detail=None), header, limits=bare).render(0)
    with monkeypatch.context() as patch, pytest.raises(LimitError, match="--limit-memory"):
        patch.setattr(reconstruct.Detail, "of", None)  # is not called
        GopRenderer(params, header, limits=bare)
    GopRenderer(params, header, limits=Limits(memory=20 << 20)).render(0)


def test_the_picture_takes_no_more_memory_than_is_counted():
    header = make_header(640, 400, 1)
    params = dequantise(make_gop(header, 0, 1, 5, tools=UNMOVED))
    tracemalloc.start()
    try:
        detail_picture(params.detail, (400, 640), YCC_TO_RGB)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    strip = 8 * 640 * 24
    assert most + 24 * 640 * 400 < reconstruct.DETAIL_BYTES * 640 * 400 + 6 * strip  # beside symbols and coefficients


@BOTH
@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_numbers_that_overflow_warn_of_nothing(engine, tools):
    params, header = gop(tools)
    for changed in ({"detail": np.full_like(params.detail, 3e38)}, {"motion": np.full_like(params.motion, 3e38)}):
        drawn = GopRenderer(replace(params, **changed), header, backend=engine).render(5)
        assert drawn.shape == (29, 44, 3)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_gaussian_that_is_not_drawn_takes_no_detail_along(engine):
    params, header = gop(SETS[1])
    colour = params.colour.copy()
    colour[::3] = np.inf
    kept = np.arange(40) % 3 > 0
    arrays = {name: getattr(params, name)[kept] for name in ("mean", "shape", "colour", "motion", "birth", "death")}
    found = GopRenderer(replace(params, colour=colour), header, backend=engine).render(1)
    np.testing.assert_array_equal(found, GopRenderer(replace(params, **arrays), header, backend=engine).render(1))


def test_a_file_in_any_way_is_the_renderers_frames():
    data = make_file(make_header(*SIZE, 7, max_gop_frames=4), 40, SETS[1])
    frames = list(StreamDecoder(data).frames(0, 7))
    renderer, inside = StreamDecoder(data).enter(5)
    np.testing.assert_array_equal(renderer.render(inside), frames[5])
