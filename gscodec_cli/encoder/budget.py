# SPDX-License-Identifier: MIT
"""Bits: how many a file should have, and which GoPs are given others where it would miss that.

Must not import the verbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from gscodec_cli.decoder.timeline import NOMINAL_SECONDS
from gscodec_cli.encoder.chain import FinishedGop
from gscodec_cli.encoder.options import Plan
from gscodec_cli.video.reader import VideoSource

UNDER, OVER = 0.012, 0.004  # of the size that is asked for; a file further off is corrected
MEETS = 0.02  # a GoP that came this close to its bits can be given others
CHANGE = 0.3  # of its bits that a GoP gains or loses in a correction, where others can share in it
MOST_CHANGE = 2.0  # times its bits, in any case


def target_bits(plan: Plan, source: VideoSource) -> float | None:
    """Bits that the file should have, without sound; None where no size is asked for."""
    frames, info = len(source), source.info
    if plan.bpp is not None:
        return plan.bpp * info.width * info.height * frames
    if plan.size is not None:
        return 8.0 * plan.size
    if plan.bitrate is not None:
        shown = (source.seconds(frames - 1) - source.seconds(0)) * frames / max(1, frames - 1)
        return plan.bitrate * float(shown or info.frame_duration * info.time_base or NOMINAL_SECONDS)
    return None


def other_bits(ends: Sequence[FinishedGop], missing: float, target: float) -> dict[int, float]:
    """Bits for some of the GoPs `ends`, by number, so that a file of `target` bits gets the `missing` ones.

    `ends` are the last GoPs of their chains: nothing depends on them. Chosen are the largest of those that can be
    given the bits they should have; none where the file is close enough or none can.
    """
    if -OVER <= missing / target <= UNDER:
        return {}
    able = [gop for gop in ends if gop.allowed and abs(gop.bits / gop.allowed - 1) <= MEETS]
    able.sort(key=lambda gop: (-gop.bits, gop.number))
    sums = list(accumulate(gop.bits for gop in able))
    if not sums:
        return {}
    count = next((n for n, bits in enumerate(sums, 1) if bits * CHANGE > abs(missing)), len(able))
    change = min(max(1 + missing / sums[count - 1], 1 / MOST_CHANGE), MOST_CHANGE)
    return {gop.number: gop.bits * change for gop in able[:count]}


def notes_on_goals(plan: Plan, target: float | None, bits: int, psnr: float, pixels: int) -> Iterator[str]:
    """What to say when the file is not what was asked for."""
    if target is not None and not -0.015 <= bits / target - 1 <= 0.005:
        yield (
            f"asked for {target / 8:.0f} bytes ({target / pixels:.5f} bpp), "
            f"{bits / 8:.0f} bytes ({bits / pixels:.5f} bpp) is the nearest that was reached"
        )
    if plan.psnr is not None and abs(psnr - plan.psnr) > 0.1:
        yield f"asked for {plan.psnr:g} dB, {psnr:.2f} dB is the nearest that was reached"
