# SPDX-License-Identifier: MIT
"""The sequence header of an encode: the clip, how it is divided, and the level that holds it (SPEC 5.4).

Must not import the verbs.
"""

from __future__ import annotations

import math

from gscodec.format.limits import LEVELS, level_for
from gscodec.format.records import SequenceHeader
from gscodec_cli.encoder.division import Division
from gscodec_cli.encoder.gop import gaussians_of
from gscodec_cli.encoder.options import PROFILE_IDS, Plan
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.video.info import VideoInfo

PIXELS_PER_GAUSSIAN = 8  # the most a GoP is allowed where no bits are asked for
LEAST_BITS = 15.0  # of a Gaussian


def most_gaussians(plan: Plan, pixels: int, target: float | None, division: Division) -> int:
    """Gaussians that a GoP may need, for the level: `GopEncoder.most` is to be no less than what is asked for."""
    usual = max(PROFILES[plan.profile].gaussians, pixels // PIXELS_PER_GAUSSIAN)
    if target is not None:
        count = min(2 * pixels, math.ceil(max(division.weights) * target / LEAST_BITS))
    elif plan.gaussians is None and plan.psnr is None:
        count = usual
    else:
        count = gaussians_of(min(plan.gaussians or usual, 2 * pixels), plan)
    return min(count, LEVELS[max(LEVELS)].gaussians)


def sequence_header(info: VideoInfo, plan: Plan, frames: int, division: Division, gaussians: int) -> SequenceHeader:
    """The sequence header of a clip (SPEC 5.4). Raises LimitError when no level holds the picture."""
    return SequenceHeader(
        profile=PROFILE_IDS[plan.profile],
        level=level_for(info.width * info.height, gaussians),
        width=info.width,
        height=info.height,
        sar_num=info.sar_num,
        sar_den=info.sar_den,
        bit_depth=info.coded_depth,
        colour_primaries=info.colour_primaries,
        transfer_characteristics=info.transfer_characteristics,
        matrix_coefficients=info.matrix_coefficients,
        full_range=info.full_range,
        time_base_num=info.time_base.numerator,
        time_base_den=info.time_base.denominator,
        frame_duration=info.frame_duration,
        start_pts=info.start_pts,
        max_gop_frames=division.longest_gop,
        max_entry_distance=division.longest_chain,
        frame_count=frames,
    )
