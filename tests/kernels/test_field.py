# SPDX-License-Identifier: MIT
"""Hash encoding, field and optimiser against their float64 definitions and against plain float32 torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import HashGeometry, reference_field, torch_ref
from tests.kernels.parity import Array, assert_as_good, make_field, make_geometry

SHAPES = [(2, 1), (2, 2), (3, 4), (3, 8)]


def coordinates(seed: int, count: int, dims: int) -> Array:
    """Points in the unit cube, some on its faces and on vertices of the grids."""
    rng = np.random.default_rng(seed)
    coords = rng.uniform(0, 1, (count, dims)).astype(np.float32)
    coords[::7] = np.round(coords[::7])
    coords[::9] = 0.5
    return coords


@pytest.mark.parametrize(("dims", "features"), SHAPES)
@pytest.mark.parametrize("count", [0, 1, 15, 200])
def test_hash_encoding_is_as_exact_as_float32_torch(cpu, dims, features, count):
    geometry = make_geometry(dims, features)
    rng = np.random.default_rng(count)
    coords = coordinates(1, count, dims)
    table = rng.normal(size=(geometry.total_entries, features)).astype(np.float32)
    grad = rng.normal(size=(count, geometry.width)).astype(np.float32)
    x, entries = torch.from_numpy(coords).requires_grad_(), torch.from_numpy(table).requires_grad_()
    plain = torch_ref.hash_encode(x, entries, geometry)
    plain.backward(torch.from_numpy(grad))
    exact = reference_field.hash_encode(coords, table, geometry)
    assert_as_good(kernels.hash_encode(coords, table, geometry), exact, plain.detach().numpy())
    dtable, dcoords = kernels.hash_encode_backward(coords, table, geometry, grad)
    exact_table, exact_coords = reference_field.hash_encode_backward(coords, table, geometry, grad)
    assert_as_good(dtable, exact_table, entries.grad.numpy())
    assert_as_good(dcoords, exact_coords, x.grad.numpy())
    assert not dtable[exact_table == 0].any()


def test_geometry_follows_the_table_of_the_specification():
    grid2, grid3 = HashGeometry.growing(2, 2, 10, 8), HashGeometry.growing(3, 4, 10, 8)
    assert grid2.resolutions == (16, 24, 36, 54, 81, 121, 182, 273)
    assert grid2.entries == (256, 576, *[1024] * 6)
    assert grid2.offsets[:3] == (0, 256, 832)
    assert [grid2.dense(level) for level in range(3)] == [True, True, False]
    assert grid3.entries == (1024,) * 8
    assert grid3.width == 32


@pytest.mark.parametrize(
    "arguments",
    [
        (4, 2, (4,), (3.0,), (256,)),
        (2, 3, (4,), (3.0,), (16,)),
        (2, 2, (4,), (3.0,), (16, 16)),
        (2, 2, (0,), (3.0,), (16,)),
        (2, 2, (8,), (3.0,), (63,)),
    ],
)
def test_impossible_geometries_are_refused(arguments):
    with pytest.raises(kernels.ShapeError):
        HashGeometry(*arguments)


@pytest.mark.parametrize(("hidden", "frequencies", "levels"), [(128, 6, 4), (32, 0, 3), (7, 2, 1), (50, 3, 0)])
@pytest.mark.parametrize("count", [1, 48, 300])
def test_field_is_as_exact_as_float32_torch(cpu, hidden, frequencies, levels, count):
    weights = make_field(hidden, hidden, frequencies, levels)
    xy = coordinates(2, count, 2)
    dheads = np.random.default_rng(3).normal(size=(count, 5)).astype(np.float32)
    tensors = [torch.from_numpy(tensor.copy()).requires_grad_() for tensor in weights.tensors]
    grids = weights.geometry2, weights.geometry3, weights.input_scale
    plain = torch.cat(torch_ref.field_heads(torch.from_numpy(xy), 0.35, tensors, *grids, frequencies), 1)
    plain.backward(torch.from_numpy(dheads))
    found = np.concatenate(kernels.field_forward(weights, xy, 0.35), 1)
    assert_as_good(found, reference_field.field_forward(weights, xy, 0.35), plain.detach().numpy(), floor=4e-6)
    grads = kernels.field_backward(weights, xy, 0.35, dheads[:, :2], dheads[:, 2:])
    exact = reference_field.field_backward(weights, xy, 0.35, dheads)
    for grad, truth, tensor in zip(grads, exact, tensors, strict=True):
        expected = tensor.grad if tensor.grad is not None else torch.zeros_like(tensor)
        assert_as_good(grad, truth, expected.numpy(), floor=4e-6)


@pytest.mark.parametrize("t", [0.0, 0.05, 0.5, 0.999, 1.0])
def test_plan_gives_the_scaled_heads(engine, t):
    weights = make_field(4)
    xy = coordinates(5, 101, 2)
    mean, colour = kernels.FieldPlan(weights, xy).evaluate(t)
    exact = reference_field.field_forward(weights, xy, t) * ([weights.mean_scale] * 2 + [weights.colour_scale] * 3)
    np.testing.assert_allclose(np.concatenate([mean, colour], 1), exact, atol=3e-5)


def test_plan_keeps_what_it_was_made_from(engine):
    weights = make_field(6)
    xy = coordinates(6, 60, 2)
    plan = kernels.FieldPlan(weights, xy)
    before = plan.evaluate(0.3)
    if engine.name == "cpu":
        for tensor in weights.tensors:
            tensor[:] = 0
    plan.evaluate(0.9)
    for first, again in zip(before, plan.evaluate(0.3), strict=True):
        np.testing.assert_array_equal(first, again)


def test_results_do_not_depend_on_the_number_of_threads(cpu):
    weights = make_field(7, hidden=40)
    xy = coordinates(8, 1500, 2)
    dheads = np.random.default_rng(9).normal(size=(1500, 5)).astype(np.float32)
    coords = coordinates(10, 1500, 3)
    grad = np.random.default_rng(11).normal(size=(1500, weights.geometry3.width)).astype(np.float32)

    def run(threads: int) -> list[bytes]:
        heads = kernels.field_forward(weights, xy, 0.4, threads=threads)
        plan = kernels.FieldPlan(weights, xy, threads=threads).evaluate(0.4, threads=threads)
        grads = kernels.field_backward(weights, xy, 0.4, dheads[:, :2], dheads[:, 2:], threads=threads)
        features = kernels.hash_encode(coords, weights.table3, weights.geometry3, threads=threads)
        back = kernels.hash_encode_backward(coords, weights.table3, weights.geometry3, grad, threads=threads)
        return [array.tobytes() for array in (*heads, *plan, *grads, features, *back)]

    assert run(1) == run(2) == run(3) == run(8) == run(0)


def test_field_shapes_are_checked():
    weights = make_field(1)
    with pytest.raises(kernels.ShapeError, match="xy"):
        kernels.field_forward(weights, np.zeros((3, 3), np.float32), 0.5)
    with pytest.raises(kernels.ShapeError, match="dcolour"):
        kernels.field_backward(weights, np.zeros((3, 2)), 0.5, np.zeros((3, 2)), np.zeros((4, 3)))
    fields = dict(vars(weights)) | {"w2": np.zeros((3, 3), np.float32)}
    with pytest.raises(kernels.ShapeError, match="w2"):
        kernels.FieldWeights(**fields)


@pytest.mark.parametrize("shape", [(0,), (1,), (17,), (33, 1001)])
def test_adam_is_torch_adam(engine, shape):
    rng = np.random.default_rng(12)
    param = rng.normal(size=shape).astype(np.float32)
    target = torch.from_numpy(param.copy()).requires_grad_()
    optimiser = torch.optim.Adam([target], lr=0.02, betas=(0.8, 0.99), eps=1e-6)
    m, v = np.zeros_like(param), np.zeros_like(param)
    for step in range(1, 6):
        grad = rng.normal(size=shape).astype(np.float32)
        target.grad = torch.from_numpy(grad)
        optimiser.step()
        kernels.adam_step(param, grad, m, v, 0.02, 0.8, 0.99, 1e-6, step)
    np.testing.assert_allclose(param, target.detach().numpy(), atol=2e-6)


def test_adam_of_many_arrays_is_torch_adam(engine):
    rng = np.random.default_rng(13)
    params = [rng.normal(size=shape).astype(np.float32) for shape in ((3,), (0, 2), (9001, 2), ())]
    targets = [torch.from_numpy(param.copy()).requires_grad_() for param in params]
    groups = [{"params": [target], "lr": 0.5 * rate} for target, rate in zip(targets, (0.1, 1, 0.02, 0.3), strict=True)]
    expected = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
    ours = kernels.Adam(params, (0.1, 1, 0.02, 0.3), beta2=0.99, eps=1e-15)
    for step in range(4):
        grads = [rng.normal(size=param.shape).astype(np.float32) for param in params]
        for target, grad in zip(targets, grads, strict=True):
            target.grad = torch.from_numpy(np.array(grad))
        expected.step()
        ours.step(grads, share=0.5)
        assert ours.steps == step + 1
    for param, target in zip(params, targets, strict=True):
        np.testing.assert_allclose(param, target.detach().numpy(), atol=2e-6)
    before = [param.copy() for param in params]
    ours.step([None, None, np.ones((9001, 2)), None])
    assert [bool((a != b).any()) for a, b in zip(params, before, strict=True)] == [False, False, True, False]


def test_adam_refuses_what_it_cannot_change_in_place():
    a = np.zeros((4, 4), np.float32)
    with pytest.raises(kernels.ShapeError):
        kernels.adam_step(a[:, ::2], a[:, ::2], a[:, ::2], a[:, ::2], 0.1, 0.9, 0.99, 1e-8, 1)
    with pytest.raises(kernels.ShapeError):
        kernels.adam_step(a, a, a, a, 0.1, 0.9, 1.0, 1e-8, 1)
    with pytest.raises(kernels.ShapeError):
        kernels.Adam([a[:, ::2]], [0.1])
    with pytest.raises(kernels.ShapeError):
        kernels.Adam([a], [0.1]).step([np.zeros(3, np.float32)])
