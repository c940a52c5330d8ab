# SPDX-License-Identifier: MIT
"""The residual of a GoP: found where it is worth its bits, in groups that fit how long things last."""

from __future__ import annotations

import io

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import residual_values
from gscodec.format.records import ResidualData
from gscodec.format.residual import residual_bytes
from gscodec_cli.decoder.residual import Residual
from gscodec_cli.decoder.view import YCC_TO_RGB
from gscodec_cli.encoder import refine, residual_choice, residual_cosines
from gscodec_cli.encoder import residual as module
from gscodec_cli.encoder.options import EncodeOptions
from gscodec_cli.encoder.pipeline import encode
from gscodec_cli.encoder.residual import NONE, USUAL, Coded, leads, slope_beside
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


def fit_residual(*given, **also):
    """The residual of `residual.fit_residual`."""
    return module.fit_residual(*given, **also).residual


def bits_of(found) -> int:
    """Bits of a residual."""
    return 0 if found is None else 8 * residual_bytes(HEADER, COUNT, found)


@pytest.mark.parametrize(("missing", "frames"), [(lasting, COUNT), (flashing, 1)])
def test_groups_are_as_long_as_what_is_missing_lasts(missing, frames):
    wanted = missing()
    found = fit_residual(wanted, BITS, HEADER, USUAL)
    assert found.frames == frames
    rest = np.square(wanted - decoded(found)).sum() / np.square(wanted).sum()
    assert rest < 0.3


def test_every_coefficient_is_worth_its_bits():
    """Error and bits, at what a bit is worth, are less than without a residual, and than with one twice as fine."""
    wanted = flashing()
    slope = USUAL * float(np.square(wanted).sum()) / BITS

    def cost(found) -> float:
        rest = wanted if found is None else wanted - decoded(found)
        return float(np.square(rest).sum()) + slope * bits_of(found)

    found = fit_residual(wanted, BITS, HEADER, USUAL)
    assert cost(found) < 0.5 * cost(None)
    for bits in (BITS / 8, BITS * 8):
        assert cost(found) <= cost(fit_residual(wanted, bits, HEADER, USUAL, like=found))


@pytest.mark.parametrize("missing", [lasting, flashing])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 1.3])
def test_it_takes_the_bits_that_there_are(missing, share):
    wanted = missing()
    free = fit_residual(wanted, BITS, HEADER, USUAL)
    most = share * bits_of(free)
    found = fit_residual(wanted, BITS, HEADER, USUAL, like=free, most=most)
    assert 0.85 * most < bits_of(found) <= most
    assert found.frames == free.frames


def test_a_length_that_is_given_is_kept():
    free = fit_residual(lasting(), BITS, HEADER, USUAL)
    assert fit_residual(flashing(), BITS, HEADER, USUAL, like=free).frames == free.frames == COUNT


def test_nothing_to_find_is_none():
    rng = np.random.default_rng(0)
    assert fit_residual(np.zeros((COUNT, HEIGHT, WIDTH, 3), np.float32), BITS, HEADER, USUAL) is None
    noise = rng.normal(0, 0.01, (COUNT, HEIGHT, WIDTH, 3)).astype(np.float32)
    assert fit_residual(noise, 2_000, HEADER, USUAL) is None
    assert fit_residual(flashing(), BITS, HEADER, USUAL, most=0) is None
    assert fit_residual(flashing(), BITS, HEADER, USUAL, most=-5.0) is None


@pytest.mark.parametrize("missing", [lasting, flashing])
def test_what_a_residual_is_said_to_be_is_what_it_is(missing):
    wanted = missing()
    found = module.fit_residual(wanted, BITS, HEADER, USUAL)
    left = np.square(wanted - decoded(found.residual)).sum()
    assert found.bits == bits_of(found.residual)
    assert found.gain == pytest.approx(np.square(wanted).sum() - left, rel=0.01)


@pytest.mark.parametrize("frames", [2, 4, 5])
def test_frames_behind_the_end_bring_nothing(frames):
    """The last group goes on beyond the GoP: what it takes away there is no gain, and not worth bits."""
    wanted = flashing()
    like = ResidualData(frames, (1.0, 1.0), (np.zeros(0, np.int64),) * 3, (np.zeros(0, np.int32),) * 3)
    found = module.fit_residual(wanted, BITS, HEADER, USUAL, like)
    left = np.square(wanted - decoded(found.residual)).sum()
    assert found.residual.frames == frames
    assert found.gain == pytest.approx(np.square(wanted).sum() - left, rel=0.04)


