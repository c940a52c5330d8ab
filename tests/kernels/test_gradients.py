# SPDX-License-Identifier: MIT
"""The definitions' gradients against finite differences, and the torch functions against torch's own gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from gscodec import kernels
from gscodec.kernels import reference, reference_field, torch_ref
from gscodec.kernels.autograd import FieldFunction, HashEncode, Rasterize
from tests.kernels.parity import Array, make_field, make_geometry, make_scene, relative


def check_differences(
    function: Callable[..., Array], arrays: Sequence[Array], grads: Sequence[Array], dout: Array, step: float = 1e-6
) -> None:
    """Central differences of sum(function(*arrays) * dout) along random directions equal the given gradients."""
    rng = np.random.default_rng(0)
    for k, (array, grad) in enumerate(zip(arrays, grads, strict=True)):
        for _ in range(4):
            direction = rng.normal(size=array.shape)
            ends = []
            for sign in (1, -1):
                moved = [a + sign * step * direction if i == k else a for i, a in enumerate(arrays)]
                ends.append(float((function(*moved) * dout).sum()))
            difference = (ends[0] - ends[1]) / (2 * step)
            scale = float(np.abs(grad * direction).sum()) + 1e-12
            assert abs(difference - float((grad * direction).sum())) <= 1e-5 * scale, f"argument {k}"


def test_rasteriser_definition():
    scene = make_scene(1, 25, (20, 24), 4)
    inside = (scene.mean >= 2).all(1) & (scene.mean <= 18).all(1)
    arrays = [array[inside].astype(np.float64) for array in scene.arrays]
    dout = np.random.default_rng(2).normal(size=(4, 20, 24))
    grads = reference.rasterize_backward(*arrays, dout)
    # A smaller step would be lost; a larger one moves pixels over the rim, where the slope has its kink.
    check_differences(lambda *a: reference.rasterize(*a, (20, 24)), arrays, grads, dout, step=1e-7)


def test_hash_definition():
    geometry = make_geometry(3, 2)
    rng = np.random.default_rng(3)
    coords, table = rng.uniform(0.05, 0.95, (20, 3)), rng.normal(size=(geometry.total_entries, 2))
    dout = rng.normal(size=(20, geometry.width))
    dtable, dcoords = reference_field.hash_encode_backward(coords, table, geometry, dout)

    def encode(x: Array, entries: Array) -> Array:
        return reference_field.hash_encode(x, entries, geometry)

    check_differences(encode, [coords, table], [dcoords, dtable], dout)


def test_field_definition():
    weights = make_field(4, hidden=9)
    names = ["table2", "table3", "w1", "b1", "w2", "b2", "w_mean", "b_mean", "w_colour", "b_colour"]
    xy = np.random.default_rng(5).uniform(0, 1, (30, 2)).astype(np.float32)
    dout = np.random.default_rng(6).normal(size=(30, 5))
    grads = reference_field.field_backward(weights, xy, 0.3, dout)

    def heads(*arrays: Array) -> Array:
        moved = replace(weights)
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(moved, name, array)  # in float64, which the class would round
        return reference_field.field_forward(moved, xy, 0.3)

    exact = [tensor.astype(np.float64) for tensor in weights.tensors]
    check_differences(heads, exact, grads, dout)


def leaves(*arrays: Array) -> list[torch.Tensor]:
    """Leaf tensors that share no memory with the arrays."""
    return [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]


def assert_same_gradients(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> None:
    """Relative L2 below a few float32 roundings, cosine 1, zero where torch says zero."""
    for a, b in zip(found, expected, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        x, y = a.grad.double().flatten(), b.grad.double().flatten()
        assert relative(x.numpy(), y.numpy()) < 2e-5
        if y.norm() > 0:
            assert torch.cosine_similarity(x, y, 0) > 1 - 1e-9
        else:
            assert not x.any()


def test_rasterize_function(cpu):
    scene = make_scene(7, 40, (37, 41), 4)
    ours, plain = leaves(*scene.arrays), leaves(*scene.arrays)
    Rasterize.apply(*ours, scene.size).square().sum().backward()
    torch_ref.rasterize(*plain, scene.size).square().sum().backward()
    assert_same_gradients(ours, plain)


def test_hash_encode_function(cpu):
    geometry = make_geometry(2, 4)
    rng = np.random.default_rng(8)
    arrays = rng.uniform(0, 1, (90, 2)).astype(np.float32), rng.normal(size=(geometry.total_entries, 4))
    ours, plain = leaves(arrays[0], arrays[1].astype(np.float32)), leaves(arrays[0], arrays[1].astype(np.float32))
    HashEncode.apply(*ours, geometry).square().sum().backward()
    torch_ref.hash_encode(*plain, geometry).square().sum().backward()
    assert_same_gradients(ours, plain)


def test_field_function(cpu):
    weights = make_field(9)
    xy = torch.from_numpy(np.random.default_rng(10).uniform(0, 1, (130, 2)).astype(np.float32))
    settings = weights.geometry2, weights.geometry3, weights.input_scale, weights.frequency_count
    ours, plain = leaves(*weights.tensors), leaves(*weights.tensors)
    for tensors, heads in (
        (ours, FieldFunction.apply(xy, 0.6, *ours, *settings)),
        (plain, torch_ref.field_heads(xy, 0.6, plain, *settings)),
    ):
        assert len(tensors) == 10
        (heads[0].square().sum() + heads[1].sum()).backward()
    assert_same_gradients(ours, plain)


def test_gradients_of_a_field_from_a_sample_are_those_of_its_points(cpu):
    weights = make_field(9)
    xy = torch.from_numpy(np.random.default_rng(10).uniform(0, 1, (130, 2)).astype(np.float32))
    settings = weights.geometry2, weights.geometry3, weights.input_scale, weights.frequency_count
    ours, plain, sample = leaves(*weights.tensors), leaves(*weights.tensors), slice(1, None, 3)
    heads = FieldFunction.apply(xy, 0.6, *ours, *settings, 1, sample)
    assert len(heads[0]) == len(xy)
    (heads[0].square().sum() + heads[1].sum()).backward()
    some = torch_ref.field_heads(xy[sample], 0.6, plain, *settings)
    ((some[0].square().sum() + some[1].sum()) * (len(xy) / len(some[0]))).backward()
    assert_same_gradients(ours, plain)


def test_tensors_with_strides_are_taken():
    scene = make_scene(11, 20, (15, 16))
    mean, conic, feature = (torch.from_numpy(array.T.copy()).T.requires_grad_() for array in scene.arrays)
    image = Rasterize.apply(mean, conic, feature, scene.size)
    image.transpose(1, 2).sum().backward()
    expected = kernels.rasterize_backward(*scene.arrays, np.ones((3, 15, 16), np.float32))
    np.testing.assert_array_equal(mean.grad.numpy(), expected[0])
