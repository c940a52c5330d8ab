# SPDX-License-Identifier: MIT
"""Options and presets."""

import itertools

import pytest

from gscodec_cli.encoder.gop import field_numbers
from gscodec_cli.encoder.options import EncodeOptions, resolve
from gscodec_cli.encoder.presets import PRESETS, PROFILES
from gscodec_cli.errors import UsageError


def test_stgv_defaults_are_those_of_the_paper():
    plan = resolve(EncodeOptions(profile="stgv", preset="veryslow"))
    field = plan.tools.field
    assert (plan.gop, PROFILES["stgv"].gaussians) == (10, 20_000)
    assert (field.levels, field.log2_table_size, field.base_resolution, field.growth) == (8, 10, 16, 1.5)
    assert (field.features_2d, field.features_3d, field.hidden_width, field.frequencies) == (2, 4, 128, 6)
    assert (plan.tools.mean_bits, plan.tools.shape_bits, plan.tools.field_bits) == (16, 8, 8)
    effort = plan.effort
    assert (effort.key_iterations, effort.joint_iterations) == (10_000, 60_000)
    assert (effort.lr_gaussian, effort.lr_field) == (7e-3, 1.6e-4)


@pytest.mark.parametrize("profile", PROFILES)
def test_presets_are_ordered_by_effort(profile):
    efforts = [PROFILES[profile].efforts[name] for name in PRESETS]
    for less, more in itertools.pairwise(efforts):
        assert less.key_iterations < more.key_iterations
        assert less.joint_iterations < more.joint_iterations
        assert less.tune_iterations < more.tune_iterations


def test_options_override_profile_and_preset():
    plan = resolve(
        EncodeOptions(profile="stgv", gop=4, mean_bits=12, hash_levels=3, hidden_width=16, joint_iterations=7)
    )
    assert (plan.gop, plan.tools.mean_bits, plan.effort.joint_iterations) == (4, 12, 7)
    assert (plan.tools.field.levels, plan.tools.field.hidden_width) == (3, 16)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"gaussians": 0}, "--gaussians 0"),
        ({"bpp": -1.0}, "--bpp"),
        ({"preset": "quick"}, "ultrafast"),
        ({"frames": (5, 5)}, "--frames 5:5"),
        ({"shape_bits": 99}, "2..12"),
        ({"bpp": 0.1, "psnr": 30.0}, "--bpp and --psnr"),
        ({"size": 5, "gaussians": 7}, "--size and --gaussians"),
        ({"quality": 52}, "0..51"),
    ],
)
def test_bad_values_are_named(given, named):
    with pytest.raises(UsageError, match=named):
        EncodeOptions(**given)


def test_quality_is_the_goal_of_main_where_none_is_set():
    assert resolve(EncodeOptions()).quality == 26
    assert resolve(EncodeOptions(bpp=0.1)).quality is None
    assert resolve(EncodeOptions(profile="stgv")).quality is None
    with pytest.raises(UsageError, match=r"--quality.*--profile main"):
        resolve(EncodeOptions(profile="stgv", quality=30))


@pytest.mark.parametrize(
    "given", [{"window": True}, {"births": True}, {"motion_degree": 2}, {"blend": "normalised"}, {"field": False}]
)
def test_stgv_refuses_tools_it_does_not_have(given):
    with pytest.raises(UsageError, match="--profile main"):
        resolve(EncodeOptions(profile="stgv", **given))


def test_rvq_in_main_leaves_no_gop_to_be_predicted():
    assert not resolve(EncodeOptions()).tools.rvq
    assert resolve(EncodeOptions(keyint=96)).keyint == 96
    plan = resolve(EncodeOptions(rvq=True, keyint=96))
    assert plan.tools.rvq
    assert plan.keyint == 1
    assert plan.tools.energy_colour


def test_stgv_always_has_rvq():
    assert resolve(EncodeOptions(profile="stgv", rvq=True)).tools == PROFILES["stgv"].tools
    with pytest.raises(UsageError, match=r"--no-rvq.*--profile main"):
        resolve(EncodeOptions(profile="stgv", rvq=False))


def test_field_numbers_are_those_of_the_paper_setting():
    # 6976 2D entries of 2 features, 8192 3D entries of 4, and the network 60-128-128-(2, 3).
    network = 128 * 61 + 128 * 129 + 5 * 129
    assert field_numbers(PROFILES["stgv"].tools) == 6976 * 2 + 8192 * 4 + network


def test_precision_follows_the_rate():
    plan = resolve(EncodeOptions(bpp=0.1))
    low, high = plan.at_rate(0.02, 352 * 288), plan.at_rate(0.3, 352 * 288)
    assert low.tools.amplitude_step > plan.at_rate(0.1, 352 * 288).tools.amplitude_step > high.tools.amplitude_step
    assert high.tools.mean_fraction_bits == low.tools.mean_fraction_bits + 1
    assert low.tools.field_bits == high.tools.field_bits - 1 == plan.tools.field_bits - 1
    assert plan.at_rate(0.02, 1280 * 640).tools.field_bits == plan.tools.field_bits
    assert plan.at_rate(0.01, 1280 * 640).tools.field == plan.tools.field
    assert field_numbers(plan.at_rate(0.05, 1280 * 640).tools) > 2 * field_numbers(plan.tools)
    own = resolve(EncodeOptions(bpp=0.1, hidden_width=20))
    assert own.at_rate(0.05, 1280 * 640).tools.field == own.tools.field
    assert resolve(EncodeOptions(bpp=0.1, field_bits=8)).at_rate(0.02, 352 * 288).tools.field_bits == 8
    default = PROFILES["main"].tools
    own = resolve(EncodeOptions(bpp=0.1, field_bits=default.field_bits, hidden_width=default.field.hidden_width))
    assert own.at_rate(0.01, 352 * 288).tools.field_bits == default.field_bits
    assert own.at_rate(0.05, 1280 * 640).tools.field == default.field
    own = resolve(EncodeOptions(bpp=0.1, amplitude_step=0.3))
    assert own.at_rate(0.02, 352 * 288) is own
