# SPDX-License-Identifier: MIT
"""Writes the tables of docs/CLI.md from the code: what each profile and preset sets. `make docs` runs it.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Imports the encoder's data, never torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.tools import Effort, HashLayout, Tools

PAGE = Path(__file__).resolve().parent / "CLI.md"


def _plain(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def profile_table() -> str:
    """What each profile fixes: GoP length, Gaussians, tools and the layout of its hash field."""
    rows = [[name, *(_plain(getattr(profile, name)) for profile in PROFILES.values())] for name in ("gop", "gaussians")]
    for item in fields(Tools):
        if item.name != "field":
            rows.append([item.name, *(_plain(getattr(profile.tools, item.name)) for profile in PROFILES.values())])
    for item in fields(HashLayout):
        values = [_plain(getattr(profile.tools.field, item.name, None)) for profile in PROFILES.values()]
        rows.append([f"field: {item.name}", *values])
    return table(["setting", *(f"`{name}`" for name in PROFILES)], rows)


def effort_table(profile: str) -> str:
    """What each preset spends under a profile: iterations of the stages and the first learning rates."""
    names = [item.name for item in fields(Effort)]
    efforts = PROFILES[profile].efforts
    rows = [[f"`{preset}`", *(_plain(getattr(effort, name)) for name in names)] for preset, effort in efforts.items()]
    return table(["preset", *names], rows)


def with_tables(page: str) -> str:
    """The page with every marked table replaced by what the code says now."""
    return fill(page, {"profiles": profile_table(), **{f"presets {name}": effort_table(name) for name in PROFILES}})


def fill(page: str, tables: Mapping[str, str]) -> str:
    """A page with its marked tables replaced by those of the same name; tables of other names stay."""

    def fresh(found: re.Match[str]) -> str:
        return f"<!-- table: {found[1]} -->\n{tables[found[1]]}\n<!-- end -->" if found[1] in tables else found[0]

    return re.sub(r"<!-- table: ([\w ]+) -->\n.*?<!-- end -->", fresh, page, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
