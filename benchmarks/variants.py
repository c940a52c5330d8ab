# SPDX-License-Identifier: MIT
"""What an ablation switches: one set of `gsv encode` options for each tool, on and off. Data; encodes nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields

from gscodec_cli.encoder.options import EncodeOptions, Plan, resolve
from gscodec_cli.verbs.encode import command


@dataclass(frozen=True)
class Variant:
    """`options` stand behind those of the baseline, so that they win."""

    name: str
    options: str


# Both directions of every switch: the one that changes nothing is left out, whatever the defaults are by then.
VARIANTS = (
    Variant("no key-frame initialisation", "--key-iterations 1"),
    Variant("no hash field", "--no-field"),
    Variant("hash field", "--field"),
    Variant("hash field, 8 levels, width 64", "--field --hash-levels 8 --hash-table 10 --hidden-width 64"),
    Variant("no births", "--no-births"),
    Variant("no windows", "--no-window"),
    Variant("windows", "--window"),
    Variant("no motion polynomial", "--motion-degree 0"),
    Variant("motion of degree 1", "--motion-degree 1"),
    Variant("motion of degree 2", "--motion-degree 2"),
    Variant("colour drift", "--drift"),
    Variant("no colour drift", "--no-drift"),
    Variant("no camera", "--no-camera"),
    Variant("no detail", "--no-detail"),
    Variant("detail", "--detail"),
    Variant("no residual", "--no-residual"),
    Variant("residual", "--residual"),
    Variant("no filter", "--no-filter"),
    Variant("filter", "--filter"),
    Variant("no repeats", "--no-repeats"),
    Variant("no carry-over", "--keyint 1"),
    Variant("RVQ colours, every GoP alone", "--rvq"),
    Variant("RVQ colours of 3 stages of 32, every GoP alone", "--rvq --rvq-stages 3 --rvq-codebook 32"),
    Variant("uniform colours", "--no-rvq"),
    Variant("blending by sum", "--blend sum"),
    Variant("normalised blending", "--blend normalised"),
    Variant("blending chosen per GoP", "--blend auto"),
    Variant("no rate term", "--rate-slope 0"),
    Variant("no pruning", "--spare 0"),
    Variant("compression not simulated", "--tune-iterations 0"),
    Variant("GoPs of 16 frames", "--gop 16"),
    Variant("GoPs of 64 frames", "--gop 64"),
    Variant("profile stgv, colours by RVQ", "--profile stgv"),
)


def plan_of(options: Sequence[str]) -> Plan:
    """What `gsv encode` makes of these options. Raises click.UsageError, UsageError for those it refuses."""
    context = command.make_context("encode", ["IN", "-o", "OUT.gsv", *options])
    known = {item.name for item in fields(EncodeOptions)} - {"frames"}
    return resolve(EncodeOptions(**{name: value for name, value in context.params.items() if name in known}))


def variants_of(baseline: Sequence[str]) -> list[Variant]:
    """The variants that differ from a baseline."""
    base = plan_of(baseline)
    return [item for item in VARIANTS if plan_of([*baseline, *shlex.split(item.options)]) != base]
