# SPDX-License-Identifier: MIT
"""What an encode is asked to do: every option, its default and its range.

A profile gives the model and its coding (SPEC 9), a preset gives the effort. `EncodeOptions` is what the caller says;
`resolve` turns it into a `Plan`, in which nothing is left open. This module imports neither torch nor the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from gscodec_cli.encoder.presets import PRESETS, PROFILES
from gscodec_cli.encoder.tools import Effort, Tools
from gscodec_cli.errors import UsageError

PROFILE_IDS = {"stgv": 0, "main": 1}
MAX_GOP_FRAMES = 256
KEYINT = 144  # frames; 6 s of film
TRIAL = "ultrafast"  # preset with which lengths of GoPs are tried; an encode of no more effort goes without
QUALITY = 26.0
# Best steps on foreman and Bunny: amplitudes 0.4 at 0.02 bpp, 0.28 at 0.05, 0.1 at 0.2, where means want a bit more.
STEP_BPP, STEP_POWER, FINE_BPP = 0.08, 0.55, 0.15
SMALL_GOP = 120_000  # bits; below it a field of one bit less pays: 0.06 to 0.17 dB at 50 to 105 kbit, nothing at 130
LARGE_GOP = 500_000  # bits; above it a larger field pays: 0.2 dB at 0.8 Mbit, 0.3 at 2.6; it costs 0.2 at 0.2 Mbit
LARGE_FIELD = (4, 8, 24)  # levels, log2 of the entries, width
# Options of the precision: it follows the rate as far as the caller does not choose it.
OWN_STEPS = frozenset({"amplitude_step", "shape_bits"})
OWN_FIELD = frozenset({"hash_levels", "hash_table", "hidden_width"})
PRECISION = OWN_STEPS | OWN_FIELD | {"field_bits"}


@dataclass(frozen=True)
class EncodeOptions:
    """Everything `gsv encode` accepts. None means: as the profile or the preset says.

    gaussians: Gaussians per GoP. gop: frames per GoP. frames: (first, last + 1). resize: (width, height) in pixels.
    keyint: frames between GoPs that are decoded alone, at most. One of these says how large or how good the file shall
    be: bpp, bits per pixel; size, bytes; bitrate, bits per second; psnr, dB; quality, 0 (best) to 51; gaussians.
    threads: 0 for all cores. Raises UsageError for a value outside its range and for two goals.
    """

    profile: str = "main"
    preset: str = "medium"
    gaussians: int | None = None
    gop: int | None = None
    frames: tuple[int, int] | None = None
    resize: tuple[int, int] | None = None
    keyint: int | None = None
    bpp: float | None = None
    size: int | None = None
    bitrate: float | None = None
    psnr: float | None = None
    quality: float | None = None
    threads: int = 0
    device: str = "auto"
    seed: int = 0
    key_iterations: int | None = None
    joint_iterations: int | None = None
    tune_iterations: int | None = None
    step_frames: int | None = None
    mean_bits: int | None = None
    shape_bits: int | None = None
    field_bits: int | None = None
    rvq_stages: int | None = None
    rvq_codebook: int | None = None
    hash_levels: int | None = None
    hash_table: int | None = None
    hidden_width: int | None = None
    motion_degree: int | None = None
    amplitude_step: float | None = None
    rate_slope: float | None = None
    spare: float | None = None
    window: bool | None = None
    births: bool | None = None
    field: bool | None = None
    rvq: bool | None = None
    drift: bool | None = None
    camera: bool | None = None
    detail: bool | None = None
    residual: bool | None = None
    filter: bool | None = None
    repeats: bool | None = None
    blend: str | None = None

    def __post_init__(self) -> None:
        for name, low, high in RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"--{name.replace('_', '-')} {value}: expected {low}..{high}")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UsageError(f"--{name} {value}: expected one of {', '.join(choices)}")
        goals = [name for name in GOALS if getattr(self, name) is not None]
        if len(goals) > 1:
            raise UsageError(f"--{goals[0]} and --{goals[1]}: only one of {', '.join('--' + g for g in GOALS)}")
        if self.frames is not None and not 0 <= self.frames[0] < self.frames[1]:
            raise UsageError(f"--frames {self.frames[0]}:{self.frames[1]}: expected A:B with 0 <= A < B")


RANGES: tuple[tuple[str, float, float], ...] = (
    ("gaussians", 1, 1 << 20),
    ("gop", 1, MAX_GOP_FRAMES),
    ("keyint", 1, 1 << 16),
    ("bpp", 1e-4, 64),
    ("size", 1, 1 << 50),
    ("bitrate", 1, 1e12),
    ("psnr", 10, 60),
    ("quality", 0, 51),
    ("threads", 0, 1024),
    ("seed", 0, (1 << 31) - 1),
    ("key_iterations", 1, 10_000_000),
    ("joint_iterations", 0, 10_000_000),
    ("tune_iterations", 0, 10_000_000),
    ("step_frames", 1, MAX_GOP_FRAMES),
    ("mean_bits", 8, 20),
    ("shape_bits", 2, 12),
    ("field_bits", 2, 12),
    ("rvq_stages", 1, 8),
    ("rvq_codebook", 2, 1024),
    ("hash_levels", 1, 16),
    ("hash_table", 3, 16),
    ("hidden_width", 1, 512),
    ("motion_degree", 0, 3),
    ("amplitude_step", 1e-3, 16),
    ("rate_slope", 0, 10),
    ("spare", 0, 4),
)
GOALS = ("bpp", "size", "bitrate", "psnr", "quality", "gaussians")
CHOICES = {
    "profile": tuple(PROFILE_IDS),
    "preset": tuple(PRESETS),
    "device": ("auto", "cpu", "cuda"),
    "blend": ("sum", "normalised", "auto"),
}


@dataclass(frozen=True)
class Plan:
    """A complete encode: options with nothing left open.

    Of the goals (bpp, size, bitrate, psnr, quality, gaussians) at most one is not None. gop: frames of a GoP at most.
    longer: what else that may be, where a trial shows that it is better. lesser: efforts with which a GoP is trained
    too; the best is kept. tries: trainings of a GoP with one effort, at most, where a PSNR or a quality is missed.
    """

    profile: str
    preset: str
    gaussians: int | None
    gop: int
    longer: tuple[int, ...]
    keyint: int
    bpp: float | None
    size: int | None
    bitrate: float | None
    psnr: float | None
    quality: float | None
    threads: int
    seed: int
    step_frames: int
    tools: Tools
    lesser: tuple[Effort, ...]
    effort: Effort
    choose_blend: bool
    tries: int = 4
    own: frozenset[str] = frozenset()  # those of PRECISION that the caller chose

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """With each of these a GoP is trained."""
        return (*self.lesser, self.effort)

    @property
    def steps(self) -> int:
        """Steps of training of a GoP of usual length."""
        return sum(effort.steps for effort in self.efforts)

    def for_gops(self, frames: int) -> Plan:
        """This plan for a chain whose longest GoP has so many frames: the least of its lengths that these are."""
        return replace(self, gop=min((n for n in (self.gop, *self.longer) if n >= frames), default=self.gop))

    def at_rate(self, bpp: float, pixels: int) -> Plan:
        """This plan with the precision that measured best at `bpp` for frames of `pixels` pixels; `main` only."""
        if self.profile != "main" or self.own & OWN_STEPS:
            return self
        step = min(max(0.2 * (STEP_BPP / bpp) ** STEP_POWER, 0.05), 0.45)
        fraction_bits = self.tools.mean_fraction_bits + (bpp > FINE_BPP)
        tools = replace(self.tools, amplitude_step=step, mean_fraction_bits=fraction_bits)
        if "field_bits" not in self.own and bpp * pixels * self.gop < SMALL_GOP:
            tools = replace(tools, field_bits=tools.field_bits - 1)
        field = tools.field
        if field is not None and not self.own & OWN_FIELD and bpp * pixels * self.gop >= LARGE_GOP:
            levels, entries, width = LARGE_FIELD
            field = replace(field, levels=levels, log2_table_size=entries, hidden_width=width)
            tools = replace(tools, field=field)
        return replace(self, tools=tools)


def resolve(options: EncodeOptions) -> Plan:
    """Fill in the profile's tools and the preset's effort.

    Raises UsageError for tools that the profile does not have.
    """
    profile = PROFILES[options.profile]
    tools = _tools(options, profile.tools)
    own = frozenset(name for name in PRECISION if getattr(options, name) is not None)
    alone = options.profile == "main" and tools.rvq  # nothing can be predicted from RVQ colours (C-6.18-2)
    trial, usual = (profile.efforts[name] for name in (TRIAL, options.preset))
    effort = _override(usual, options, {f.name: f.name for f in fields(Effort)})
    lesser = profile.tried_too.get(options.preset, ()) if effort == usual else ()
    return Plan(
        profile=options.profile,
        preset=options.preset,
        gaussians=options.gaussians,
        gop=options.gop or profile.gop,
        longer=() if options.gop or options.gaussians or effort.steps <= trial.steps else profile.longer_gops,
        keyint=1 if alone else options.keyint or KEYINT,
        bpp=options.bpp,
        size=options.size,
        bitrate=options.bitrate,
        psnr=options.psnr,
        quality=_default_quality(options),
        threads=options.threads,
        seed=options.seed,
        step_frames=options.step_frames or 1,
        tools=tools,
        lesser=tuple(profile.efforts[name] for name in lesser),
        effort=effort,
        choose_blend=options.blend == "auto",
        own=own,
    )


def _default_quality(options: EncodeOptions) -> float | None:
    """The quality asked for; where no goal is set, `main` has a default one."""
    if options.profile == "stgv" and options.quality is not None:
        raise UsageError("--quality: profile stgv has one quality: use --profile main, or --bpp, --psnr, --gaussians")
    if options.profile == "main" and all(getattr(options, name) is None for name in GOALS):
        return QUALITY
    return options.quality


def _override(base, options: EncodeOptions, names: dict[str, str]):
    """`base` with each field named in `names` replaced by the option of that name, where the caller set it."""
    given = {key: getattr(options, name, None) for key, name in names.items()}
    return replace(base, **{key: value for key, value in given.items() if value is not None})


def _tools(options: EncodeOptions, tools: Tools) -> Tools:
    same: tuple[str, ...] = ("mean_bits", "shape_bits", "field_bits", "rvq", "rvq_stages", "rvq_codebook")
    main_only = ("motion_degree", "drift", "camera", "detail", "residual", "filter", "repeats", "window", "births")
    same += (*main_only, "amplitude_step", "rate_slope", "spare")
    tools = _override(tools, options, {name: name for name in same})
    added = any(getattr(tools, name) for name in main_only) or options.blend
    if options.profile == "stgv" and (added or options.field is False):
        raise UsageError(
            "profile stgv has no windows, births, polynomial motion, drift, camera, detail, residual, filter, repeats "
            "or normalised blending: use --profile main"
        )
    if options.profile == "stgv" and not tools.rvq:
        raise UsageError("--no-rvq: profile stgv codes colours by RVQ: use --profile main")
    if options.blend in ("sum", "normalised"):
        tools = replace(tools, normalised=options.blend == "normalised")
    if tools.rvq_codebook & (tools.rvq_codebook - 1):
        raise UsageError(f"--rvq-codebook {tools.rvq_codebook}: expected a power of two")
    if options.field is False:
        return replace(tools, field=None)
    assert tools.field is not None  # every profile has one
    names = {"levels": "hash_levels", "log2_table_size": "hash_table", "hidden_width": "hidden_width"}
    return replace(tools, field=_override(tools.field, options, names))
