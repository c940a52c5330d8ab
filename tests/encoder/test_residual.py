# SPDX-License-Identifier: MIT
"""The residual of a GoP: found where it is worth its bits, in groups that fit how long things last."""

from __future__ import annotations

import io

import numpy as np
import pytest

from gscodec.format.dequant import residual_values
from gscodec.format.residual import residual_bytes
from gscodec_cli.decoder.residual import Residual
from gscodec_cli.decoder.view import YCC_TO_RGB
from gscodec_cli.encoder import gop as coder
from gscodec_cli.encoder import residual as module
from gscodec_cli.encoder import residual_choice, residual_cosines
from gscodec_cli.encoder.options import EncodeOptions
from gscodec_cli.encoder.pipeline import encode
from gscodec_cli.encoder.residual import Coded, fit_residual
from gscodec_cli.video.png import png_bytes
from gscodec_cli.video.reader import open_video
from tests.decoder.synthetic import make_header

WIDTH, HEIGHT, COUNT = 60, 44, 9
HEADER = make_header(width=WIDTH, height=HEIGHT, frames=COUNT, max_gop_frames=COUNT)
BITS = 60_000


def texture(seed: int) -> np.ndarray:
    """[H, W, 3]: waves in the middle of the picture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wave = np.sin(columns * rng.uniform(0.5, 1.5) + rng.uniform(0, 6)) * np.cos(rows * rng.uniform(0.5, 1.5))
    inside = (abs(columns - 30) < 12) & (abs(rows - 22) < 12)
    return (0.15 * wave * inside)[..., None] * np.array([1, 0.8, 0.5])


def lasting() -> np.ndarray:
    """[T, H, W, 3]: the same in all frames."""
    return np.stack([texture(1)] * COUNT).astype(np.float32)


def flashing() -> np.ndarray:
    """[T, H, W, 3]: something else in every frame."""
    return np.stack([texture(t) for t in range(COUNT)]).astype(np.float32)


def decoded(found) -> np.ndarray:
    """[T, H, W, 3] of a residual."""
    size = (HEIGHT, WIDTH), (WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT)
    drawn = Residual(residual_values(found), COUNT, YCC_TO_RGB, *size, np.float32)
    frames = [drawn.at(t) for t in range(COUNT)]
    return np.stack([np.zeros((HEIGHT, WIDTH, 3)) if f is None else f.transpose(1, 2, 0) for f in frames])


def bits_of(found) -> int:
    """Bits of a residual."""
    return 0 if found is None else 8 * residual_bytes(HEADER, COUNT, found)


@pytest.mark.parametrize(("missing", "frames"), [(lasting, COUNT), (flashing, 1)])
def test_groups_are_as_long_as_what_is_missing_lasts(missing, frames):
    wanted = missing()
    found, gained = fit_residual(wanted, BITS, HEADER)
    assert found.frames == frames
    rest = np.square(wanted - decoded(found)).sum() / np.square(wanted).sum()
    assert rest < 0.3
    assert gained == pytest.approx(-10 * np.log10(rest), abs=0.01)


def test_every_coefficient_is_worth_its_bits():
    """Error and bits, at what a bit is worth, are less than without a residual, and than with one twice as fine."""
    wanted = flashing()
    slope = module.SLOPE * float(np.square(wanted).sum()) / BITS

    def cost(found) -> float:
        rest = wanted if found is None else wanted - decoded(found)
        return float(np.square(rest).sum()) + slope * bits_of(found)

    found, _ = fit_residual(wanted, BITS, HEADER)
    assert cost(found) < 0.5 * cost(None)
    for bits in (BITS / 8, BITS * 8):
        assert cost(found) <= cost(fit_residual(wanted, bits, HEADER, like=found)[0])


@pytest.mark.parametrize("missing", [lasting, flashing])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 1.3])
def test_it_takes_the_bits_that_there_are(missing, share):
    wanted = missing()
    free, _ = fit_residual(wanted, BITS, HEADER)
    most = share * bits_of(free)
    found, _ = fit_residual(wanted, BITS, HEADER, like=free, most=most)
    assert 0.85 * most < bits_of(found) <= most
    assert found.frames == free.frames


def test_a_length_that_is_given_is_kept():
    free, _ = fit_residual(lasting(), BITS, HEADER)
    assert fit_residual(flashing(), BITS, HEADER, like=free)[0].frames == free.frames == COUNT


def test_nothing_to_find_is_none():
    rng = np.random.default_rng(0)
    assert fit_residual(np.zeros((COUNT, HEIGHT, WIDTH, 3), np.float32), BITS, HEADER) == (None, 0.0)
    noise = rng.normal(0, 0.01, (COUNT, HEIGHT, WIDTH, 3)).astype(np.float32)
    assert fit_residual(noise, 2_000, HEADER) == (None, 0.0)
    assert fit_residual(flashing(), BITS, HEADER, most=0) == (None, 0.0)
    assert fit_residual(flashing(), BITS, HEADER, most=-5.0) == (None, 0.0)


def test_what_is_looked_at_at_once_changes_nothing(monkeypatch):
    whole, _ = fit_residual(flashing(), BITS, HEADER)
    monkeypatch.setattr(residual_choice, "PART", 500)
    monkeypatch.setattr(residual_cosines, "PART", 5000)
    assert len(list(residual_cosines.stripes(flashing()))) > 3
    assert fit_residual(flashing(), BITS, HEADER)[0] == whole


def test_what_fits_is_kept_where_nothing_comes_nearer():
    fits, too_much = Coded(None, 900, 5.0), Coded(None, 2000, 6.0)
    assert module._within(1000, fits, lambda dearer: fits if dearer >= 1 else too_much) == fits
    assert module._within(1000, too_much, lambda dearer: fits if dearer > 1 else too_much) == fits


def test_what_brings_less_than_gaussians_would_is_none(monkeypatch):
    """What is cheap enough for a low SLOPE takes most of the bits here, or more than there are."""
    rng = np.random.default_rng(3)
    rough = flashing() + rng.normal(0, 0.02, (COUNT, HEIGHT, WIDTH, 3)).astype(np.float32)
    found, gained = fit_residual(rough, BITS, HEADER)
    assert gained > -10 * module.LEAST_SHORT * np.log10(1 - bits_of(found) / BITS)
    for slope in (0.2, 0.05, 0.01):
        monkeypatch.setattr(module, "SLOPE", slope)
        assert fit_residual(rough, BITS, HEADER) == (None, 0.0)
    assert fit_residual(rough, BITS, HEADER, most=BITS / 5)[0] is not None


@pytest.mark.parametrize("which", ["LEAST_SHORT", "LEAST_LONG"])
def test_what_it_has_to_bring_depends_on_how_long_groups_are(monkeypatch, which):
    frames = fit_residual(flashing(), BITS, HEADER)[0].frames
    monkeypatch.setattr(module, which, 100.0)
    monkeypatch.setattr(module, "LONG", frames)
    assert (fit_residual(flashing(), BITS, HEADER)[0] is None) == (which == "LEAST_LONG")
    monkeypatch.setattr(module, "LONG", frames + 1)
    assert (fit_residual(flashing(), BITS, HEADER)[0] is None) == (which == "LEAST_SHORT")


def test_what_made_room_for_a_residual_keeps_it(monkeypatch):
    """Where one that is new would bring too little, but not where it takes more bits than there are."""
    rng = np.random.default_rng(3)
    rough = flashing() + rng.normal(0, 0.02, (COUNT, HEIGHT, WIDTH, 3)).astype(np.float32)
    monkeypatch.setattr(module, "SLOPE", 0.2)
    kept, _ = fit_residual(rough, BITS, HEADER, had=True)
    assert 0 < bits_of(kept) < BITS
    monkeypatch.setattr(module, "SLOPE", 0.05)
    assert fit_residual(rough, BITS, HEADER, had=True) == (None, 0.0)


def test_a_gop_that_made_room_is_not_asked_again(tmp_path, monkeypatch):
    """Fitted before compression, in it, and within the bits that are left: `had` from the second time on."""
    told = []

    def spy(missing, bits, header, **how):
        found = fit_residual(missing, bits, header, **how)
        told.append((how["had"], how["like"] is not None, how["most"] is not None, found[0] is not None))
        return found

    monkeypatch.setattr(coder, "fit_residual", spy)
    for number, picture in enumerate(flashing()[:3] + 0.5):
        (tmp_path / f"{number}.png").write_bytes(png_bytes((picture * 255).clip(0, 255).astype(np.uint8)))
    steps = {"key_iterations": 10, "joint_iterations": 10, "tune_iterations": 10}
    encode(open_video(tmp_path), io.BytesIO(), EncodeOptions(bpp=6.0, detail=False, threads=1, **steps))
    assert told == [(False, False, False, True), (True, False, False, True), (True, True, True, True)]
