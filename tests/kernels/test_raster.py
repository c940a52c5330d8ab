# SPDX-License-Identifier: MIT
"""The rasteriser against its float64 definition and against plain float32 torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import reference, torch_ref
from tests.kernels.parity import Scene, assert_as_good, make_scene

SIZES = [(1, 1), (3, 5), (4, 4), (31, 33), (32, 64), (33, 130), (97, 70)]


def plain(scene: Scene, grad: np.ndarray) -> list[np.ndarray]:
    """Image and gradients by float32 torch."""
    tensors = [torch.from_numpy(array).requires_grad_() for array in scene.arrays]
    image = torch_ref.rasterize(*tensors, scene.size)
    image.backward(torch.from_numpy(grad))
    return [image.detach().numpy(), *(tensor.grad.numpy() for tensor in tensors)]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_forward_and_backward_are_as_exact_as_float32_torch(cpu, size, channels):
    scene = make_scene(sum(size) + channels, 60, size, channels)
    grad = np.random.default_rng(1).normal(size=(channels, *size)).astype(np.float32)
    expected = plain(scene, grad)
    assert_as_good(kernels.rasterize(*scene.arrays, size), reference.rasterize(*scene.arrays, size), expected[0])
    exact = reference.rasterize_backward(*scene.arrays, grad)
    for found, truth, torch_grad in zip(
        kernels.rasterize_backward(*scene.arrays, grad), exact, expected[1:], strict=True
    ):
        assert_as_good(found, truth, torch_grad, floor=4e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_few_gaussians(engine, count):
    scene = make_scene(3, count, (20, 30))
    image = kernels.rasterize(*scene.arrays, scene.size)
    assert image.shape == (3, 20, 30)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, reference.rasterize(*scene.arrays, scene.size), atol=1e-6)
    grads = kernels.rasterize_backward(*scene.arrays, np.ones_like(image))
    assert [grad.shape for grad in grads] == [(count, 2), (count, 3), (count, 3)]


def test_what_lies_outside_the_frame_has_no_effect_and_no_gradient(engine):
    mean = np.array([[-50, 10], [70, 10], [20, -9.6], [20, 49.6], [1e30, 5], [5, -1e30]], np.float32)
    conic = np.tile(np.array([[1, 0, 1]], np.float32), (len(mean), 1))
    feature = np.ones((len(mean), 3), np.float32)
    assert not kernels.rasterize(mean, conic, feature, (40, 40)).any()
    for grad in kernels.rasterize_backward(mean, conic, feature, np.ones((3, 40, 40), np.float32)):
        assert not grad.any()
    assert kernels.covered_pixels(mean, conic, (40, 40)) == 0


def test_the_weight_is_continuous_where_the_support_ends(engine):
    conic = np.array([[1, 0, 1]], np.float32)
    feature = np.ones((1, 3), np.float32)
    steps = np.linspace(2.9, 3.1, 41)  # the radius of the support is 3
    mean = [np.array([[10.5 + step, 10.5]], np.float32) for step in steps]
    values = np.array([kernels.rasterize(m, conic, feature, (21, 21))[0, 10, 10] for m in mean])
    exact = np.maximum(np.exp(-0.5 * steps**2) - np.exp(-4.5), 0)
    np.testing.assert_allclose(values, exact, atol=2e-7)


def test_the_result_does_not_depend_on_the_number_of_threads(cpu):
    scene = make_scene(5, 500, (131, 97), 4)
    grad = np.random.default_rng(2).normal(size=(4, 131, 97)).astype(np.float32)

    def run(threads: int) -> list[bytes]:
        image = kernels.rasterize(*scene.arrays, scene.size, threads=threads)
        frame = kernels.render_rgb8(*scene.arrays, scene.size, epsilon=0.1, threads=threads)
        grads = kernels.rasterize_backward(*scene.arrays, grad, threads=threads)
        return [array.tobytes() for array in (image, frame, *grads)]

    assert run(1) == run(2) == run(3) == run(7) == run(0)


@pytest.mark.parametrize("channels", [3, 4])
def test_rgb8_is_the_rounded_image(engine, channels):
    for size in SIZES:
        scene = make_scene(7, 40, size, channels)
        scene.feature[:] = np.abs(scene.feature) * 1.5
        background, epsilon = np.array([0.2, 0.5, 1.1], np.float32), 0.05
        frame = kernels.render_rgb8(*scene.arrays, size, background=background, epsilon=epsilon)
        exact = reference.rasterize(*scene.arrays, size)
        if channels == 4:
            exact = (exact[:3] + epsilon * background[:, None, None].astype(float)) / (exact[3] + epsilon)
        exact = np.clip(exact, 0, 1).transpose(1, 2, 0) * 255
        assert frame.shape == (*size, 3)
        assert frame.dtype == np.uint8
        assert np.abs(frame - exact).max() <= 0.5 + 1e-3


def test_rgb8_saturates(engine):
    mean = np.array([[8, 8]], np.float32)
    conic = np.array([[0.01, 0, 0.01]], np.float32)
    frame = kernels.render_rgb8(mean, conic, np.array([[1e30, -1e30, 0.5]], np.float32), (16, 16))
    assert (frame[..., 0] == 255).all()
    assert (frame[..., 1] == 0).all()
    assert 120 <= frame[8, 8, 2] <= 128


def test_results_land_in_the_given_array(engine):
    scene = make_scene(9, 30, (20, 21))
    image = np.full((3, 20, 21), np.nan, np.float32)
    assert kernels.rasterize(*scene.arrays, scene.size, out=image) is image
    np.testing.assert_array_equal(image, kernels.rasterize(*scene.arrays, scene.size))
    frame = np.full((20, 21, 3), 77, np.uint8)
    assert kernels.render_rgb8(*scene.arrays, scene.size, out=frame) is frame
    np.testing.assert_array_equal(frame, kernels.render_rgb8(*scene.arrays, scene.size))


def test_covered_pixels_counts_bounding_boxes():
    conic = np.array([[1, 0, 1], [1, 0, 1], [1, 0, 1], [0, 0, 1]], np.float32)
    mean = np.array([[10.5, 10.5], [0, 0], [100, 100], [10, 10]], np.float32)
    assert kernels.covered_pixels(mean, conic, (40, 40)) == 7 * 7 + 3 * 3
    for seed in range(5):
        scene = make_scene(seed, 300, (77, 45))
        expected = reference.covered_pixels(scene.mean, scene.conic, scene.size)
        assert kernels.covered_pixels(scene.mean, scene.conic, scene.size) == expected
