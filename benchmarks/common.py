# SPDX-License-Identifier: MIT
"""What every benchmark needs: where and from what its numbers came, and the table they are added to."""

from __future__ import annotations

import csv
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PROVENANCE = ("commit", "dirty", "date", "machine", "cores", "command")


def provenance() -> dict[str, object]:
    """The columns of PROVENANCE. Ask before a long run: the code that runs is what was there when it began."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD"),
        "dirty": int(bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"))),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": cpu_name(),
        "cores": os.cpu_count(),
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(_portable, sys.argv[1:])]),
    }


def cpu_name() -> str:
    """Name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _portable(argument: str) -> str:
    """An argument without the folders of one machine: of an absolute path, the name."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def append(table: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Add rows to `benchmarks/results/<table>`, which is made with its header if need be."""
    path = RESULTS / table
    new = not path.exists()
    path.parent.mkdir(exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def _git(*arguments: str) -> str:
    """Output of a git command in the project, "" where there is no repository."""
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()
