# SPDX-License-Identifier: MIT
"""`gsv cut`: part of a .gsv file as a file of its own, without encoding anew. Imports neither torch nor the encoder."""

from pathlib import Path
from typing import Any

import click

from gscodec.format.join import join, part
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.errors import UsageError
from gscodec_cli.output import OutputFile
from gscodec_cli.verbs.common import FrameRange, TimeRange, limit_options, naming, note, range_of, take_limits


@click.command(name="cut", short_help="Copy part of a file, GoP by GoP.")
@click.argument("source", metavar="IN.gsv", type=click.Path())
@click.option("-o", "--output", required=True, metavar="OUT.gsv", help="File to write.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite OUT.gsv.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--frames", type=FrameRange(), help="Frames A to B-1.")
@click.option("--time", type=TimeRange(), help="What is on screen from A to B seconds after the first frame.")
@limit_options
def command(source: str, output: str, yes: bool, quiet: bool, **options: Any) -> None:
    """Copy the GoPs of IN.gsv that hold the frames asked for to OUT.gsv; says which frames these are.

    Nothing is decoded or encoded: a GoP is kept whole or left out, and GoPs that it is predicted from are kept too.
    """
    limits = take_limits(options)
    if options["frames"] is None and options["time"] is None:
        raise UsageError("cut: say what to keep with --frames A:B or --time A:B")
    with naming(source):
        decoder = StreamDecoder(Path(source), limits=limits)
        if decoder.reader.sequential:
            raise UsageError(f"{source}: a pipe cannot be cut; save it as a file first")
        start, stop = range_of(decoder, options["frames"], options["time"])
        reader: Any = decoder.reader
        piece = part(reader, start, stop, source)
        with OutputFile(output, overwrite=yes, source=Path(source)) as target:
            join([piece], target.file)
        decoder.close()
    first, end = reader.gop_table[piece.gops[0]].first_frame, reader.gop_table[piece.gops[-1]].end_frame
    rule = "a file is cut between GoPs and begins where it can be entered"
    why = "" if (first, end) == (start, stop) else f" (asked for {start}:{stop}; {rule})"
    note(f"{output}: frames {first}:{end} of {source}{why}", quiet=quiet)
