# SPDX-License-Identifier: MIT
"""`gsv decode`: draw the frames of a .gsv file and write them as a clip. Imports neither torch nor the encoder."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from gscodec.format.errors import FormatError
from gscodec.format.limits import MAX_SIDE, Limits
from gscodec.format.picture import PictureMetadata
from gscodec.format.streams import SOUND, STREAM_TYPES, SUBTITLES, StreamInfo
from gscodec.format.tags import Tags, moved
from gscodec.kernels import registry
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.device import DeviceDecoder
from gscodec_cli.decoder.sound import PacketFeed
from gscodec_cli.decoder.source import name_of
from gscodec_cli.decoder.timeline import Timeline
from gscodec_cli.errors import UsageError
from gscodec_cli.verbs.common import (
    Finite,
    FrameRange,
    FrameSize,
    Rate,
    TimeRange,
    limit_options,
    naming,
    note,
    range_of,
    take_limits,
)
from gscodec_cli.verbs.damage import report_damage
from gscodec_cli.verbs.progress import progress_bar
from gscodec_cli.video.background import in_background
from gscodec_cli.video.writer import DEFAULT_CRF, KEEPS_TIMES, ClipFormat, WriteOptions, open_writer

PIXEL_FORMATS = [f"yuv{chroma}p{depth}" for depth in ("", "10", "12") for chroma in ("420", "422", "444")]


@dataclass(frozen=True)
class _Schedule:
    """What is drawn for output frame k = 0..count-1, and when it is shown, in ticks of `time_base`."""

    count: int
    time_base: Fraction
    frame_duration: int  # 0: irregular
    position: Callable[[int], Fraction | int]
    pts: Callable[[int], int]
    duration: Callable[[int], int]
    shift: Fraction  # seconds by which frames, and sound with them, are shown later than in the file


@click.command(name="decode")
@click.argument("source", metavar="IN.gsv", type=click.Path())
@click.option("-o", "--output", required=True, metavar="OUT", help="Clip to write; its name chooses the kind.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite OUT.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option(
    "--frames",
    type=FrameRange(),
    help="Frames A to B-1 only; reads only their GoPs and those these are predicted from.",
)
@click.option("--time", type=TimeRange(), help="What is on screen from A to B seconds after the first frame only.")
@click.option("--keep-going", is_flag=True, help="Show what is left of a damaged or unfinished file.")
@click.option("--size", type=FrameSize(), help="Draw the Gaussians at this size.")
@click.option("--scale", type=Finite(0, 1024, min_open=True), help="Draw them F times as large.", metavar="F")
@click.option("--fps", type=Rate(), help="Frames per second: draws the times in between.")
@click.option("--crf", type=Finite(0, 51), help=f"Quality of x264 or x265, {DEFAULT_CRF:g} by default.", metavar="Q")
@click.option("--lossless", is_flag=True, help="Without loss, in RGB.")
@click.option(
    "--pixel-format",
    type=click.Choice(PIXEL_FORMATS),
    metavar="NAME",
    help="Of the picture: yuv420p, yuv422p, yuv444p, or with 10 or 12 at the end; by default the source's.",
)
@click.option("--no-audio", is_flag=True, help="Leave out sound.")
@click.option("--no-subtitles", is_flag=True, help="Leave out subtitles.")
@click.option("--no-tags", is_flag=True, help="Leave out title, place, date and the like, and chapters.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="0 is all cores.", metavar="N")
@click.option("--device", type=click.Choice(["cpu", "cuda", "auto"]), help="Where to draw; cpu by default.")
@click.option("--backend", metavar="NAME", help="Kernel engine, see `gsv info --engines`.")
@limit_options
def command(source: str, output: str, quiet: bool, **options: Any) -> None:
    """Draw IN.gsv and write it as OUT.

    IN.gsv may be a URL, or - for standard input, which is read front to back. OUT is .mp4, .m4v, .mov or .mkv (x264, or
    x265 for more than 8 bits), .y4m, .png with a number in its name (frame_%04d.png), .npy, or - for raw RGB24 on
    standard output.
    """
    limits = take_limits(options)
    with naming(name_of(source)):
        try:
            _decode(source, output, limits, quiet, options)
        except FormatError as error:
            if not options["keep_going"] and error.code not in ("C-6.2-1", "C-6.2-2"):
                error.message += "; --keep-going shows what is left"
            raise


def _decode(source: str, output: str, limits: Limits, quiet: bool, options: dict[str, Any]) -> None:
    began = time.monotonic()
    _check_quality(output, options)
    device, backend = _device(options, quiet)
    decoder = StreamDecoder(
        source,
        backend=backend,
        threads=options["threads"],
        limits=limits,
        keep_going=options["keep_going"],
    )
    if decoder.reader.sequential and not decoder.header.frame_duration and (options["time"] or options["fps"]):
        raise UsageError(f"--time, --fps: the times in {decoder.name} are known only once they are read; use a file")
    decoder.resize(_output_size(decoder, options["size"], options["scale"]))
    start, asked = range_of(decoder, options["frames"], options["time"])
    is_known = options["keep_going"] and not decoder.reader.sequential
    stop = decoder.last_left(start, asked) if is_known else asked
    schedule = _schedule(decoder, start, stop, options["fps"])
    limits.check("frames", schedule.count)
    if schedule.frame_duration == 0 and Path(output).suffix.lower() not in KEEPS_TIMES:
        note(f"{output}: this kind of file keeps no times; use .mp4 or .mkv, or --fps R", quiet=quiet)
    part = (start, asked) != (0, decoder.frame_count)
    if not part:
        decoder.verify()
    feed = PacketFeed(decoder, _kinds(decoder, output, options, quiet=quiet), start, asked, schedule.shift)
    tags = Tags() if options["no_tags"] else _tags(decoder, start, asked, schedule.shift)
    clip = _clip_format(decoder, schedule, options["size"] is not None, feed.streams, tags)
    target = WriteOptions(
        crf=DEFAULT_CRF if options["crf"] is None else options["crf"],
        lossless=options["lossless"],
        pixel_format=options["pixel_format"],
        threads=options["threads"],
        overwrite=options["yes"],
        source=Path(source),
        first_number=start,
    )
    written = _write(decoder, schedule, output, clip, target, feed, part=part, quiet=quiet, on_gpu=device == "cuda")
    done = f"{written} frames of {clip.width}x{clip.height} in {time.monotonic() - began:.1f} s"
    done += " on the GPU" if device == "cuda" else ""
    note(f"{output}: {done}", quiet=quiet or output == "-")
    if options["keep_going"]:
        report_damage(decoder, start, asked, quiet=quiet)


def _write(
    decoder: StreamDecoder,
    schedule: _Schedule,
    output: str,
    clip: ClipFormat,
    target: WriteOptions,
    feed: PacketFeed,
    *,
    part: bool,
    quiet: bool,
    on_gpu: bool,
) -> int:
    """Draw and write; returns how many frames there were, fewer than planned where a damaged stream ends early."""
    positions = map(schedule.position, range(schedule.count))
    last = schedule.position(schedule.count - 1)
    frames = DeviceDecoder(decoder).host_frames(positions, last) if on_gpu else decoder.positions(positions, last)
    with (
        in_background(open_writer(output, clip, target), wanted=on_gpu) as writer,
        progress_bar("decoding", clip.frame_count, quiet=quiet) as advance,
    ):
        written = 0
        for k, rgb in enumerate(frames):
            writer.write_packets(feed.before(math.floor(schedule.position(k))))
            writer.write(rgb, schedule.pts(k), schedule.duration(k))
            advance(1)
            written = k + 1
        writer.write_packets(feed.rest())
        if not part:
            decoder.reader.verify_rest()
    return written


def _device(options: dict[str, Any], quiet: bool) -> tuple[str, str | None]:
    """Where to draw, `cpu` or `cuda`, and the engine that does."""
    if options["device"] is None:
        return "cpu", options["backend"]
    if options["backend"]:
        raise UsageError("--device and --backend: use one of them")
    backend, why = registry.backend_of_device(options["device"])
    if why:
        note(f"drawing on the CPU: {why}", quiet=quiet)
    return ("cuda" if backend else "cpu"), backend


def _check_quality(output: str, options: dict[str, Any]) -> None:
    if not options["lossless"]:
        return
    if options["crf"] is not None or options["pixel_format"] is not None:
        raise UsageError("--lossless keeps RGB as it is: leave out --crf and --pixel-format")
    if Path(output).suffix.lower() == ".y4m":
        raise UsageError(f"{output}: y4m holds no RGB, so it cannot be lossless; use .mkv, .png or .npy")


def _output_size(decoder: StreamDecoder, size: tuple[int, int] | None, scale: float | None) -> tuple[int, int] | None:
    if scale is None:
        return size
    if size is not None:
        raise UsageError("--size and --scale: use one of them")
    header = decoder.header
    width, height = (max(1, round(side * scale)) for side in (header.width, header.height))
    if max(width, height) > MAX_SIDE:
        raise UsageError(f"--scale {scale}: gives {width}x{height}, sides are 1 to {MAX_SIDE} pixels")
    return width, height


def _kinds(decoder: StreamDecoder, output: str, options: dict[str, Any], *, quiet: bool) -> set[int]:
    """The `stream_type`s that are written; says so where OUT cannot hold them."""
    left_out = ((SOUND, options["no_audio"]), (SUBTITLES, options["no_subtitles"]))
    kinds = {kind for kind, out in left_out if not out}
    there = {STREAM_TYPES[info.stream_type] for info in decoder.media.streams if info.stream_type in kinds}
    if decoder.media.tags and not options["no_tags"]:
        there.add("tags")
    if there and Path(output).suffix.lower() not in KEEPS_TIMES:
        note(f"{output}: this kind of file holds no {' or '.join(sorted(there))}; use .mp4 or .mkv", quiet=quiet)
        return set()
    return kinds


def _tags(decoder: StreamDecoder, start: int, stop: int, shift: Fraction) -> Tags:
    """The tags, and the chapters as far as they lie in frames start..stop-1; containers have no time before 0."""
    line, found = decoder.timeline, decoder.media.tags or Tags()
    begin = max(line.pts(start) * line.time_base, -shift) if start else -shift
    end = line.pts(stop) * line.time_base if stop < decoder.frame_count else None
    return replace(found, chapters=tuple(moved(found.chapters, begin, end, shift)))


def _clip_format(
    decoder: StreamDecoder, schedule: _Schedule, reshaped: bool, streams: tuple[StreamInfo, ...], tags: Tags
) -> ClipFormat:
    """The header's properties for the output; an asked size keeps the picture's shape by its sample aspect ratio."""
    header, (width, height) = decoder.header, decoder.view.size
    sar = Fraction(header.sar_num, header.sar_den)
    if reshaped:
        sar *= Fraction(header.width * height, header.height * width)
    return ClipFormat(
        width=width,
        height=height,
        frame_count=schedule.count,
        time_base=schedule.time_base,
        frame_duration=schedule.frame_duration,
        sar=_playable(sar),
        colour_primaries=header.colour_primaries,
        transfer_characteristics=header.transfer_characteristics,
        matrix_coefficients=header.matrix_coefficients,
        full_range=header.full_range,
        bit_depth=header.bit_depth,
        picture=decoder.media.picture or PictureMetadata(source_bit_depth=header.bit_depth),
        streams=streams,
        tags=tags,
    )


def _playable(sar: Fraction) -> Fraction:
    """The sample aspect ratio in numbers that containers can hold."""
    sar = sar.limit_denominator(65535)
    return sar if 0 < sar.numerator <= 65535 else Fraction(1)


def _schedule(decoder: StreamDecoder, start: int, stop: int, fps: Fraction | None) -> _Schedule:
    line = decoder.timeline
    if fps is not None:
        return _even_schedule(line, start, stop, fps)
    shift = line.pts(start) - max(0, line.pts(0))  # a part begins where the clip began; containers begin at 0 or later
    return _Schedule(
        stop - start,
        line.time_base,
        decoder.header.frame_duration,
        lambda k: start + k,
        lambda k: line.pts(start + k) - shift,
        lambda k: line.duration(start + k),
        -shift * line.time_base,
    )


def _even_schedule(line: Timeline, start: int, stop: int, fps: Fraction) -> _Schedule:
    """Frames at `fps` over the time that frames start..stop-1 are shown; the last one is held, not extended."""
    begin, end = line.pts(start) * line.time_base, line.pts(stop) * line.time_base
    base, step = Fraction(1, fps.numerator), fps.denominator
    first = max(0, round(line.begin / base))
    return _Schedule(
        max(1, math.ceil((end - begin) * fps)),
        base,
        step,
        lambda k: min(line.position_at(begin + k / fps), Fraction(stop - 1)),
        lambda k: first + k * step,
        lambda k: step,
        first * base - begin,
    )
