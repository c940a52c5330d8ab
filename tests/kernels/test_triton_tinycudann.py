# SPDX-License-Identifier: MIT
"""The adapter to tiny-cuda-nn against our own engine, with a stand-in for the library (no GPU, so not run with it)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import HashGeometry, reference_field
from tests.kernels import standin_tinycudann
from tests.kernels.parity import make_field, make_geometry, relative
from tests.kernels.test_field import coordinates

HALF = 2e-3  # relative error of half precision, eight terms


@pytest.fixture
def library(monkeypatch, gpu):
    """The stand-in, installed and asked for."""
    from gscodec.kernels.triton import tcnn

    monkeypatch.setitem(sys.modules, "tinycudann", standin_tinycudann)
    monkeypatch.setenv("GSV_HASH_ENGINE", "tinycudann")
    tcnn._encodings.cache_clear()
    yield tcnn
    tcnn._encodings.cache_clear()


@pytest.mark.parametrize(
    "geometry",
    [
        HashGeometry.growing(2, 2, 10, 8),
        HashGeometry.growing(3, 4, 10, 8),
        HashGeometry.create(3, 2, 6, [8, 16, 32]),
        HashGeometry.create(2, 1, 8, [4, 7, 16], [2.5, 6.25, 14.0]),
        make_geometry(3, 8),
    ],
    ids=["paper 2D", "paper 3D", "main", "other scales", "wide"],
)
def test_levels_tables_and_gradients_agree(library, geometry):
    rng = np.random.default_rng(1)
    coords = coordinates(4, 150, geometry.dims)  # some on the far border, where tiny-cuda-nn reads the next row
    table = rng.normal(size=(geometry.total_entries, geometry.feature_count)).astype(np.float32)
    grad = rng.normal(size=(150, geometry.width)).astype(np.float32)
    found = kernels.hash_encode(coords, table, geometry)
    assert relative(found, reference_field.hash_encode(coords, table, geometry)) < HALF
    dtable, dcoords = kernels.hash_encode_backward(coords, table, geometry, grad)
    exact_table, exact_coords = reference_field.hash_encode_backward(coords, table, geometry, grad)
    assert relative(dtable, exact_table) < HALF
    inside = (coords < 0.9).all(1)  # at the border the slope is one-sided
    assert relative(dcoords[inside], exact_coords[inside]) < HALF


def test_the_library_did_the_work(library, monkeypatch):
    geometry, calls = make_geometry(2, 2, 3), []
    forward = standin_tinycudann.Encoding.forward
    monkeypatch.setattr(standin_tinycudann.Encoding, "forward", lambda self, x: calls.append(1) or forward(self, x))
    kernels.hash_encode(np.zeros((1, 2)), np.zeros((geometry.total_entries, 2)), geometry)
    assert len(calls) == 3


def test_a_field_with_it_stays_close(library):
    weights, xy = make_field(5, hidden=32), coordinates(2, 60, 2)
    found = np.concatenate(kernels.field_forward(weights, xy, 0.3), 1)
    assert 0 < relative(found, reference_field.field_forward(weights, xy, 0.3)) < 4 * HALF


def test_one_grid_with_the_growth_factor_would_not_agree():
    ours = HashGeometry.growing(2, 2, 10, 8)
    config = {"otype": "HashGrid", "n_levels": 8, "n_features_per_level": 2, "log2_hashmap_size": 10}
    theirs = standin_tinycudann.Encoding(2, {**config, "base_resolution": 16, "per_level_scale": 1.5})
    assert [side for _, side, _, _ in theirs.levels] != list(ours.resolutions)


def test_grids_it_cannot_express_are_refused(library):
    with pytest.raises(kernels.BackendError, match="cannot express"):
        kernels.hash_encode(np.zeros((1, 2)), np.zeros((40, 1)), HashGeometry(2, 1, (5,), (4.0,), (40,)))


def test_without_the_library_asking_for_it_is_an_error(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    library._encodings.cache_clear()
    with pytest.raises(kernels.BackendError, match="tiny-cuda-nn is not available"):
        kernels.hash_encode(np.zeros((1, 2)), np.zeros((16, 1)), HashGeometry.create(2, 1, 5, [4]))
    monkeypatch.setenv("GSV_HASH_ENGINE", "abacus")
    with pytest.raises(kernels.BackendError, match="abacus"):
        kernels.hash_encode(np.zeros((1, 2)), np.zeros((16, 1)), HashGeometry.create(2, 1, 5, [4]))


def test_half_precision_is_what_limits_it(library):
    geometry = make_geometry(2, 2)
    coords, table = coordinates(4, 50, 2), np.random.default_rng(3).normal(size=(geometry.total_entries, 2))
    exact = reference_field.hash_encode(coords, table.astype(np.float32), geometry)
    error = relative(kernels.hash_encode(coords, table, geometry), exact)
    for encoding in library._encodings(geometry):
        encoding.dtype = torch.float32
    assert relative(kernels.hash_encode(coords, table, geometry), exact) < error / 50
