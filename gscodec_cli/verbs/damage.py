# SPDX-License-Identifier: MIT
"""What `gsv decode --keep-going` says about a damaged file. Imports neither torch nor the encoder."""

from typing import Any

from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.errors import MediaError
from gscodec_cli.verbs.common import note, ranges


def report_damage(decoder: StreamDecoder, start: int, stop: int, *, quiet: bool) -> None:
    """Name the faults. Raises MediaError, with the output complete, if frames of start..stop-1 are missing."""
    reader: Any = decoder.reader
    for fault in reader.faults:
        note(f"{decoder.name}: {fault}", quiet=quiet)
    lost = [(max(a, start), min(b, stop)) for a, b in reader.missing() if a < stop and start < b]
    inside = [span for span in lost if span[0] < reader.end_frame]
    behind = [span for span in lost if span[0] >= reader.end_frame]
    said = [f"frames {ranges(inside)} are missing and show the last one before them"] if inside else []
    said += [f"frames {ranges(behind)} are missing and left out"] if behind else []
    if said:
        raise MediaError(f"{decoder.name}: {', '.join(said)}")
