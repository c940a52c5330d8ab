# SPDX-License-Identifier: MIT
"""Presets that train a GoP more than once: the best of it is kept."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

import pytest

from gscodec_cli.encoder import EncodeOptions, EncodeResult, encode
from gscodec_cli.encoder.options import resolve
from gscodec_cli.encoder.presets import PRESETS, PROFILES
from gscodec_cli.encoder.rate import Cost, CountAim, Meter, PsnrAim, QualityAim
from gscodec_cli.encoder.tools import Effort
from gscodec_cli.video.reader import open_video

GOOD, BAD = Effort(30, 80, 80, 3e-2, 5e-3), Effort(1, 1, 1, 1e-4, 1e-4)
METER = Meter(lambda trainer: None, lambda trainer: 0.0, 100.0)
PIXELS, GUESS = 20_000, Cost(1000, 500, 10.0)


def encoded(clip, preset: str, progress=None, **options) -> tuple[bytes, EncodeResult]:
    """A clip as a preset encodes it."""
    target = io.BytesIO()
    options |= {"threads": 1, "detail": False, "residual": False}  # so few pixels would be little else
    result = encode(open_video(clip), target, EncodeOptions(preset=preset, **options), progress)
    return target.getvalue(), result


def use(monkeypatch, **efforts: Effort) -> None:
    """Let presets have these efforts."""
    for preset, effort in efforts.items():
        monkeypatch.setitem(PROFILES["main"].efforts, preset, effort)


def test_efforts_that_are_tried_too_are_lesser_ones():
    efforts = PROFILES["main"].efforts
    for preset, lesser in PROFILES["main"].tried_too.items():
        assert all(PRESETS.index(name) < PRESETS.index(preset) for name in lesser)
        plan = resolve(EncodeOptions(preset=preset))
        assert plan.efforts == (*(efforts[name] for name in lesser), efforts[preset])


def test_own_iterations_are_the_only_ones():
    assert resolve(EncodeOptions(preset="slow", joint_iterations=5)).lesser == ()
    assert resolve(EncodeOptions(profile="stgv", preset="slow")).lesser == ()


@pytest.mark.parametrize("goal", [{"bpp": 1.0}, {"psnr": 24.0}], ids=str)
def test_more_effort_that_brings_less_changes_no_byte(disc_clip, monkeypatch, goal):
    use(monkeypatch, medium=GOOD, slow=BAD)
    seen = []
    whole, _ = encoded(disc_clip, "slow", seen.append, **goal)
    assert whole == encoded(disc_clip, "medium", **goal)[0]
    shares = [status.share for status in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_more_effort_that_brings_more_is_kept_and_predicted_from(disc_clip, monkeypatch):
    use(monkeypatch, medium=BAD, slow=GOOD)
    _, best = encoded(disc_clip, "slow", bpp=1.0, gop=4)
    _, bad = encoded(disc_clip, "medium", bpp=1.0, gop=4)
    assert best.gops == 2
    assert best.psnr > bad.psnr + 2


def test_fewer_bits_are_worth_more_where_the_picture_is_as_good_as_asked_for():
    aim = PsnrAim(METER, 30.0, PIXELS, None, GUESS)
    assert aim.worth(1000, [30.0]) == aim.worth(1000, [30.5]) > aim.worth(1100, [31.0])
    assert aim.worth(1000, [29.9, 30.0]) > aim.worth(500, [29.5])
    count = CountAim(METER, 10)
    assert count.worth(1000, [30.0]) == count.worth(2000, [31.5, 32.5])


def test_bits_for_a_psnr_are_looked_for_between_those_that_were_tried():
    aim = PsnrAim(METER, 30.0, PIXELS, None, GUESS)
    reached = iter([(1024, 25.0), (65536, 45.0), (4096, 29.0), (8192, 30.05)])
    asked = []
    for bits, psnr in reached:
        if not aim.again(Cost(bits, 0, 10.0), psnr):
            break
        asked.append(math.log2(aim.bits / bits))
    assert asked == pytest.approx([5.15 / 2, 5.15 / 20 * 6 - 6, 1.15 / 16 * 4])
    assert bits == 8192


def test_the_first_guess_is_what_the_last_gop_took_else_what_is_usual():
    assert PsnrAim(METER, 36.0, PIXELS, None, GUESS).bits == pytest.approx(2 * 0.05 * PIXELS)
    assert PsnrAim(METER, 36.0, PIXELS, GUESS, GUESS).bits == QualityAim(METER, 26.0, PIXELS, GUESS, GUESS).bits == 1000
    better, worse = (QualityAim(METER, quality, PIXELS, None, GUESS).bits for quality in (20.0, 30.0))
    assert better == pytest.approx(4 * worse, rel=0.01)  # 2 dB more for twice the bits, and each of them worth half


def test_a_quality_is_met_on_the_way_or_by_another_training():
    aim = QualityAim(METER, 26.0, PIXELS, None, GUESS)
    aim.RISE = 0.0
    start = aim.bits
    met = aim.wanted - aim.figure(0.0, start)  # dB
    trainer = SimpleNamespace(mse=10 ** (-(met - aim.RATED) / 10), rated=True)
    aim.learn(trainer)
    assert aim.bits == pytest.approx(start)
    assert not aim.again(Cost(round(start), 0, 10.0), met + 1)
    trainer.mse /= 10
    aim.learn(trainer)
    assert aim.bits == pytest.approx(start / 4, rel=0.01)  # 10 dB too good at 5 dB for twice the bits
    trainer.mse *= 1000
    aim.learn(trainer)
    assert aim.bits == pytest.approx(start / 4 * aim.MOST, rel=0.01)  # there are no more Gaussians than that
    assert aim.again(Cost(round(start / 4), 0, 10.0), met)
    assert aim.bits == pytest.approx(start / 4 * 2 ** (10 * math.log10(4) / aim.per_doubling), rel=0.01)
    near, far = aim.worth(round(start), [met]), aim.worth(round(start / 16), [met])
    assert near > far


def test_training_begins_anew_once_where_its_bits_are_far_off():
    aim = QualityAim(METER, 26.0, PIXELS, None, GUESS)
    start = aim.bits
    trainer = SimpleNamespace(mse=10 ** (-(aim.wanted - aim.figure(0.0, start) - 10) / 10), rated=False)
    assert not aim.learn(trainer)
    renewed = aim.bits
    assert renewed > 2 * start
    assert aim.learn(trainer)
    assert aim.bits == pytest.approx(renewed * aim.MOST)
