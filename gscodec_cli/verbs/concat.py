# SPDX-License-Identifier: MIT
"""`gsv concat`: several .gsv files one after the other, without encoding. Imports neither torch nor the encoder."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from gscodec.format.container import ContainerReader
from gscodec.format.join import join, whole
from gscodec.format.limits import Limits
from gscodec_cli.decoder.source import open_source
from gscodec_cli.errors import UsageError
from gscodec_cli.output import OutputFile, check_target
from gscodec_cli.verbs.common import limit_options, naming, note, take_limits


@click.command(name="concat", short_help="Put files one after the other.")
@click.argument("sources", metavar="IN.gsv...", type=click.Path(), nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="OUT.gsv", help="File to write.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite OUT.gsv.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@limit_options
def command(sources: tuple[str, ...], output: str, yes: bool, quiet: bool, **options: Any) -> None:
    """Write the GoPs of all IN.gsv to OUT.gsv, each file where the one before it ends.

    The files must agree in profile, size, aspect ratio, colour and time base. Nothing is decoded or encoded.
    """
    if len(sources) < 2:
        raise UsageError("concat: expected at least two files to put together")
    limits = take_limits(options)
    for source in sources:
        check_target(Path(output), overwrite=yes, source=Path(source))
    with ExitStack() as opened:
        pieces = [whole(opened.enter_context(_open(source, limits)), source) for source in sources]
        limits.check("frames", sum(piece.frame_count for piece in pieces))
        with OutputFile(output, overwrite=yes) as target:
            header = join(pieces, target.file)
    note(f"{output}: {header.frame_count} frames of {len(sources)} files", quiet=quiet)


def _open(source: str, limits: Limits) -> ContainerReader:
    with naming(source):
        reader: Any = open_source(Path(source), limits)
        if reader.sequential:
            raise UsageError(f"{source}: a pipe cannot be put together with others; save it as a file first")
        reader.verify_headers()
    return reader
