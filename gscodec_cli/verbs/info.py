# SPDX-License-Identifier: MIT
"""`gsv info`: what a .gsv file holds and where its bits went. Imports neither torch nor the encoder."""

from fractions import Fraction
from typing import Any

import click

from gscodec.format.container import ContainerReader
from gscodec.format.describe import describe, file_bits
from gscodec.format.gop_header import GopHeader
from gscodec.format.picture import shown_parts
from gscodec.format.records import DETAIL_MOVING, DETAIL_STILL, PROFILES
from gscodec.format.source import GopSource
from gscodec.format.streams import STREAM_TYPES, StreamInfo
from gscodec.format.tags import Chapter, Tags
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.source import STDIN, name_of
from gscodec_cli.errors import UsageError
from gscodec_cli.verbs.common import limit_options, naming, print_json, take_limits


def _print_backends(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from gscodec.kernels import backends, registry

    for engine in (*backends(), registry.tinycudann()):
        state = f"ready  {' '.join(engine.isa)}" if engine.available else f"not available: {engine.reason}"
        print(f"{engine.name:10} {state}".rstrip())
    ctx.exit()


@click.command(name="info", short_help="Show header, GoPs and where the bits went.")
@click.argument("source", metavar="IN.gsv", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--offsets", is_flag=True, help="Print every field of the file with its position.")
@click.option(
    "--engines",
    "--backends",
    "engines",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_backends,
    help="List the kernel engines of this machine, and why one is missing.",
)
@limit_options
def command(source: str, as_json: bool, offsets: bool, **options: Any) -> None:
    """Show header, GoPs and bits by component of IN.gsv; every byte of the file is checked.

    IN.gsv may be - for standard input, which is read front to back.
    """
    limits = take_limits(options)
    if as_json and offsets:
        raise UsageError("--json and --offsets: use one of them")
    if offsets and source == STDIN:
        raise UsageError("--offsets: standard input is read only once; use a file")
    with naming(name_of(source)):
        if offsets:
            with ContainerReader(source, limits) as reader:
                reader.verify()
                _print_offsets(reader)
            return
        facts = _facts(StreamDecoder(source, limits=limits))
    if as_json:
        print_json(facts)
    else:
        _print_tables(facts)


def _facts(decoder: StreamDecoder) -> dict[str, Any]:
    """Everything `--json` prints; its keys stay as they are."""
    header, line, reader, tags = decoder.header, decoder.timeline, decoder.reader, decoder.media.tags or Tags()
    pixels = header.frame_count * header.width * header.height
    decoder.verify()
    gops, gop_bits = [], []
    carried = [0] * len(decoder.media.streams)  # bytes of the packets, by stream
    for index in reader.indices():
        _count_packets(decoder, index, carried)
        gop_bits.append(reader.check_gop(index))
        gops.append(_gop(reader, index))
    _count_packets(decoder, reader.gop_count, carried)
    bits, size = file_bits(reader, gop_bits), reader.size  # a stream has been read to its end by now
    seconds = float(line.end - line.begin)
    return {
        "bytes": size,
        "bpp": (8 * size - bits["streams"]) / pixels,
        "bitrate": 8 * size / seconds,
        "profile": PROFILES[header.profile],
        "level": header.level,
        "width": header.width,
        "height": header.height,
        "frames": header.frame_count,
        "gops": len(gops),
        "max_entry_distance": header.max_entry_distance,
        "gaussians": sum(gop["gaussians"] for gop in gops),
        "seconds": seconds,
        "fps": header.frame_count / seconds,
        "time_base": str(line.time_base),
        "frame_duration": header.frame_duration,
        "start_pts": line.pts(0),
        "sample_aspect_ratio": str(Fraction(header.sar_num, header.sar_den)),
        "bit_depth": header.bit_depth,
        "colour_primaries": header.colour_primaries,
        "transfer_characteristics": header.transfer_characteristics,
        "matrix_coefficients": header.matrix_coefficients,
        "full_range": header.full_range,
        "picture": dict(shown_parts(decoder.media.picture)) if decoder.media.picture else {},
        "tags": [list(tag) for tag in tags.values],
        "chapters": [_chapter(chapter) for chapter in tags.chapters],
        "streams": [_stream(info, count) for info, count in zip(decoder.media.streams, carried, strict=True)],
        "bits": bits,
        "gop_table": gops,
    }


def _count_packets(decoder: StreamDecoder, index: int, carried: list[int]) -> None:
    """Add the packets before GoP `index` to the bytes of their streams."""
    for packet in decoder.packets(index) if carried else ():
        carried[packet.stream] += len(packet.data)


def _stream(info: StreamInfo, carried: int) -> dict[str, Any]:
    return {
        "type": STREAM_TYPES[info.stream_type],
        "codec": info.codec,
        "language": info.language,
        "title": info.title,
        "sample_rate": info.sample_rate,
        "channel_layout": info.channel_layout,
        "bytes": carried,
    }


def _chapter(chapter: Chapter) -> dict[str, Any]:
    start, end = chapter.start * chapter.time_base, (chapter.start + chapter.duration) * chapter.time_base
    return {"start": float(start), "end": float(end), "title": chapter.title}


def _gop(reader: GopSource, index: int) -> dict[str, Any]:
    entry, head = reader.gop_table[index], reader.gop_header(index)
    return {
        "first_frame": entry.first_frame,
        "frames": entry.frame_count,
        "repeats": len(head.repeats),
        "gaussians": head.gaussian_count,
        "carried": reader.read_gop(index).carried_count,
        "entry": reader.gops_to_enter(index)[0],
        "offset": entry.offset,
        "bytes": entry.length,
        "bpp": 8 * entry.length / (entry.frame_count * reader.header.width * reader.header.height),
        "tools": _tools(head),
    }


def _tools(head: GopHeader) -> list[str]:
    tools = ["normalised"] if head.blend_mode else ["sum"]
    if head.motion_degree:
        tools.append(f"motion {head.motion_degree}")
    names = (
        ("drift", head.colour_drift),
        ("window", head.window_type),
        ("field", head.field_type),
        ("camera", head.camera_type),
        ("detail", head.detail_type == DETAIL_MOVING),
        ("still detail", head.detail_type == DETAIL_STILL),
        ("residual", head.residual_frames),
        ("filter", head.filter_type),
        ("repeats", head.repeats),
        ("predicted", head.reference_mode),
    )
    return tools + [name for name, used in names if used]


def _print_offsets(reader: ContainerReader) -> None:
    for entry in describe(reader):
        value = entry.value.hex(" ") if isinstance(entry.value, bytes) else entry.value
        print(f"{entry.offset:#010x} {entry.length:8} {entry.descriptor:8} {entry.name} = {_short(value)}")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _print_tables(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    console.print(_header_table(facts, Table))
    if facts["tags"] or facts["chapters"]:
        console.print(_tag_table(facts, Table))
    if facts["streams"]:
        console.print(_stream_table(facts, Table))
    console.print(_bits_table(facts, Table))
    console.print(_gop_table(facts, Table))


def _tag_table(facts: dict[str, Any], table_class: Any) -> Any:
    from rich.text import Text

    table = table_class(title="tags and chapters", show_header=False)
    for name, value in facts["tags"]:
        table.add_row(Text(name), Text(value))
    for chapter in facts["chapters"]:
        table.add_row(f"{chapter['start']:.3f} to {chapter['end']:.3f} s", Text(chapter["title"]))
    return table


def _header_table(facts: dict[str, Any], table_class: Any) -> Any:
    table = table_class(title="header", show_header=False)
    shown = ("profile", "level", "width", "height", "frames", "gops", "max_entry_distance", "gaussians")
    times = ("time_base", "frame_duration", "start_pts")
    more = ("sample_aspect_ratio", "bit_depth", "colour_primaries", "transfer_characteristics")
    for name in (*shown, *times, *more, "matrix_coefficients", "full_range"):
        table.add_row(name, str(facts[name]))
    for name, value in facts["picture"].items():
        table.add_row(name, " ".join(map(str, value)) if isinstance(value, tuple) else str(value))
    table.add_row("seconds", f"{facts['seconds']:.3f} ({facts['fps']:.3f} fps)")
    table.add_row("bytes", f"{facts['bytes']} ({facts['bpp']:.5f} bpp, {facts['bitrate'] / 1000:.1f} kbit/s)")
    return table


def _stream_table(facts: dict[str, Any], table_class: Any) -> Any:
    table = table_class(*facts["streams"][0], title="sound and subtitles (not in bpp)")
    for stream in facts["streams"]:
        table.add_row(*map(str, stream.values()))
    return table


def _bits_table(facts: dict[str, Any], table_class: Any) -> Any:
    table = table_class("component", "bits", "share", "bits/Gaussian", title="bits of the file")
    total = 8 * facts["bytes"]
    for name, bits in (*facts["bits"].items(), ("total", sum(facts["bits"].values()))):
        per_gaussian = f"{bits / facts['gaussians']:.2f}" if facts["gaussians"] else "-"
        table.add_row(name, str(bits), f"{100 * bits / total:.1f} %", per_gaussian)
    return table


def _gop_table(facts: dict[str, Any], table_class: Any) -> Any:
    columns = ("GoP", "frames", "Gaussians", "carried", "offset", "bytes", "bpp", "tools")
    table = table_class(*columns, title="GoPs")
    for index, gop in enumerate(facts["gop_table"]):
        frames = f"{gop['first_frame']}:{gop['first_frame'] + gop['frames']}"
        numbers = (gop["gaussians"], gop["carried"], gop["offset"], gop["bytes"])
        table.add_row(str(index), frames, *map(str, numbers), f"{gop['bpp']:.5f}", ", ".join(gop["tools"]))
    return table
