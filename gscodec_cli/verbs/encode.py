# SPDX-License-Identifier: MIT
"""`gsv encode`: train the Gaussians of a clip and write them. The trainer, and torch, are imported when it starts."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gscodec_cli.errors import BackendMissingError, UsageError
from gscodec_cli.output import OutputFile, PartialFile, check_target
from gscodec_cli.verbs.common import BitRate, FileSize, FrameRange, FrameSize, note, print_json
from gscodec_cli.verbs.progress import encode_progress
from gscodec_cli.video.reader import VideoSource, open_video

if TYPE_CHECKING:
    from gscodec_cli.encoder import Encode, EncodeOptions

PROFILES = ("main", "stgv")
PRESETS = ("ultrafast", "fast", "medium", "slow", "veryslow")
# Settings that a profile or preset fixes and an option of the same name overrides: name, type, what it is.
SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("key-iterations", int, "Steps of the key frame's coarse fit."),
    ("joint-iterations", int, "Steps of the training on all frames."),
    ("tune-iterations", int, "Steps with compression simulated."),
    ("step-frames", int, "Frames that a step looks at, 1 unless told otherwise."),
    ("mean-bits", int, "Bits per coordinate of a mean."),
    ("shape-bits", int, "Bits per number of a covariance."),
    ("field-bits", int, "Bits per number of the hash field."),
    ("rvq-stages", int, "Codebooks of the residual vector quantiser of colours."),
    ("rvq-codebook", int, "Codewords in each, a power of two."),
    ("hash-levels", int, "Levels of the hash grids."),
    ("hash-table", int, "log2 of the entries per level."),
    ("hidden-width", int, "Width of the field's network."),
    ("motion-degree", int, "Degree of the polynomial motion, 0 to 3 (main)."),
    ("amplitude-step", float, "Step of the energy-normalised colour quantiser (main)."),
    ("rate-slope", float, "Weight of the rate in training, in squared amplitude steps per bit (main)."),
    ("spare", float, "Share of Gaussians trained on top; those that matter least are dropped (main)."),
)
SWITCHES: tuple[tuple[str, str], ...] = (
    ("window", "Let Gaussians appear and fade inside a GoP (main)."),
    ("births", "Place Gaussians where and when most is missing, while the GoP is trained (main)."),
    ("field", "Deform by a hash field (stgv always does)."),
    ("rvq", "Code colours by residual vector quantisation, every GoP alone (stgv always does)."),
    ("drift", "Let colours change linearly over a GoP (main)."),
    ("camera", "Move all Gaussians of a frame with the camera (main)."),
    ("detail", "Add what the Gaussians leave out as a picture, which moves with them or stays in place (main)."),
    ("residual", "Add what each frame still misses, as cosine coefficients in space and time (main)."),
    ("filter", "Smooth or sharpen all frames of a GoP in the end (main)."),
    ("repeats", "Leave out frames that show again what the one before them shows (main)."),
)


def _tool_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in reversed(SWITCHES):
        command = click.option(f"--{name}/--no-{name}", default=None, help=text)(command)
    for name, kind, text in reversed(SETTINGS):
        command = click.option(f"--{name}", type=kind, help=text, metavar="N" if kind is int else "S")(command)
    return command


@click.command(name="encode", short_help="Train the Gaussians of a clip and write them.")
@click.argument("source", metavar="IN", type=click.Path())
@click.option("-o", "--output", required=True, metavar="OUT.gsv", type=click.Path(), help="File to write.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite OUT.gsv.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--profile", type=click.Choice(PROFILES), default="main", show_default=True, help="Model and coding.")
@click.option("--preset", type=click.Choice(PRESETS), default="medium", show_default=True, help="Time spent.")
@click.option(
    "--bpp", type=float, help="Bits per pixel the file should have, sound and subtitles not counted.", metavar="B"
)
@click.option(
    "--size", type=FileSize(), help="Size of the file without sound and subtitles: bytes, or with kB, MB, KiB, MiB."
)
@click.option("--bitrate", type=BitRate(), help="Bits per second the file should have: a number, or with k, M.")
@click.option("--psnr", type=float, help="RGB-PSNR in dB the decoded frames should have.", metavar="DB")
@click.option(
    "-q",
    "--quality",
    type=float,
    help="Constant quality of main, 0 (best) to 51; 26 where no goal is given.",
    metavar="Q",
)
@click.option("--gaussians", type=int, help="Gaussians per GoP, at most two per pixel.", metavar="N")
@click.option("--gop", type=int, help="Frames per GoP, at most; main tries what is best.", metavar="N")
@click.option("--keyint", type=int, help="Frames between GoPs that are decoded alone, at most.", metavar="N")
@click.option("--frames", type=FrameRange(), help="Frames A to B-1 only.")
@click.option("--resize", type=FrameSize(), help="Scale the clip to this size first.")
@click.option("--threads", type=int, default=0, show_default=True, help="0 is all cores.", metavar="N")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes that encode; 1, or one per GPU.", metavar="N")
@click.option("--dask", help="Encode on the workers of the Dask scheduler at this address.", metavar="ADDRESS")
@click.option("--resume", is_flag=True, help="Go on with OUT.gsv.part where there is one.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to train.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same file.", metavar="N")
@click.option("--no-audio", is_flag=True, help="Leave out sound.")
@click.option("--no-subtitles", is_flag=True, help="Leave out subtitles.")
@click.option("--no-tags", is_flag=True, help="Leave out title, place, date and the like, and chapters.")
@click.option("--blend", type=click.Choice(["sum", "normalised", "auto"]), help="How Gaussians add up (main).")
@_tool_options
def command(source: str, output: str, yes: bool, quiet: bool, as_json: bool, **options: Any) -> None:
    """Encode IN, a video, a folder of pictures or a pattern such as img_%04d.png, into OUT.gsv.

    A profile fixes the model and its coding: `main` is the default, `stgv` the paper as written. A preset sets the
    effort. Every other option overrides what these two set.
    """
    if output == "-":
        raise UsageError("-o -: a .gsv file is not written to standard output; give it a name")
    jobs, dask, resume = (options.pop(name) for name in ("jobs", "dask", "resume"))
    if dask is not None and jobs is not None:
        raise UsageError("--dask and --jobs: use one of them; Dask has as many jobs as its workers")
    check_target(Path(output), overwrite=yes, source=Path(source))
    clip = open_video(source, frames=options.pop("frames"), size=options["resize"])
    clip = clip.without(
        sound=options.pop("no_audio"), subtitles=options.pop("no_subtitles"), tags=options.pop("no_tags")
    )
    for text in clip.info.notes:
        note(text, quiet=quiet)
    settings = _settings(clip, **options)
    with PartialFile(output, resume=resume, overwrite=yes) as partial:
        run = _begin(clip, settings, partial)
        if resume:
            note(f"{output}: {run.finished} of {run.gops} GoPs were finished before", quiet=quiet)
        with encode_progress(len(clip), quiet=quiet) as report:
            run.train(report, jobs=jobs, cluster=dask)
        with OutputFile(output, overwrite=yes, source=Path(source)) as target:
            result = asdict(run.write(target.file))
    for text in result["notes"]:
        note(text, quiet=quiet)
    if as_json:
        print_json(result)
    elif not quiet:
        _summarise(output, result)


def _settings(clip: VideoSource, **options: Any) -> "EncodeOptions":
    """The trainer's options. Raises UsageError for values out of range, BackendMissingError without torch or OpenCV."""
    try:
        from gscodec_cli.encoder import EncodeOptions
    except ImportError as error:
        raise _missing(error) from None
    return EncodeOptions(frames=(clip.frames.start, clip.frames.stop), **options)


def _begin(clip: VideoSource, settings: "EncodeOptions", partial: PartialFile) -> "Encode":
    """The encode that `partial` holds, or a new one. Raises UsageError where it holds another one."""
    try:
        from gscodec_cli.encoder import Encode
    except ImportError as error:
        raise _missing(error) from None
    run = Encode(clip, settings, partial.file, resume=partial.resumed, check=partial.check)
    partial.content = lambda: f"{run.finished} of {run.gops} GoPs" if run.finished else ""
    return run


def _missing(error: ImportError) -> BackendMissingError:
    return BackendMissingError(
        f'encode needs torch and OpenCV: install them with pip install "gscodec[encode]" ({error})'
    )


def _summarise(output: str, result: dict[str, Any]) -> None:
    print(
        f"{output}: {result['frames']} frames, {result['gops']} GoPs, {result['gaussians']} Gaussians, "
        f"{result['bytes']} bytes, {result['bpp']:.5f} bpp, {result['psnr']:.2f} dB, {result['seconds']:.1f} s"
    )
