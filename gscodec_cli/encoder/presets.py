# SPDX-License-Identifier: MIT
"""Profiles and presets as data; docs/CLI.md prints these tables and a test keeps the two equal.

Profile `stgv` is the paper as written (001, section III and appendices B, C); its `veryslow` preset has the paper's
budget and its two learning rates. Shorter schedules begin with larger ones. Imports nothing of ours but `tools`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gscodec_cli.encoder.tools import Effort, HashLayout, Tools

PRESETS = ("ultrafast", "fast", "medium", "slow", "veryslow")


@dataclass(frozen=True)
class Profile:
    """Default GoP length in frames and longer ones that are tried, default number of Gaussians, tools, and the effort
    of each preset. tried_too: lesser efforts with which a preset trains each GoP as well, to keep what is best.
    """

    gop: int
    longer_gops: tuple[int, ...]
    gaussians: int
    tools: Tools
    efforts: dict[str, Effort]
    tried_too: dict[str, tuple[str, ...]]


STGV = Profile(
    gop=10,
    longer_gops=(),
    gaussians=20_000,
    tools=Tools(
        shape_log=False,
        energy_colour=False,
        ycc=False,
        normalised=False,
        window=False,
        motion_degree=0,
        drift=False,
        camera=False,
        detail=False,
        residual=False,
        filter=False,
        repeats=False,
        births=False,
        lattice=False,
        field=HashLayout(
            levels=8,
            log2_table_size=10,
            features_2d=2,
            features_3d=4,
            base_resolution=16,
            growth=1.5,
            frequencies=6,
            hidden_width=128,
            input_scale=(0.9375, 0.9375, 0.9375),
        ),
        mean_bits=16,
        mean_fraction_bits=0,
        shape_bits=8,
        field_bits=8,
        rvq=True,
        rvq_stages=3,
        rvq_codebook=64,
        amplitude_step=0.0,
        rate_slope=0.0,
        spare=0.0,
    ),
    efforts={
        "ultrafast": Effort(100, 400, 100, 2e-2, 2e-3),
        "fast": Effort(250, 1500, 250, 1.5e-2, 2e-3),
        "medium": Effort(600, 5000, 800, 1.2e-2, 1.5e-3),
        "slow": Effort(1500, 20000, 3000, 1e-2, 1e-3),
        "veryslow": Effort(10000, 60000, 6000, 7e-3, 1.6e-4),
    },
    tried_too={},
)

MAIN = Profile(
    gop=32,
    longer_gops=(64, 128),
    gaussians=8_000,
    tools=Tools(
        shape_log=True,
        energy_colour=True,
        ycc=True,
        normalised=True,
        window=True,
        motion_degree=1,
        drift=False,
        camera=True,
        detail=True,
        residual=True,
        filter=True,
        repeats=True,
        births=True,
        lattice=True,
        field=HashLayout(
            levels=3,
            log2_table_size=6,
            features_2d=2,
            features_3d=2,
            base_resolution=8,
            growth=2.0,
            frequencies=2,
            hidden_width=16,
            input_scale=(0.875, 0.4375, 0.375),
        ),
        mean_bits=None,
        mean_fraction_bits=2,
        shape_bits=6,
        field_bits=7,
        rvq=False,
        rvq_stages=2,
        rvq_codebook=64,
        amplitude_step=0.2,
        rate_slope=0.02,
        spare=0.7,
    ),
    efforts={
        "ultrafast": Effort(60, 300, 500, 3e-2, 5e-3),
        "fast": Effort(200, 1400, 2800, 2.5e-2, 5e-3),
        "medium": Effort(400, 5500, 11000, 2e-2, 4e-3),
        "slow": Effort(700, 11000, 22000, 2e-2, 3e-3),
        "veryslow": Effort(1000, 28000, 56000, 1.5e-2, 2e-3),
    },
    tried_too={"slow": ("medium",), "veryslow": ("medium", "slow")},
)

PROFILES = {"stgv": STGV, "main": MAIN}