def test_a_residual_leads_where_a_bit_of_it_brings_more_than_one_of_gaussians():
    """The more so the more it takes: 1.5 times 1.2 for a tenth of the bits, times 1.8 for four of them."""
    free = module.fit_residual(lasting(), BITS, HEADER, USUAL).residual
    assert leads(Coded(free, 100, 3.7), 2, 1000, 10.0)
    assert not leads(Coded(free, 100, 3.5), 2, 1000, 10.0)
    assert not leads(Coded(free, 400, 4 * 3.7), 2, 1000, 10.0)
    assert leads(Coded(free, 400, 21.7), 2, 1000, 10.0)
    assert not leads(NONE, 2, 1000, 0.0)


def test_what_is_looked_at_at_once_changes_nothing(monkeypatch):
    whole = fit_residual(flashing(), BITS, HEADER, USUAL)
    monkeypatch.setattr(residual_choice, "PART", 500)
    monkeypatch.setattr(residual_cosines, "PART", 5000)
    assert len(list(residual_cosines.stripes(flashing()))) > 3
    assert fit_residual(flashing(), BITS, HEADER, USUAL) == whole


def test_what_fits_is_kept_where_nothing_comes_nearer():
    fits, too_much = Coded(None, 900, 5.0), Coded(None, 2000, 6.0)
    assert module._within(1000, fits, lambda dearer: fits if dearer >= 1 else too_much) == fits
    assert module._within(1000, too_much, lambda dearer: fits if dearer > 1 else too_much) == fits


def test_a_residual_leaves_gaussians_their_share():
    rng = np.random.default_rng(3)
    rough = flashing() + rng.normal(0, 0.02, (COUNT, HEIGHT, WIDTH, 3)).astype(np.float32)
    for slope in (0.2, 0.05, 0.01):
        found = fit_residual(rough, BITS, HEADER, slope)
        assert 0.9 * module.MOST_SHARE * BITS < bits_of(found) <= module.MOST_SHARE * BITS
    assert bits_of(fit_residual(rough, BITS, HEADER, 0.01, most=0.6 * BITS)) > 0.5 * BITS


@pytest.mark.parametrize(("missing", "slopes"), [(lasting, (0.36, 0.65)), (flashing, (0.37, 0.8))])
def test_bits_are_as_dear_as_gaussians_make_them(missing, slopes):
    """The more the Gaussians bring that bring least, the less a residual gets, above all where nothing lasts."""
    wanted = missing()
    error = float(np.square(wanted).sum()) / COUNT
    found = [slope_beside(wanted, BITS, lost * error) for lost in (0.0, 0.17, 1.0, 1e3)]
    assert found == pytest.approx([module.LEAST_SLOPE, *slopes, module.MOST_SLOPE], abs=0.01)


def test_nothing_missing_says_nothing_about_bits():
    assert slope_beside(np.zeros((COUNT, HEIGHT, WIDTH, 3), np.float32), BITS, 1.0) == USUAL


@pytest.fixture
def fits(tmp_path, monkeypatch):
    """Encodes three flashing pictures, with a residual that leads or not, and gives what was asked of the fits."""
    told, slopes = [], []

    def spy(missing, bits, header, slope, like, most):
        found = module.fit_residual(missing, bits, header, slope, like, most)
        slopes.append(slope)
        told.append((like is not None, most is not None, found.residual is not None))
        return found

    def run(leading: bool):
        monkeypatch.setattr(refine, "fit_residual", spy)
        monkeypatch.setattr(refine, "leads", lambda *_: leading)
        for number, picture in enumerate(flashing()[:3] + 0.5):
            (tmp_path / f"{number}.png").write_bytes(png_bytes((picture * 255).clip(0, 255).astype(np.uint8)))
        steps = {"key_iterations": 10, "joint_iterations": 10, "tune_iterations": 10}
        target = io.BytesIO()
        encode(open_video(tmp_path), target, EncodeOptions(bpp=6.0, detail=False, threads=1, **steps))
        with ContainerReader(target.getvalue()) as reader:
            return told, slopes, reader.read_gop(0).residual

    return run


def test_a_gop_has_one_slope_from_the_middle_of_compression_on(fits):
    """Fitted three times while compression is trained, and at the end within the bits that are left."""
    told, slopes, residual = fits(leading=True)
    assert told == [(False, False, True)] * 3 + [(True, True, True)]
    assert len(set(slopes)) == 1
    assert module.LEAST_SLOPE <= slopes[0] <= module.MOST_SLOPE
    assert residual is not None


def test_a_residual_that_does_not_lead_is_not_asked_for_again(fits):
    told, _, residual = fits(leading=False)
    assert told == [(False, False, True)]
    assert residual is None
