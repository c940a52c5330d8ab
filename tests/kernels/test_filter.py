# SPDX-License-Identifier: MIT
"""The filter behind the picture: every engine against the definition, taps by hand, numbers that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscodec import kernels
from gscodec.kernels import Engine, reference_filter
from gscodec.kernels.reference_filter import OFFSETS, REACH, RGB_TO_YCC
from gscodec_cli.decoder.view import YCC_TO_RGB
from tests.kernels.parity import CPU_ENGINES, Array, available, peak, running

COMPILED = [engine for engine in CPU_ENGINES if available(engine)]
SIZES = [(1, 1), (2, 5), (5, 2), (1, 40), (40, 1), (17, 33), (64, 48), (35, 300), (33, 257)]
NONE = np.zeros((3, 12), np.float32)


def made(size: tuple[int, int]) -> tuple[Array, Array]:
    """A picture that reaches out of 0..1, and weights larger than those of a useful filter."""
    rng = np.random.default_rng(size)
    return rng.uniform(-0.3, 1.3, (3, *size)).astype(np.float32), rng.normal(0, 0.2, (3, 12)).astype(np.float32)


def test_the_offsets_are_half_of_the_diamond():
    diamond = {(y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1) if abs(y) + abs(x) <= REACH}
    assert list(OFFSETS) == sorted(OFFSETS)
    assert {*OFFSETS, *((-y, -x) for y, x in OFFSETS), (0, 0)} == diamond
    assert len(OFFSETS) * 2 + 1 == len(diamond)


def test_the_colour_space_is_that_of_the_decoder():
    np.testing.assert_array_equal(RGB_TO_YCC, YCC_TO_RGB)
    np.testing.assert_allclose(RGB_TO_YCC @ RGB_TO_YCC.T, np.eye(3), atol=1e-15)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_every_engine_is_as_defined(engine, size):
    picture, weights = made(size)
    found = kernels.filter_picture(picture, weights)
    assert kernels.last_engine() == engine
    assert found.shape == picture.shape
    assert found.dtype == np.float32
    assert peak(found, reference_filter.filter_picture(picture, weights)) < 3e-6


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_weights_of_zero_give_the_clamped_picture(engine, size):
    picture, _ = made(size)
    assert peak(kernels.filter_picture(picture, NONE), np.clip(picture, 0, 1).astype(float)) < 5e-7


@pytest.mark.parametrize("tap", range(12), ids=lambda k: "dy{}dx{}".format(*OFFSETS[k]))
@pytest.mark.parametrize("component", range(3), ids="yuv".__getitem__)
def test_each_tap_takes_from_two_pixels_opposite_each_other(engine, component, tap):
    picture, weights = np.zeros((3, 9, 23), np.float32), NONE.copy()
    picture[:, 4, 15], weights[component, tap] = (1.0, 0.5, 0.25), 0.125
    axis = np.array(((1, 1, 1), (1, 0, -1), (1, -2, 1))[component]) / (3, 2, 6)[component] ** 0.5
    amount = axis @ (1.0, 0.5, 0.25) * axis
    expected, (dy, dx) = picture.astype(float), OFFSETS[tap]
    expected[:, 4, 15] -= 0.25 * amount
    expected[:, 4 + dy, 15 + dx] += 0.125 * amount
    expected[:, 4 - dy, 15 - dx] += 0.125 * amount
    np.testing.assert_allclose(kernels.filter_picture(picture, weights), expected, atol=2e-7)


def test_outside_the_picture_lies_its_edge(engine):
    picture, weights = made((19, 30))
    wide = np.pad(picture, ((0, 0), (REACH, REACH), (REACH, REACH)), mode="edge")
    inner = kernels.filter_picture(wide, weights)[:, REACH:-REACH, REACH:-REACH]
    assert peak(kernels.filter_picture(picture, weights), inner.astype(float)) < 1e-6


@pytest.mark.parametrize(
    ("value", "counts_as"), [(np.nan, 0), (np.inf, 1), (-np.inf, 0), (1e38, 1), (-1e38, 0), (-0.0, 0), (1e-45, 0)]
)
def test_numbers_out_of_range_count_as_the_nearest_in_it(engine, value, counts_as):
    picture, weights = made((7, 40))
    clean = picture.copy()
    for c, y, x in ((0, 0, 0), (1, 3, 17), (2, 6, 39), (1, 6, 5)):
        picture[c, y, x], clean[c, y, x] = value, counts_as
    np.testing.assert_array_equal(kernels.filter_picture(picture, weights), kernels.filter_picture(clean, weights))


def test_the_result_does_not_depend_on_the_number_of_threads(cpu):
    arrays = made((131, 523))
    results = {kernels.filter_picture(*arrays, threads=threads).tobytes() for threads in (0, 1, 2, 3, 7)}
    assert len(results) == 1


def test_results_land_in_the_given_array(engine):
    picture, weights = made((70, 21))
    image = np.full(picture.shape, np.nan, np.float32)
    assert kernels.filter_picture(picture, weights, out=image) is image
    np.testing.assert_array_equal(image, kernels.filter_picture(picture, weights))
    assert kernels.filter_picture(picture, weights, out=picture) is picture
    np.testing.assert_array_equal(picture, image)


floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize("engine", COMPILED, ids=lambda engine: engine.isa)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_floats_are_safe(engine: Engine, data: st.DataObject):
    size = data.draw(st.tuples(*[st.integers(1, 20)] * 2))
    arrays = [data.draw(hnp.arrays(np.float32, shape, elements=floats)) for shape in ((3, *size), (3, 12))]
    guard = np.full((5, *size), 7, np.float32)
    with running(engine):
        kernels.filter_picture(*arrays, out=guard[1:-1])
    assert (guard[0] == 7).all()
    assert (guard[-1] == 7).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"picture": np.zeros((4, 5, 6), np.float32)}, "picture"),
        ({"picture": np.zeros((5, 6), np.float32)}, "picture"),
        ({"picture": np.zeros((3, 0, 6), np.float32)}, "picture"),
        ({"picture": np.zeros((3, 1, 65536), np.float32)}, "picture"),
        ({"picture": np.zeros((3, 5, 6), complex)}, "dtype"),
        ({"weights": np.zeros((3, 11), np.float32)}, "weights"),
        ({"weights": np.zeros((1, 12), np.float32)}, "weights"),
        ({"weights": np.zeros(36, np.float32)}, "weights"),
        ({"out": np.zeros((3, 5, 7), np.float32)}, "out"),
        ({"out": np.zeros((3, 5, 6))}, "out"),
    ],
)
def test_wrong_shapes_are_named(change, text):
    with pytest.raises(kernels.ShapeError, match=text):
        kernels.filter_picture(**({"picture": np.zeros((3, 5, 6), np.float32), "weights": NONE} | change))


def test_an_unknown_backend_is_an_error():
    with pytest.raises(kernels.BackendError, match="abacus"):
        kernels.filter_picture(np.zeros((3, 5, 6), np.float32), NONE, backend="abacus")


def test_a_batch_on_the_gpu_is_its_frames(gpu):
    kernels.filter_picture(np.zeros((3, 1, 1)), NONE)  # proves the engine, and loads it
    import torch

    from gscodec.kernels.triton import filter as engine_module

    device = kernels.registry.triton().default_device()
    frames, weights = np.stack([made((13, 21 + k))[0][:, :, :21] for k in range(3)]), made((13, 21))[1]
    pictures, shares = (torch.from_numpy(array).to(device) for array in (frames, weights))
    found = engine_module.filter_picture(pictures, shares).cpu().numpy()
    for frame, alone in zip(frames, found, strict=True):
        np.testing.assert_array_equal(kernels.filter_picture(frame, weights), alone)
    np.testing.assert_array_equal(pictures.cpu().numpy(), frames)
    assert engine_module.filter_picture(pictures[:0], shares).shape == (0, 3, 13, 21)
    with pytest.raises(kernels.ShapeError, match="pictures"):
        engine_module.filter_picture(pictures[:, :2], shares)
    with pytest.raises(kernels.ShapeError, match="pictures"):
        engine_module.filter_picture(pictures[:, :, :0], shares)
    with pytest.raises(kernels.ShapeError, match="weights"):
        engine_module.filter_picture(pictures, shares[:, :11])
