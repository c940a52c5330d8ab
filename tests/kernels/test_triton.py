# SPDX-License-Identifier: MIT
"""The GPU engine: as exact as float32 torch, frame by frame and in batches; in Triton's interpreter without a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import reference, reference_field, reference_loss, reference_place, torch_ref
from tests.kernels.parity import Array, assert_as_good, make_field, make_geometry, make_scene, peak, relative
from tests.kernels.test_field import coordinates
from tests.kernels.test_gradients import leaves
from tests.kernels.test_loss import LEAST, mixture_of, plain_bits, plain_loss, scene_of, target_of
from tests.kernels.test_place import SETTINGS, filled, parameters_of
from tests.kernels.test_raster import plain

pytestmark = pytest.mark.usefixtures("gpu")
TIMES = [0.0, 0.35, 1.0]


def on_device(*arrays: Array) -> list[torch.Tensor]:
    """The arrays as tensors where the engine runs."""
    device = kernels.registry.triton().default_device()
    return [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]


@pytest.fixture
def engine_modules(gpu):
    """The engine's modules for tensors; a kernel for arrays runs first, so that the proof of the engine holds."""
    from gscodec.kernels import triton
    from gscodec.kernels.triton import binning, field, hashing, place, raster, raster_backward, splats

    kernels.hash_encode(np.zeros((1, 2)), np.zeros((8, 1)), kernels.HashGeometry.create(2, 1, 3, [2]))
    assert triton is not None
    return {m.__name__.split(".")[-1]: m for m in (binning, field, hashing, place, raster, raster_backward, splats)}


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16), (17, 35)], ids=lambda s: f"{s[1]}x{s[0]}")
def test_drawing_is_as_exact_as_float32_torch(size, channels):
    scene = make_scene(sum(size) + channels, 40, size, channels)
    grad = np.random.default_rng(1).normal(size=(channels, *size)).astype(np.float32)
    expected = plain(scene, grad)
    assert_as_good(kernels.rasterize(*scene.arrays, size), reference.rasterize(*scene.arrays, size), expected[0])
    exact = reference.rasterize_backward(*scene.arrays, grad)
    found = kernels.rasterize_backward(*scene.arrays, grad)
    for ours, truth, torch_grad in zip(found, exact, expected[1:], strict=True):
        assert_as_good(ours, truth, torch_grad, floor=4e-6)


def test_a_gaussian_over_many_tiles_and_its_gradient():
    mean, conic = np.array([[30.5, 12.25]], np.float32), np.array([[2e-3, 1.5e-3, 4e-3]], np.float32)
    feature, size = np.array([[0.5, -0.25, 1.0]], np.float32), (35, 50)
    grad = np.random.default_rng(2).normal(size=(3, *size)).astype(np.float32)
    assert (
        relative(kernels.rasterize(mean, conic, feature, size), reference.rasterize(mean, conic, feature, size)) < 1e-6
    )
    exact = reference.rasterize_backward(mean, conic, feature, grad)
    for found, truth in zip(kernels.rasterize_backward(mean, conic, feature, grad), exact, strict=True):
        assert relative(found, truth) < 2e-6


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_no_tile_that_a_thin_gaussian_touches_is_left_out(angle):
    turn = np.radians(angle)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inverse = axes @ np.diag([12.0**-2, 0.4**-2]) @ axes.T
    conic = np.array([[inverse[0, 0], inverse[0, 1], inverse[1, 1]]], np.float32)
    mean = np.array([[40.0, 32.0]], np.float32)
    found = kernels.rasterize(mean, conic, np.ones((1, 3), np.float32), (64, 80))
    np.testing.assert_allclose(found, reference.rasterize(mean, conic, np.ones((1, 3)), (64, 80)), atol=1e-4)


def test_pairs_are_those_of_the_ellipse_not_of_its_box(engine_modules):
    splats, binning = engine_modules["splats"], engine_modules["binning"]
    conic = np.array([[1.0, -0.99, 1.0]]) / 60  # long along the diagonal
    arrays = np.full((1, 2), 64), conic, np.ones((1, 3))
    batch = splats.Splats.of(*on_device(*(array.astype(np.float32) for array in arrays)))
    bins = splats.bin_splats(batch, (128, 128))
    assert int(bins.total) == 64
    assert 8 <= int(bins.first[-1]) <= 40
    assert binning.TILE == 16


def batch_of(counts: list[int], size: tuple[int, int]) -> list[list[Array]]:
    """Scenes of several frames, of as many Gaussians each as `counts` says."""
    return [list(make_scene(20 + k, count, size, 4).arrays) for k, count in enumerate(counts)]


