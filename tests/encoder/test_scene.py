# SPDX-License-Identifier: MIT
"""Optical flow, paths and the camera on pictures whose motion is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gscodec_cli.encoder.bend import bend_of, learn_bends
from gscodec_cli.encoder.camera import Scene, coded_camera, lines_of, scene_of, steadied
from gscodec_cli.encoder.flow import Flow, lines_along, straight_error
from gscodec_cli.encoder.home import tensor_of
from gscodec_cli.encoder.init import follow, key_frame_model
from gscodec_cli.encoder.options import EncodeOptions, resolve
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.trainer import Stage, Trainer

from .filmed import SIZE, filmed, shaken

TOOLS = PROFILES["main"].tools


def new() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def interior(count: int = 60) -> np.ndarray:
    return np.random.default_rng(8).uniform([40, 30], [88, 66], (count, 2)).astype(np.float32)


def test_points_are_followed_in_both_directions():
    maps = shaken()
    flow, centre = Flow(filmed(maps)), np.array([SIZE[1], SIZE[0]]) / 2
    at = interior()
    for start in (0, 5):
        seen_at = at + maps[start][:, 0] + (at - centre) @ maps[start][:, 1:].T
        path, seen = flow.paths(np.full(len(at), start), seen_at.astype(np.float32))
        expected = at[:, None] + maps[:, :, 0] + np.einsum("tij,nj->nti", maps[:, :, 1:], at - centre)
        assert seen.mean() > 0.9
        assert np.abs(path - expected)[seen].max() < 1.0
        assert np.abs(path - expected)[seen].mean() < 0.25


def test_the_camera_is_found_and_makes_paths_straight():
    maps = shaken()
    scene = scene_of(filmed(maps), None, TOOLS)
    assert scene is not None
    assert scene.camera is not None
    found = lines_of(scene.camera, SIZE)
    assert np.abs(found[:, :, 0] - maps[:, :, 0]).max() < 0.5
    assert np.abs(found[:, :, 1:] - maps[:, :, 1:]).max() < 0.01
    path, seen = scene.flow.paths(np.zeros(60, np.int64), interior())
    assert straight_error(steadied(path, scene.camera, SIZE), seen) < 0.3 * straight_error(path, seen)


def test_the_camera_is_trained_where_the_flow_has_missed_it():
    """The picture shakes by less than a pixel; the camera that training begins with knows nothing of it."""
    frames = 6
    maps = np.zeros((frames, 2, 3))
    maps[:, :, 0] = np.array([[0, 0], [0.8, -0.5], [-0.6, 0.7], [0.5, 0.6], [-0.8, -0.4], [0.1, -0.4]])
    pictures = filmed(maps)
    options = EncodeOptions(preset="ultrafast", gaussians=300, field=False)
    trainer = Trainer(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        key_frame_model(
            torch.from_numpy(pictures[0] / np.float32(255)).permute(2, 0, 1),
            300,
            replace(TOOLS, field=None),
            frames,
            new(),
        ),
        resolve(options),
        new(),
        lambda *_: None,
        Scene(Flow(pictures), None),
    )
    trainer.take_camera(coded_camera(np.zeros((frames, 2, 3)), SIZE))
    trainer.run(Stage("joint", 400, 1.0), 0, 400)
    assert trainer.scene is not None
    assert trainer.scene.camera is not None
    found = lines_of(trainer.scene.camera, SIZE)
    np.testing.assert_array_equal(found, trainer.model.maps().numpy())  # what is coded is what was trained
    miss = found[:, :, 0] - maps[:, :, 0]
    # where the picture as a whole is, and goes, the Gaussians say too
    times = np.stack([np.ones(frames), np.arange(frames)], 1)
    rest = [part - times @ np.linalg.lstsq(times, part, rcond=None)[0] for part in (miss, maps[:, :, 0])]
    assert np.abs(rest[0]).mean() < 0.4 * np.abs(rest[1]).mean()


def test_the_first_step_comes_from_the_picture_before():
    maps = shaken()
    scene = scene_of(filmed(maps)[1:], filmed(maps)[0], TOOLS)
    assert scene is not None
    assert scene.camera is not None
    assert np.abs(lines_of(scene.camera, SIZE)[:, :, 0] - maps[1:, :, 0]).max() < 0.5


@pytest.mark.parametrize(
    ("pictures", "tools", "none"),
    [
        (filmed(np.zeros((4, 2, 3))), TOOLS, False),  # nothing moves: no camera, but a scene
        (filmed(np.zeros((1, 2, 3))), TOOLS, True),
        (np.zeros((4, 8, 40, 3), np.uint8), TOOLS, True),
        (filmed(np.zeros((4, 2, 3))), PROFILES["stgv"].tools, True),
    ],
    ids=["still", "one picture", "too small", "no motion tool"],
)
def test_where_there_is_no_camera(pictures, tools, none):
    scene = scene_of(pictures, None, tools)
    assert (scene is None) == none
    assert scene is None or scene.camera is None


def test_gaussians_begin_on_the_path_of_what_they_show():
    frames, speed = 8, np.array([1.5, -1.0])
    maps = np.zeros((frames, 2, 3))
    maps[:, :, 0] = np.arange(frames)[:, None] * speed
    scene = scene_of(filmed(maps), None, TOOLS)
    assert scene is not None
    at = interior(20)
    count = len(at)
    window = np.tile(np.float32([-0.75, frames - 0.25]), (count, 1))
    params = {"mean": at, "motion": np.zeros((count, 1, 2), np.float32), "window": window}
    tensors = {name: tensor_of(value) for name, value in params.items()}
    follow(tensors, tensor_of(np.zeros(count, np.int64)), frames, scene, None)
    centre = tensors["window"].clamp(0, frames - 1).mean(1)[:, None]
    for t in (0, 3, 7):
        drawn = tensors["mean"] + tensors["motion"][:, 0] * (2 * (t - centre) / frames)
        if scene.camera is not None:
            line = lines_of(scene.camera, SIZE)[t]
            drawn = drawn + line[:, 0]
        assert np.abs(drawn.numpy() - (at + t * speed)).max() < 0.5


def test_lines_end_where_points_are_lost():
    path = np.zeros((1, 6, 2), np.float32)
    path[0, :, 0] = [0, 1, 2, 3, 40, 50]
    seen = np.array([[1, 1, 1, 1, 0, 0]], bool)
    lines = lines_along(path, seen, np.array([1]))
    assert (lines.first[0], lines.last[0]) == (0, 3)
    np.testing.assert_allclose(lines.velocity[0], [1, 0], atol=1e-5)


def test_the_field_learns_what_lines_and_camera_miss():
    """The picture swings to and fro: lines cannot follow; with the camera switched off the field has to."""
    frames = 8
    maps = np.zeros((frames, 2, 3))
    maps[:, 0, 0] = 3 * np.sin(np.arange(frames) * 2 * np.pi / frames)
    scene = scene_of(filmed(maps), None, replace(TOOLS, camera=False))
    assert scene is not None
    generator = torch.Generator().manual_seed(1)
    model = key_frame_model(torch.zeros(3, *SIZE), 30, TOOLS, frames, generator)
    learn_bends(model, scene, generator)
    bend = bend_of(model)
    assert bend is not None
    at = interior(20)
    moved = bend(at)[:, :, 0] - bend(at)[:, :1, 0]
    straight = np.arange(frames) * np.polyfit(np.arange(frames), maps[:, 0, 0], 1)[0]
    missed = np.abs(moved - (maps[:, 0, 0] - straight))
    assert missed.mean() < 0.4 * np.abs(maps[:, 0, 0] - straight).mean()
    assert np.abs(bend(at)[:, :, 1]).mean() < 0.5
