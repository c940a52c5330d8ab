# SPDX-License-Identifier: MIT
"""Whether an unfinished encode is the one that is asked for. Must not import the verbs."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from gscodec_cli.encoder.clip import ClipName
from gscodec_cli.encoder.options import EncodeOptions
from gscodec_cli.errors import UsageError

ANY = ("threads", "device")  # options that another run of the same encode may change


def identity(options: EncodeOptions, clip: ClipName) -> dict[str, Any]:
    """What two runs must have in common for one to go on with what the other has begun, in plain values."""
    kept = {name: value for name, value in asdict(options).items() if name not in (*ANY, "frames", "resize")}
    known = {"frames": clip.frames, "resize": clip.size, "content": clip.content}
    found: dict[str, Any] = json.loads(json.dumps({"gscodec": version("gscodec"), **kept, **known}))
    return found


def check_identity(begun: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise UsageError where an unfinished encode is not the one that is asked for."""
    different = [name for name in asked if begun.get(name) != asked[name]]
    if not different:
        return
    name = different[0]
    if name == "content":
        why = "of another clip"
    elif name == "gscodec":
        why = f"of gsv {begun.get(name)}, this is {asked[name]}"
    else:
        old, new = ("default" if side.get(name) is None else side[name] for side in (begun, asked))
        why = f"with --{name.replace('_', '-')} {old}, not {new}"
    raise UsageError(f"--resume: the unfinished encode is {why}; encode as before, or begin anew with -y instead")