@pytest.mark.parametrize(
    ("counts", "capacity"), [([6, 6], None), ([5, 0, 9], 1000)], ids=["equal", "ragged, with room"]
)
def test_a_batch_draws_what_its_frames_draw(engine_modules, counts, capacity):
    splats, raster = engine_modules["splats"], engine_modules["raster"]
    size, frames = (18, 15), batch_of(counts, (18, 15))
    joined = on_device(*(np.concatenate(parts) for parts in zip(*frames, strict=True)))
    batch = splats.Splats.of(*joined, counts=counts)
    bins = splats.bin_splats(batch, size, capacity)
    images, rgb = raster.rasterize(batch, bins), raster.render_rgb8(batch, bins, epsilon=0.1)
    grad = np.random.default_rng(4).normal(size=(len(counts), 4, *size)).astype(np.float32)
    grads = engine_modules["raster_backward"].rasterize_backward(batch, bins, *on_device(grad))
    begin = np.cumsum([0, *counts])
    for k, arrays in enumerate(frames):
        np.testing.assert_array_equal(images[k].cpu().numpy(), kernels.rasterize(*arrays, size))
        np.testing.assert_array_equal(rgb[k].cpu().numpy(), kernels.render_rgb8(*arrays, size, epsilon=0.1))
        for together, alone in zip(grads, kernels.rasterize_backward(*arrays, grad[k]), strict=True):
            np.testing.assert_array_equal(together[begin[k] : begin[k + 1]].cpu().numpy(), alone)


def test_losses_of_a_batch_are_those_of_its_frames(engine_modules):
    splats, raster, counts = engine_modules["splats"], engine_modules["raster"], [5, 0, 9]
    frames = [scene_of((18, 15), 4, count) for count in counts]
    targets = np.stack([np.roll(target_of((18, 15), np.uint8), k, 1) for k in range(3)])
    parts = [np.concatenate(arrays) for arrays in zip(*(frame[:3] for frame in frames), strict=True)]
    *joined, background, wanted = on_device(*parts, frames[0][3], targets)
    batch = splats.Splats.of(*joined, counts=counts)
    errors, *grads, dbackground = raster.splat_loss(batch, splats.bin_splats(batch, (18, 15)), background, wanted, 0.2)
    begin, total = np.cumsum([0, *counts]), np.zeros(3)
    for k, frame in enumerate(frames):
        error, *alone, slope = kernels.splat_loss(*frame, targets[k], epsilon=0.2)
        assert float(errors[k]) == error
        total += slope
        for together, expected in zip(grads, alone, strict=True):
            np.testing.assert_array_equal(together[begin[k] : begin[k + 1]].cpu().numpy(), expected)
    np.testing.assert_allclose(dbackground.cpu().numpy(), total, rtol=1e-5)


def test_too_little_room_for_pairs_is_told(engine_modules):
    splats = engine_modules["splats"]
    batch = splats.Splats.of(*on_device(*make_scene(1, 30, (40, 40)).arrays))
    enough = int(splats.bin_splats(batch, (40, 40)).total)
    bins = splats.bin_splats(batch, (40, 40), 5)
    assert int(bins.total) == enough > 5
    assert int(bins.first[-1]) <= 5
    engine_modules["raster"].rasterize(batch, bins)


def test_pairs_without_room_have_no_gradient(engine_modules, monkeypatch):
    splats, backward, size = engine_modules["splats"], engine_modules["raster_backward"], (40, 40)
    batch = splats.Splats.of(*on_device(*make_scene(1, 30, size).arrays))
    grad = torch.ones(1, batch.feature.shape[1], *size, device=batch.mean.device)
    whole = backward.rasterize_backward(batch, splats.bin_splats(batch, size), grad)
    ends = splats.bin_splats(batch, size).end
    zeros = torch.zeros

    def before_something_else(rows, columns, **options):
        return torch.cat([zeros(rows, columns, **options), torch.full((1000, columns), torch.nan, **options)])[:rows]

    monkeypatch.setattr(torch, "zeros", before_something_else)
    found = backward.rasterize_backward(batch, splats.bin_splats(batch, size, int(ends[9])), grad)
    for ours, all_of_them in zip(found, whole, strict=True):
        assert torch.equal(ours[:10], all_of_them[:10])
        assert not ours[ends > ends[9]].any()


