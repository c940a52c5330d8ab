# SPDX-License-Identifier: MIT
"""`gsv verify`: whether a .gsv file is whole, and what is damaged if not. Imports neither torch nor the encoder."""

from dataclasses import asdict
from typing import Any

import click

from gscodec.format.faults import Fault
from gscodec.format.limits import Limits
from gscodec.format.salvage import NothingLeftError
from gscodec_cli.decoder.source import name_of, open_source
from gscodec_cli.errors import MediaError
from gscodec_cli.verbs.common import limit_options, naming, print_json, ranges, take_limits


@click.command(name="verify", short_help="Name every damaged chunk.")
@click.argument("source", metavar="IN.gsv", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@limit_options
def command(source: str, as_json: bool, **options: Any) -> None:
    """Check every byte of IN.gsv, which may be damaged anywhere, and decode every GoP without drawing it.

    Prints one line for every damaged place: its byte, type and length, the frames concerned, what is wrong. Exit code
    0 if nothing is, else 1.
    """
    with naming(name_of(source)):
        report = _report(source, take_limits(options))
    if as_json:
        print_json({**report, "faults": [asdict(fault) for fault in report["faults"]]})
    else:
        _print(report)
    if report["faults"]:
        lost = f"; frames {ranges(report['missing'])} are missing" if report["missing"] else ""
        count = len(report["faults"])
        raise MediaError(f"{name_of(source)}: {count} damaged {'place' if count == 1 else 'places'}{lost}")


def _report(source: str, limits: Limits) -> dict[str, Any]:
    """What `--json` prints; its keys stay as they are. `frames` and `missing` are null where the header is lost."""
    try:
        reader: Any = open_source(source, limits, keep_going=True)
    except NothingLeftError as error:
        faults: list[Fault] = error.faults
        return {"whole": False, "gops": 0, "frames": None, "missing": None, "faults": faults}
    with reader:
        gops = sum(1 for _ in reader.indices())  # a stream is read to its end by this
        return {
            "whole": not reader.faults,
            "gops": gops,
            "frames": reader.header.frame_count,
            "missing": reader.missing(),
            "faults": reader.faults,
        }


def _print(report: dict[str, Any]) -> None:
    for fault in report["faults"]:
        print(fault)
    if report["whole"]:
        print(f"whole: {report['frames']} frames in {report['gops']} GoPs")
