# SPDX-License-Identifier: MIT
"""Inputs that no encoder would make: never a crash, never a write outside the arrays, and the promised result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscodec import kernels
from gscodec.kernels import Engine, HashGeometry, reference
from tests.kernels.parity import CPU_ENGINES, available, make_field, make_geometry, make_scene, running

BAD = [np.nan, np.inf, -np.inf]
COMPILED = [engine for engine in CPU_ENGINES if available(engine)]


def degenerate_conics() -> np.ndarray:
    """Conics that are not drawn: a <= 0, det <= 0, or not finite."""
    rows = [[0, 0, 1], [-1, 0, 1], [1, 0, 0], [1, 0, -1], [1, 1, 1], [1, -2, 1], [-1, 0, -1], [0, 0, 0]]
    rows += [[bad, 0, 1] for bad in BAD] + [[1, bad, 1] for bad in BAD] + [[1, 0, bad] for bad in BAD]
    return np.array(rows, np.float32)


def test_degenerate_gaussians_are_not_drawn(engine):
    scene = make_scene(1, 50, (40, 50))
    conic = degenerate_conics()
    mean = np.full((len(conic), 2), 20, np.float32)
    feature = np.ones((len(conic), 3), np.float32)
    for column in (0, 1):  # and a good conic at a bad place, or with a bad colour
        for bad in BAD:
            mean = np.append(mean, np.where(np.arange(2) == column, bad, 20).astype(np.float32)[None], 0)
            conic = np.append(conic, np.array([[0.1, 0, 0.1]], np.float32), 0)
            feature = np.append(feature, np.ones((1, 3), np.float32), 0)
    mean = np.append(mean, np.full((3, 2), 20, np.float32), 0)
    conic = np.append(conic, np.full((3, 3), [0.1, 0, 0.1], np.float32), 0)
    feature = np.append(feature, np.array([[bad, 0, 0] for bad in BAD], np.float32), 0)
    together = [np.concatenate(pair) for pair in zip(scene.arrays, (mean, conic, feature), strict=True)]
    np.testing.assert_array_equal(
        kernels.rasterize(*together, scene.size), kernels.rasterize(*scene.arrays, scene.size)
    )
    for grad in kernels.rasterize_backward(*together, np.ones((3, 40, 50), np.float32)):
        assert not grad[50:].any()
        assert np.isfinite(grad).all()


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e-8, 1e8, 1e20, 3e38])
def test_extreme_sizes_stay_finite(engine, scale):
    conic = np.array([[1, 0, 1], [1, 0.999, 1], [1, 0, 1e-3], [1e-3, 0, 1]], np.float32) * np.float32(scale)
    mean = np.array([[5.5, 6.5], [0, 0], [11, 3], [-1e4, 1e4]], np.float32)
    feature = np.full((4, 3), 0.25, np.float32)
    image = kernels.rasterize(mean, conic, feature, (13, 11))
    assert np.isfinite(image).all()
    assert np.abs(image).max() <= 1
    kernels.render_rgb8(mean, conic, feature, (13, 11))
    kernels.rasterize_backward(mean, conic, feature, np.ones((3, 13, 11), np.float32))


def test_a_gaussian_larger_than_the_largest_frame(engine):
    conic = np.array([[2.0**-30, 0, 2.0**-30]], np.float32)
    image = kernels.rasterize(np.zeros((1, 2), np.float32), conic, np.ones((1, 3), np.float32), (9, 70))
    np.testing.assert_allclose(image, 1 - np.exp(-4.5), atol=1e-4)


floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize("engine", COMPILED, ids=lambda engine: engine.isa)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_floats_are_safe(engine: Engine, data: st.DataObject):
    count = data.draw(st.integers(0, 6))
    size = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    channels = data.draw(st.sampled_from([3, 4]))
    mean, conic, feature = (
        data.draw(hnp.arrays(np.float32, (count, columns), elements=floats)) for columns in (2, 3, channels)
    )
    guard = np.full((channels + 2, *size), 7, np.float32)
    with running(engine), np.errstate(all="ignore"):
        kernels.rasterize(mean, conic, feature, size, out=guard[1:-1])
        kernels.render_rgb8(mean, conic, feature, size, epsilon=data.draw(floats))
        kernels.rasterize_backward(mean, conic, feature, np.ones((channels, *size), np.float32))
    assert (guard[0] == 7).all()
    assert (guard[-1] == 7).all()
    assert kernels.covered_pixels(mean, conic, size) == reference.covered_pixels(mean, conic, size)


@pytest.mark.parametrize("engine", COMPILED, ids=lambda engine: engine.isa)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_coordinates_and_tables_are_safe(engine: Engine, data: st.DataObject):
    dims, features = data.draw(st.sampled_from([(2, 1), (2, 2), (3, 4), (3, 8)]))
    base = make_geometry(dims, features, data.draw(st.integers(0, 4)))
    scales = data.draw(st.tuples(*[st.floats(width=32) for _ in base.scales]))
    geometry = HashGeometry(dims, features, base.resolutions, scales, base.entries)
    coords = data.draw(hnp.arrays(np.float32, (data.draw(st.integers(0, 20)), dims), elements=floats))
    table = data.draw(hnp.arrays(np.float32, (geometry.total_entries, features), elements=floats, fill=floats))
    with running(engine):
        features_out = kernels.hash_encode(coords, table, geometry)
        kernels.hash_encode_backward(coords, table, geometry, features_out)


def test_any_field_is_safe(engine):
    weights = make_field(1)
    for tensor in weights.tensors:
        tensor.reshape(-1)[::3] = np.resize([np.nan, np.inf, -np.inf, 3e38], tensor.reshape(-1)[::3].shape)
    xy = np.resize(np.array([np.nan, np.inf, -np.inf, 3e38, 0.5], np.float32), (61, 2)).copy()
    with np.errstate(all="ignore"):
        for t in (0.5, -1.0, 2.0, 1e30):
            mean, colour = kernels.field_forward(weights, xy, t)
            kernels.field_backward(weights, xy, t, mean, colour)
            kernels.FieldPlan(weights, xy).evaluate(t)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mean": np.zeros((3, 2), np.float32)}, "conic"),
        ({"mean": np.zeros((2, 3), np.float32)}, "mean"),
        ({"conic": np.zeros((3, 3), np.float32)}, "conic"),
        ({"feature": np.zeros((2, 5), np.float32)}, "feature"),
        ({"feature": np.zeros((3, 3), np.float32)}, "feature"),
        ({"feature": np.zeros((2, 3), complex)}, "dtype"),
        ({"size": (0, 5)}, "size"),
        ({"size": (5, 65536)}, "size"),
        ({"out": np.zeros((3, 5, 6), np.float32)}, "out"),
        ({"out": np.zeros((3, 5, 5))}, "out"),
    ],
)
def test_wrong_shapes_are_named(change, text):
    arguments = {
        "mean": np.zeros((2, 2), np.float32),
        "conic": np.zeros((2, 3), np.float32),
        "feature": np.zeros((2, 3), np.float32),
        "size": (5, 5),
    }
    with pytest.raises(kernels.ShapeError, match=text):
        kernels.rasterize(**(arguments | change))


def test_unusual_layouts_are_taken():
    scene = make_scene(2, 30, (20, 20))
    expected = kernels.rasterize(*scene.arrays, scene.size)
    doubles = [array.astype(np.float64) for array in scene.arrays]
    np.testing.assert_array_equal(kernels.rasterize(*doubles, scene.size), expected)
    fortran = [np.asfortranarray(array) for array in scene.arrays]
    np.testing.assert_array_equal(kernels.rasterize(*fortran, scene.size), expected)
    for array in scene.arrays:
        array.flags.writeable = False
    np.testing.assert_array_equal(kernels.rasterize(*scene.arrays, scene.size), expected)
