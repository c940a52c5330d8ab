# SPDX-License-Identifier: MIT
"""Detail that moves with the Gaussians: every engine against the definition, and numbers that no encoder would make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscodec import kernels
from gscodec.kernels import Engine, reference_detail
from tests.kernels.parity import CPU_ENGINES, Array, available, peak, running

COMPILED = [engine for engine in CPU_ENGINES if available(engine)]
BACKGROUND = np.array([0.2, -0.5, 1.1], np.float32)
STILL = {"background": BACKGROUND, "epsilon": 0.05, "ratio": (1.0, 1.0), "corner": (0.0, 0.0)}
BAD = [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-45, 0.0]


def frame(size: tuple[int, int], detail: tuple[int, int], reach: float = 3.0) -> tuple[Array, Array, Array]:
    """Sums of colours and weights, of displacements of about `reach` pixels, and a detail picture."""
    rng = np.random.default_rng([*size, *detail])
    drawn = rng.uniform(0, 2, (4, *size))
    moved = rng.normal(0, reach, (2, *size)) * drawn[3]
    arrays = drawn, moved, rng.normal(0, 0.2, (*detail, 3))
    return tuple(array.astype(np.float32) for array in arrays)


def exact(arrays: tuple[Array, Array, Array], given: dict[str, Any]) -> Array:
    """By the definition, in float64."""
    return reference_detail.blend_detail(
        *arrays, np.asarray(given["background"], np.float32), given["epsilon"], given["ratio"], given["corner"]
    )


@pytest.mark.parametrize(
    ("size", "detail"),
    [
        ((1, 1), (1, 1)),
        ((1, 1), (9, 7)),
        ((5, 17), (1, 1)),
        ((4, 64), (4, 64)),
        ((33, 130), (33, 130)),
        ((9, 15), (2, 31)),
    ],
    ids=lambda size: f"{size[1]}x{size[0]}",
)
@pytest.mark.parametrize("corner", [(0.0, 0.0), (3.25, -2.5)], ids=str)
def test_every_engine_is_as_defined(engine, size, detail, corner):
    arrays, ratio = frame(size, detail), (detail[1] / size[1], detail[0] / size[0])
    given = STILL | {"ratio": ratio, "corner": corner}
    found = kernels.blend_detail(*arrays, **given)
    assert kernels.last_engine() == engine
    assert found.shape == (3, *size)
    assert found.dtype == np.float32
    assert peak(found, exact(arrays, given)) < 3e-5


@pytest.mark.parametrize("size", [(1, 1), (3, 15), (7, 16), (2, 83)], ids=lambda size: f"{size[1]}x{size[0]}")
def test_what_does_not_move_gets_its_own_pixel(engine, size):
    drawn, moved, detail = frame(size, size)
    found = kernels.blend_detail(drawn, np.zeros_like(moved), detail, **STILL)
    blended = (drawn[:3] + 0.05 * BACKGROUND[:, None, None].astype(float)) / (drawn[3] + 0.05)
    np.testing.assert_allclose(found, blended + detail.transpose(2, 0, 1), rtol=2e-6, atol=3e-7)


def test_detail_moves_against_the_displacement(engine):
    drawn, detail = np.zeros((4, 5, 9), np.float32), np.zeros((5, 9, 3), np.float32)
    drawn[3], detail[2, 3, 1] = 1, 1
    moved = np.empty((2, 5, 9), np.float32)
    moved[0], moved[1] = 2, -1
    found = kernels.blend_detail(drawn, moved, detail, **STILL | {"epsilon": 0.0})
    expected = np.zeros((3, 5, 9))
    expected[1, 1, 5] = 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", [(-1, -1), (1, 1), (-1, 1), (1, -1)])
@pytest.mark.parametrize("far", [50, 1e9, 1e30])
def test_outside_the_picture_lies_its_edge(engine, way, far):
    drawn, moved, detail = frame((6, 20), (6, 20))
    moved[:] = np.multiply(way, far)[:, None, None] * (drawn[3] + 1)
    found = kernels.blend_detail(drawn, moved, detail, **STILL)
    edge = detail[-1 if way[1] < 0 else 0, -1 if way[0] < 0 else 0]
    bare = kernels.blend_detail(drawn, moved, np.zeros_like(detail), **STILL)
    np.testing.assert_allclose(found, bare + edge[:, None, None], atol=1e-6)


@pytest.mark.parametrize("corner", [(1e9, -1e9), (-1e30, 1e30), (np.inf, np.nan), (-np.inf, 5e4)])
def test_corners_far_away(engine, corner):
    arrays, given = frame((6, 20), (8, 30)), STILL | {"corner": corner}
    assert peak(kernels.blend_detail(*arrays, **given), exact(arrays, given)) < 1e-5


@pytest.mark.parametrize(("width", "precision"), [(4096, 1e-2), (65535, 5e-2)])
def test_positions_keep_their_digits_in_wide_pictures(engine, width, precision):
    """The detail is the number of its column, modulo 64: an error in it is one in pixels."""
    drawn, moved, _ = frame((1, width), (1, 1), 0.3)
    columns = np.arange(3 * width // 4)
    detail = np.repeat((columns % 64)[None, :, None], 3, 2).astype(np.float32)
    drawn[:3] = 0
    given = STILL | {"background": np.zeros(3), "ratio": (0.75, 0.75), "corner": (1 / 3, 0.0)}
    error = np.abs(kernels.blend_detail(drawn, moved, detail, **given) - exact((drawn, moved, detail), given))
    steep = np.abs(detail[0, :, 0] - np.roll(detail[0, :, 0], 1)) > 1  # where 63 meets 0
    at = np.clip(np.arange(width) * 0.75, 0, len(columns) - 1).astype(int)
    near = np.any([np.roll(steep, k)[at] for k in range(-4, 5)], 0)
    assert error[:, 0, ~near].max() < (precision if engine.name == "triton" else 2e-5)


def test_numbers_that_are_none_count_as_zero(engine):
    detail = np.arange(1, 1 + 3 * 4 * 6, dtype=np.float32).reshape(4, 6, 3)
    drawn, moved = np.zeros((4, 4, 6), np.float32), np.full((2, 4, 6), np.nan, np.float32)
    drawn[3] = 1
    given = STILL | {"background": np.zeros(3)}
    np.testing.assert_array_equal(
        kernels.blend_detail(drawn, moved, detail, **given), np.broadcast_to(detail[0, 0][:, None, None], (3, 4, 6))
    )
    moved[:], drawn[3] = 0, 0  # 0 / 0
    found = kernels.blend_detail(drawn, moved, detail, **given | {"epsilon": 0.0})
    assert np.isnan(found).all()


def test_hostile_numbers_give_what_the_definition_gives(engine):
    pairs = np.array([(m, w) for m in BAD for w in [*BAD, 1.0]], np.float32)
    drawn, moved = np.zeros((4, 1, len(pairs)), np.float32), np.zeros((2, 1, len(pairs)), np.float32)
    drawn[3], moved[0], moved[1] = pairs[:, 1], pairs[:, 0], pairs[::-1, 0]
    detail = frame((1, 1), (5, 40))[2]
    given = STILL | {"background": np.zeros(3)}
    found, expected = kernels.blend_detail(drawn, moved, detail, **given), exact((drawn, moved, detail), given)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_in_the_detail_stays_near(engine, value):
    drawn, moved, detail = frame((9, 40), (9, 40))
    detail[4, 20, 1] = value
    found = kernels.blend_detail(drawn, np.zeros_like(moved), detail, **STILL)
    expected = exact((drawn, np.zeros_like(moved), detail), STILL)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    assert not np.isfinite(found[1, 4, 20])
    assert np.isfinite(found[[0, 2]]).all()


def test_the_result_does_not_depend_on_the_number_of_threads(cpu):
    arrays, given = frame((67, 131), (40, 90)), STILL | {"ratio": (0.7, 0.6)}
    results = {kernels.blend_detail(*arrays, **given, threads=threads).tobytes() for threads in (0, 1, 2, 3, 7)}
    assert len(results) == 1


def test_results_land_in_the_given_array(engine):
    drawn, moved, detail = frame((5, 21), (5, 21))
    image = np.full((3, 5, 21), np.nan, np.float32)
    assert kernels.blend_detail(drawn, moved, detail, **STILL, out=image) is image
    np.testing.assert_array_equal(image, kernels.blend_detail(drawn, moved, detail, **STILL))
    kernels.blend_detail(drawn, moved, detail, **STILL, out=drawn[:3])
    np.testing.assert_array_equal(drawn[:3], image)


floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize("engine", COMPILED, ids=lambda engine: engine.isa)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_floats_are_safe(engine: Engine, data: st.DataObject):
    size, sides = data.draw(st.tuples(*[st.integers(1, 20)] * 2)), data.draw(st.tuples(*[st.integers(1, 9)] * 2))
    arrays = [
        data.draw(hnp.arrays(np.float32, shape, elements=floats)) for shape in ((4, *size), (2, *size), (*sides, 3))
    ]
    pair = st.tuples(floats, floats)
    guard = np.full((5, *size), 7, np.float32)
    with running(engine):
        given = {"epsilon": data.draw(floats), "ratio": data.draw(pair), "corner": data.draw(pair)}
        kernels.blend_detail(*arrays, background=BACKGROUND, **given, out=guard[1:-1])
    assert (guard[0] == 7).all()
    assert (guard[-1] == 7).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"drawn": np.zeros((3, 5, 6), np.float32)}, "drawn"),
        ({"drawn": np.zeros((4, 0, 6), np.float32), "moved": np.zeros((2, 0, 6), np.float32)}, "drawn"),
        ({"moved": np.zeros((3, 5, 6), np.float32)}, "moved"),
        ({"moved": np.zeros((2, 5, 7), np.float32)}, "moved"),
        ({"detail": np.zeros((5, 6, 4), np.float32)}, "detail"),
        ({"detail": np.zeros((5, 0, 3), np.float32)}, "detail"),
        ({"detail": np.zeros((1, 65536, 3), np.float32)}, "detail"),
        ({"detail": np.zeros((5, 6, 3), complex)}, "dtype"),
        ({"background": np.zeros(4, np.float32)}, "background"),
        ({"out": np.zeros((4, 5, 6), np.float32)}, "out"),
        ({"out": np.zeros((3, 5, 6))}, "out"),
    ],
)
def test_wrong_shapes_are_named(change, text):
    arguments = {
        "drawn": np.zeros((4, 5, 6), np.float32),
        "moved": np.zeros((2, 5, 6), np.float32),
        "detail": np.zeros((5, 6, 3), np.float32),
    }
    with pytest.raises(kernels.ShapeError, match=text):
        kernels.blend_detail(**(STILL | arguments | change))


def test_a_batch_on_the_gpu_is_its_frames(gpu):
    kernels.blend_detail(*frame((1, 1), (1, 1)), **STILL)  # proves the engine, and loads it
    import torch

    from gscodec.kernels.triton import detail as engine_module

    device = kernels.registry.triton().default_device()
    frames = [frame((13, 21), (11, 30 + k)) for k in range(3)]
    drawn, moved = (torch.from_numpy(np.stack([parts[i] for parts in frames])).to(device) for i in (0, 1))
    picture, colour = (torch.from_numpy(array).to(device) for array in (frames[0][2], BACKGROUND))
    placed = {"ratio": (1.5, 0.75), "corner": (2.0, -1.0)}
    three = torch.cat([moved, torch.full_like(moved[:, :1], np.nan)], 1)  # as the rasteriser draws it
    for shift in (moved, three):
        found = engine_module.blend_detail(drawn, shift, picture, colour, 0.05, **placed).cpu().numpy()
        for k, arrays in enumerate(frames):
            alone = kernels.blend_detail(*arrays[:2], frames[0][2], **STILL | placed)
            np.testing.assert_array_equal(found[k], alone)
    with pytest.raises(kernels.ShapeError, match="moved"):
        engine_module.blend_detail(drawn, drawn, picture, colour, 0.05, **placed)
    with pytest.raises(kernels.ShapeError, match="detail"):
        engine_module.blend_detail(drawn, moved, picture[:0], colour, 0.05, **placed)
