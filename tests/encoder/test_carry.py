# SPDX-License-Identifier: MIT
"""What a GoP takes over from the one before it: training expects of it what the format does, integer by integer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gscodec.format.errors import Place
from gscodec.format.gop import write_gop
from gscodec.format.prediction import Prediction, predict
from gscodec.format.records import CameraData, GopRecord, SequenceHeader
from gscodec_cli.encoder.camera import scene_of
from gscodec_cli.encoder.carry import predicted_model, reference_of
from gscodec_cli.encoder.compression import Coding, Compression
from gscodec_cli.encoder.export import export_gop
from gscodec_cli.encoder.home import tensor_of
from gscodec_cli.encoder.init import key_frame_model
from gscodec_cli.encoder.model import GopModel, keep_in_range
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.tools import Tools

from .filmed import SIZE, filmed

TOOLS = PROFILES["main"].tools
COUNT, BEFORE = 300, 12
HEADER = SequenceHeader(profile=1, level=1, width=SIZE[1], height=SIZE[0], max_gop_frames=20, frame_count=40)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def reference_record(tools: Tools, camera: CameraData | None = None, speed: float = 0.3) -> GopRecord:
    """A GoP of Gaussians in the middle of the picture that all live to its end, moving about."""
    model = key_frame_model(torch.zeros(3, *SIZE), COUNT, tools, BEFORE, generator())
    rng = np.random.default_rng(6)
    model.params["mean"] = tensor_of(rng.uniform([30, 30], [98, 66], (COUNT, 2)).astype(np.float32))
    model.params["colour"] = tensor_of(rng.uniform(0.2, 0.5, (COUNT, 3)).astype(np.float32))
    if tools.motion_degree:
        motion = rng.normal(0, speed * BEFORE / 2, (COUNT, tools.motion_degree, 2))
        model.params["motion"] = tensor_of(motion.astype(np.float32))
    birth = rng.uniform(0, BEFORE - 1, COUNT)
    model.params["window"] = tensor_of(np.stack([birth, np.full(COUNT, BEFORE)], 1).astype(np.float32))
    keep_in_range(model)
    return export_gop(Compression(model, generator()), 0, None, camera=camera)


def shaken_camera() -> CameraData:
    """One that ends far from where it began, turned and zoomed."""
    values = np.zeros((BEFORE, 6), np.int64)
    values[:, :2] = np.arange(BEFORE)[:, None] * [9, -5]
    values[:, 2:] = np.arange(BEFORE)[:, None] * [5, -7, 6, 4]
    return CameraData(3, 10, values)


def coded(model: GopModel, record: GopRecord) -> tuple[GopRecord, Prediction]:
    """The model's GoP and what the format expects of its carried Gaussians."""
    found = export_gop(Compression(model, generator()), BEFORE, None, record)
    assert found.carried is not None
    death = found.window and (found.window.birth + found.window.duration)[: found.carried_count]
    return found, predict(record, found.carried, found.frame_count, death, HEADER, Place())


@pytest.mark.parametrize("frames", [BEFORE, 7, 20])
@pytest.mark.parametrize("camera", [None, shaken_camera()])
def test_what_goes_on_unchanged_is_coded_by_zeros(frames: int, camera: CameraData | None) -> None:
    tools = replace(TOOLS, field=None)
    record = reference_record(tools, camera)
    model = predicted_model(reference_of(record, tools), frames, HEADER, generator())
    found, expected = coded(model, record)
    assert found.motion
    assert np.array_equal(found.motion.degrees[0].symbols, expected.motion[0].symbols)
    missed = np.abs(found.mean.grid - expected.means(found.motion, Place()))
    assert missed.max() <= 1  # where the format rounds a half upwards
    assert (missed == 0).mean() > 0.95


@pytest.mark.parametrize("camera", [None, shaken_camera()])
def test_training_expects_means_where_the_format_does_whatever_velocities_become(camera: CameraData | None) -> None:
    tools = replace(TOOLS, field=None)
    record = reference_record(tools, camera)
    model = predicted_model(reference_of(record, tools), 16, HEADER, generator())
    rng = np.random.default_rng(9)
    model.params["motion"] += tensor_of(rng.normal(0, 3, (COUNT, 1, 2)).astype(np.float32))
    model.params["window"][:, 1] = tensor_of(rng.uniform(1, 16, COUNT).astype(np.float32))
    keep_in_range(model)
    view = Compression(model, generator()).view(Coding.ROUND)
    assert model.carried
    trained = model.carried.means(view["motion"], view["window"], 16).numpy()
    found, expected = coded(model, record)
    step = 2.0**-found.mean.fraction_bits
    told = expected.means(found.motion, Place()) * step - found.mean.margin
    assert np.abs(trained - told).max() <= step / 2 + 1e-4
    still = predict(record, expected.carried, 16, np.full(COUNT, 64), HEADER, Place())
    assert np.abs(told - (still.begin * step - found.mean.margin)).mean() > 1  # px: it is no small matter


def test_a_mean_that_misses_its_prediction_pulls_at_the_velocity_too() -> None:
    tools = replace(TOOLS, field=None)
    record = reference_record(tools)
    model = predicted_model(reference_of(record, tools), 16, HEADER, generator())
    model.params["mean"] += tensor_of(np.random.default_rng(3).normal(0, 0.5, (COUNT, 2)).astype(np.float32))
    compression = Compression(model, generator())
    compression.prepare(Coding.ROUND)
    for name in ("mean", "motion"):
        model.params[name].requires_grad_()
    view = compression.view(Coding.ROUND)
    compression.rate().backward()
    pull, turn = model.params["mean"].grad, model.params["motion"].grad
    assert model.carried
    assert pull is not None
    assert turn is not None
    assert pull.std() > 0
    # No velocity has changed, so what their own bits pull is the same for all.
    own = turn[:, 0] + pull * model.carried.centre(view["window"], 16)[:, None] / 8
    torch.testing.assert_close(own, own[:1].expand(COUNT, 2))


def test_means_that_leave_the_picture_stay_on_the_grid() -> None:
    tools = replace(TOOLS, camera=False)
    record = reference_record(tools, speed=20.0)
    scene = scene_of(filmed(np.zeros((BEFORE, 2, 3))), None, tools)
    assert scene is not None
    model = predicted_model(reference_of(record, tools), BEFORE, HEADER, generator(), scene)
    found, _ = coded(model, record)
    assert write_gop(found, HEADER, record)


def test_gaussians_that_turn_with_the_picture_begin_where_they_are_expected() -> None:
    """The picture stands still and then moves: velocities change, and no mean has to."""
    maps = np.zeros((2 * BEFORE, 2, 3))
    maps[BEFORE:, 0, 0] = np.arange(1, BEFORE + 1) * 2.0
    pictures = filmed(maps)
    tools = replace(TOOLS, camera=False)
    record = reference_record(tools, speed=0.0)
    scene = scene_of(pictures[BEFORE:], pictures[BEFORE - 1], tools)
    assert scene is not None
    model = predicted_model(reference_of(record, tools), BEFORE, HEADER, generator(), scene)
    found, expected = coded(model, record)
    assert found.motion
    turned = found.motion.degrees[0].symbols - expected.motion[0].symbols
    assert np.median(turned[:, 0]) * 0.25 > 8  # px in half the GoP
    missed = np.abs(found.mean.grid - expected.means(found.motion, Place()))
    assert missed.max() <= 1
    assert (missed == 0).mean() > 0.95