def test_boxes_are_those_of_the_reference(engine_modules):
    splats, size = engine_modules["splats"], (45, 77)
    scene = make_scene(6, 200, size)
    bins = splats.bin_splats(splats.Splats.of(*on_device(*scene.arrays)), size)
    assert int(bins.pixels.sum()) == reference.covered_pixels(scene.mean, scene.conic, size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_splat_loss_is_as_exact_as_float32_torch(channels, dtype):
    size = (19, 37)
    arrays, target = scene_of(size, channels, 30), target_of(size, dtype)
    tensors = leaves(*arrays)
    plain_loss(tensors, target, 0.2).backward()
    error, *grads = kernels.splat_loss(*arrays, target, epsilon=0.2)
    exact_error, *exact = reference_loss.splat_loss(*arrays, target, 0.2)
    assert error == pytest.approx(exact_error, rel=1e-5)
    for found, truth, tensor in zip(grads, exact, tensors, strict=True):
        expected = np.zeros(3, np.float32) if tensor.grad is None else tensor.grad.numpy()
        assert_as_good(found, truth, expected, floor=4e-6)


@pytest.mark.parametrize("rows", [False, True], ids=["step per column", "step per value"])
@pytest.mark.parametrize(("count", "columns"), [(0, 2), (1, 1), (1100, 3)])
def test_mixture_bits_are_as_exact_as_float32_torch(count, columns, rows):
    arrays = mixture_of(count, columns, rows)
    tensors = leaves(*arrays)
    plain_bits(*tensors).backward()
    bits, *grads = kernels.mixture_bits(*arrays)
    exact_bits, *exact = reference_loss.mixture_bits(*arrays, LEAST)
    assert bits == pytest.approx(exact_bits, rel=2e-6)
    for found, truth, k in zip(grads, exact, (0, 2, 3, 4), strict=True):
        assert_as_good(found, truth, tensors[k].grad.numpy(), floor=4e-6)


@pytest.mark.parametrize(("dims", "features"), [(2, 1), (2, 2), (3, 4), (3, 8)])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_hash_encoding_is_as_exact_as_float32_torch(dims, features, count):
    geometry, rng = make_geometry(dims, features), np.random.default_rng(count)
    coords = coordinates(1, count, dims)
    table = rng.normal(size=(geometry.total_entries, features)).astype(np.float32)
    grad = rng.normal(size=(count, geometry.width)).astype(np.float32)
    x, entries = leaves(coords, table)
    expected = torch_ref.hash_encode(x, entries, geometry)
    expected.backward(torch.from_numpy(grad))
    exact = reference_field.hash_encode(coords, table, geometry)
    assert_as_good(kernels.hash_encode(coords, table, geometry), exact, expected.detach().numpy())
    dtable, dcoords = kernels.hash_encode_backward(coords, table, geometry, grad)
    exact_table, exact_coords = reference_field.hash_encode_backward(coords, table, geometry, grad)
    assert_as_good(dtable, exact_table, entries.grad.numpy())
    assert_as_good(dcoords, exact_coords, x.grad.numpy())
    assert not dtable[exact_table == 0].any()


@pytest.mark.parametrize("scale", [1e-30, 1e30, np.nan])
def test_the_tables_gradient_keeps_its_digits_at_any_size(scale):
    geometry = make_geometry(2, 2, 2)
    coords, table = coordinates(3, 50, 2), np.ones((geometry.total_entries, 2), np.float32)
    grad = np.random.default_rng(5).normal(size=(50, geometry.width)) * scale
    found = kernels.hash_encode_backward(coords, table, geometry, grad)[0]
    exact = reference_field.hash_encode_backward(coords, table, geometry, grad.astype(np.float32))[0]
    if np.isnan(scale):
        assert np.isnan(found).any()
    else:
        assert relative(found / scale, exact / scale) < 1e-6


@pytest.mark.parametrize(("hidden", "frequencies", "levels"), [(128, 6, 4), (7, 2, 1), (50, 0, 0), (160, 1, 2)])
@pytest.mark.parametrize("count", [0, 90])
def test_field_at_many_times_is_as_exact_as_float32_torch(engine_modules, hidden, frequencies, levels, count):
    weights, xy = make_field(hidden, hidden, frequencies, levels), coordinates(2, count, 2)
    module, (points, times) = engine_modules["field"], on_device(xy, np.array(TIMES, np.float32))
    field = module.Field.of(weights, points.device)
    dheads = np.random.default_rng(3).normal(size=(len(TIMES), count, 5)).astype(np.float32)
    heads, seen = module.field_forward(field, points, times)
    grads = module.field_backward(field, seen, *on_device(dheads))
    planned = module.FieldPlan(field, points).evaluate(TIMES).cpu().numpy()
    tensors, grids = leaves(*weights.tensors), (weights.geometry2, weights.geometry3, weights.input_scale)
    exact_grads = [np.zeros(tensor.shape) for tensor in weights.tensors]
    scale = np.array([weights.mean_scale] * 2 + [weights.colour_scale] * 3, np.float32)
    for k, t in enumerate(TIMES):
        expected = torch.cat(torch_ref.field_heads(torch.from_numpy(xy), t, tensors, *grids, frequencies), 1)
        expected.backward(torch.from_numpy(dheads[k]))
        exact = reference_field.field_forward(weights, xy, t)
        as_torch = expected.detach().numpy()
        assert_as_good(heads[k].cpu().numpy(), exact, as_torch, floor=4e-6)
        assert_as_good(planned[k], exact * scale, as_torch * scale, floor=4e-6)
        for total, part in zip(exact_grads, reference_field.field_backward(weights, xy, t, dheads[k]), strict=True):
            total += part
    for found, truth, tensor in zip(grads, exact_grads, tensors, strict=True):
        torch_grad = np.zeros(tensor.shape, np.float32) if tensor.grad is None else tensor.grad.numpy()
        assert_as_good(found.cpu().numpy(), truth, torch_grad, floor=6e-6)


@pytest.mark.parametrize(("count", "degree"), [(0, 1), (1, 0), (300, 2)])
@pytest.mark.parametrize("log_shape", [True, False])
@pytest.mark.parametrize("everything", [True, False])
def test_places_as_defined(count, degree, log_shape, everything):
    settings = replace(SETTINGS, log_shape=log_shape, weighted=everything)
    active, tau, arrays = parameters_of(count, degree, log_shape, everything)
    found = kernels.place(settings, active, tau, arrays)
    exact = reference_place.place(settings, active, tau, filled(arrays))
    grads = [np.random.default_rng(1).normal(size=array.shape).astype(np.float32) for array in exact]
    back = kernels.place_backward(settings, active, tau, arrays, grads)
    exact_back = reference_place.place_backward(settings, active, tau, filled(arrays), grads)
    pairs = [*zip(found, exact, strict=True)]
    pairs += [(a, b) for a, b in zip(back, exact_back, strict=True) if b is not None and a is not None]
    for ours, truth in pairs:
        assert ours.shape == truth.shape
        assert peak(ours, truth) <= 3e-6 * max(1, float(np.abs(truth).max(initial=0)))


def test_shut_windows_are_not_drawn_and_have_no_gradient(engine_modules):
    _, tau, arrays = parameters_of(200, 1, True)
    arrays[6:] = np.ones((200, 2), np.float32), np.ones((200, 3), np.float32)
    active = kernels.active_windows(arrays[5], SETTINGS.index, SETTINGS.edge)
    shut = np.setdiff1d(np.arange(200), active)
    tau = np.full(1, 0.25, np.float32)
    mean, conic, feature = kernels.place(SETTINGS, None, tau, arrays)
    assert np.isnan(mean[shut, 0]).all()
    assert np.isfinite(mean[active]).all()
    grads = [np.ones_like(array) for array in (mean, conic, feature)]
    for grad in kernels.place_backward(SETTINGS, None, tau, arrays, grads):
        assert not grad[shut].any()
        assert np.isfinite(grad).all()


def test_results_do_not_change_from_run_to_run():
    scene, geometry = make_scene(5, 40, (14, 20)), make_geometry(3, 2, 3)
    grad = np.random.default_rng(2).normal(size=(3, 14, 20)).astype(np.float32)
    coords, table = coordinates(8, 300, 3), np.ones((geometry.total_entries, 2), np.float32)
    dfeatures = np.random.default_rng(9).normal(size=(300, geometry.width)).astype(np.float32)

    def run() -> list[bytes]:
        drawn = kernels.rasterize(*scene.arrays, scene.size), *kernels.rasterize_backward(*scene.arrays, grad)
        return [a.tobytes() for a in (*drawn, *kernels.hash_encode_backward(coords, table, geometry, dfeatures))]

    assert run() == run()
    shuffled = np.random.default_rng(1).permutation(300)  # the order of the points is that of the atomics
    found = kernels.hash_encode_backward(coords[shuffled], table, geometry, dfeatures[shuffled])[0]
    assert found.tobytes() == run()[4]
