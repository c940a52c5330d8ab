# SPDX-License-Identifier: MIT
"""How long GoPs are: what is tried, what is chosen, and that the choice depends on nothing but the clip."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec_cli.encoder import Encode, EncodeOptions
from gscodec_cli.encoder.chain import ChainTask, FinishedGop
from gscodec_cli.encoder.checkpoint import Checkpoint
from gscodec_cli.encoder.division import Division, Outline
from gscodec_cli.encoder.lengths import Trial, worth_trying
from gscodec_cli.encoder.options import TRIAL, Plan, resolve
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.rate import Cost
from gscodec_cli.encoder.survey import Survey
from gscodec_cli.video.reader import open_video

from .conftest import write_clip

PIXELS = 352 * 288


def plan_of(**options) -> Plan:
    """The plan of an encode that tries lengths."""
    return resolve(EncodeOptions(**{"preset": "fast", "bpp": 0.1, **options}))


def outline_of(*lengths: int, new: float = 0.01) -> Outline:
    """Sections of so many frames, each picture but the first with the share `new` of its bits."""
    ends = np.cumsum(lengths).tolist()
    sections = tuple(range(end - length, end) for end, length in zip(ends, lengths, strict=True))
    starts = tuple(section.start for section in sections)
    bits = tuple(1000 if i in starts else round(1000 * new) for i in range(ends[-1]))
    return Outline(Survey(bits, starts), sections)


def test_a_length_is_tried_where_it_makes_fewer_gops():
    found = worth_trying(outline_of(30, 50, 140, 70), plan_of(), PIXELS)
    assert found == {1: [32, 64], 2: [32, 64, 128], 3: [32, 64, 128]}


def test_long_gops_are_tried_where_little_is_new_and_pictures_are_not_large():
    assert worth_trying(outline_of(100, new=0.2), plan_of(), PIXELS) == {0: [32, 64]}
    assert worth_trying(outline_of(100), plan_of(), 1920 * 1080) == {0: [32, 64]}
    assert worth_trying(outline_of(100), plan_of(), 3840 * 2160) == {}


@pytest.mark.parametrize(
    "options",
    [{"gop": 32}, {"preset": TRIAL}, {"keyint": 40}, {"bpp": None, "gaussians": 100}, {"profile": "stgv"}],
    ids=str,
)
def test_what_is_asked_for_is_not_tried(options):
    assert worth_trying(outline_of(100), plan_of(**options), PIXELS) == {}


def test_a_trial_takes_little_effort_and_no_more_than_the_encode():
    trial = Trial(outline_of(100), {}, {}, plan_of(joint_iterations=10))
    assert trial.plan.effort == replace(PROFILES["main"].efforts[TRIAL], joint_iterations=10)


def _chosen(decibels: dict[int, float], bits: dict[int, int]) -> list[int]:
    """What a trial of lengths with these results chooses for the second of two sections."""
    outline, plan = outline_of(20, 100), plan_of()
    found = worth_trying(outline, plan, PIXELS)
    divisions = {}
    for length in (32, 64, 128):
        gops, entries = outline.divided([length] * 2)
        divisions[length] = Division(tuple(gops), tuple(entries), (1 / len(gops),) * len(gops))
    trial, lengths = Trial(outline, found, divisions, plan), {}

    def task(division: Division, chain: range, plan: Plan) -> ChainTask:
        spans = tuple(division.gops[number] for number in chain)
        return ChainTask(chain[0], spans, None, plan, "cpu", None, (), {})

    for made in trial.tasks(task):
        assert {i for span in made.spans for i in span} <= set(range(20, 120))
        for number, span in zip(made.left, made.spans, strict=True):
            assert number not in lengths
            lengths[number] = length = next(n for n in (32, 64, 128) if len(span) <= n)
            values = (decibels[length],) * len(span)
            # the seed is that of the same GoP in an encode
            assert divisions[length].gops[made.plan.seed + number] == span
            trial.add(FinishedGop(number, len(span), False, b"", 1, bits[length], None, Cost(1, 0, 1.0), values, None))
    assert sorted(lengths.values()) == [32] * 4 + [64] * 2 + [128]
    return trial.best()


def test_the_best_of_a_trial_is_chosen_where_it_is_clearly_better():
    even = {32: 100, 64: 200, 128: 400}
    assert _chosen({32: 30.0, 64: 30.05, 128: 30.05}, even) == [32, 32]
    assert _chosen({32: 30.0, 64: 30.5, 128: 30.4}, even) == [32, 64]
    assert _chosen({32: 30.0, 64: 29.0, 128: 30.4}, even) == [32, 128]
    # at half the bits a dB less is better
    assert _chosen({32: 30.0, 64: 30.2, 128: 29.2}, {**even, 128: 200}) == [32, 128]


@pytest.fixture(scope="module")
def still_clip(tmp_path_factory):
    """36 frames of a texture that stays, but for two pixels that tell the frames apart."""
    rows, columns = np.mgrid[:32, :48]
    picture = 128 + 60 * np.sin(columns * 1.3) * np.cos(rows * 0.9)
    frames = np.repeat(np.repeat(picture[None, ..., None], 36, 0), 3, 3).astype(np.uint8)
    frames[range(36), 4, range(36)] = 255
    return write_clip(tmp_path_factory.mktemp("still") / "still.mkv", frames)


@pytest.fixture(autouse=True)
def quick_trial(monkeypatch):
    """A trial of few steps."""
    few = replace(PROFILES["main"].efforts[TRIAL], key_iterations=10, joint_iterations=20, tune_iterations=20)
    monkeypatch.setitem(PROFILES["main"].efforts, TRIAL, few)


QUICK = {"preset": "fast", "key_iterations": 11, "joint_iterations": 20, "tune_iterations": 20, "threads": 1}


def encode(clip, partial, progress=None, *, resume=False, **how) -> bytes:
    """The file of an encode that tries lengths."""
    run = Encode(open_video(clip), EncodeOptions(bpp=0.2, **QUICK), partial, resume=resume)
    run.train(progress, **how)
    out = io.BytesIO()
    run.write(out)
    return out.getvalue()


class Broken(Exception):
    """Breaks an encode off."""


def test_what_stays_is_one_gop_whoever_tries_and_however_often(still_clip):
    seen, partial = [], io.BytesIO()
    whole = encode(still_clip, partial, seen.append)
    with ContainerReader(whole) as reader:
        assert [entry.frame_count for entry in reader.gop_table] == [36]
    stages = [status.stage for status in seen]
    assert stages[0] == "trial" != stages[-1]
    assert [status.share for status in seen] == sorted(status.share for status in seen)
    assert seen[-1].share == pytest.approx(1.0)
    assert encode(still_clip, io.BytesIO(), jobs=2) == whole
    assert Checkpoint(io.BytesIO(partial.getvalue())).state["tried"]

    def broken_off(status):
        if status.stage == "trial" and status.step > 10:
            raise Broken

    with pytest.raises(Broken):
        encode(still_clip, broken := io.BytesIO(), broken_off)
    assert encode(still_clip, broken, resume=True) == whole
