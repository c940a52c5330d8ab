# SPDX-License-Identifier: MIT
"""When Gaussians are born: in more rounds where there are more steps, and in time to be trained."""

import pytest

from gscodec_cli.encoder import fit
from gscodec_cli.encoder.options import EncodeOptions
from gscodec_cli.encoder.pipeline import encode
from gscodec_cli.encoder.trainer import Trainer
from gscodec_cli.video.reader import open_video

from .conftest import moving_disc, write_clip


@pytest.mark.parametrize(("steps", "rounds"), [(0, 4), (300, 4), (1400, 6), (5500, 12), (28000, 12)])
def test_rounds_are_as_many_as_the_steps_allow_and_end_in_time(steps, rounds):
    shares = fit._birth_rounds(steps)
    assert len(shares) == rounds
    assert shares[0] == pytest.approx(shares[-1] / rounds)
    assert 0.55 < shares[-1] < 0.61
    assert fit._birth_rounds(steps + 1)[0] <= shares[0]


def test_gaussians_are_born_in_every_round(tmp_path, monkeypatch):
    born, add = [], Trainer.add

    def spy(trainer, count, indices, *, still=False):
        born.append((count, trainer.model.count, still))
        add(trainer, count, indices, still=still)

    monkeypatch.setattr(Trainer, "add", spy)
    clip = write_clip(tmp_path / "clip.mkv", moving_disc(6))
    with (tmp_path / "out.gsv").open("wb") as target:
        encode(open_video(clip), target, EncodeOptions(preset="ultrafast", gaussians=60, gop=6))
    births = [(count, before) for count, before, still in born if not still]
    assert len(births) == len(fit._birth_rounds(300))
    assert all(count >= before * fit.REPLACED / (1 - fit.REPLACED) - 1 for count, before in births)
    assert births[0][1] < births[-1][1]
