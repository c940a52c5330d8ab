# SPDX-License-Identifier: MIT
"""Throw mutated files at every reader: python -m tests.fuzz.run [--seconds 60] [--seed 1] [--jobs 1] [--save FOLDER]

With atheris (pip install atheris) coverage guides it; without, or with --plain, every input is made from a good file.
Inputs that break a promise are kept, one per kind, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.conformance.broken import base
from tests.conformance.vectors import VECTORS
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import exercise


def corpus() -> list[bytes]:
    """The good conformance vectors, smallest first: what most inputs are made from should be quick to read."""
    return sorted(map(base, VECTORS), key=len)


class Tally:
    """Counts outcomes and keeps one input of every kind of failure."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outcomes = folder, Counter[str]()
        self.kinds: set[str] = set()
        self.began, self.slowest = time.monotonic(), 0.0

    def take(self, data: bytes) -> None:
        """Exercise one input."""
        began = time.perf_counter()
        try:
            self.outcomes[exercise(data)] += 1
        except Exception as error:
            self._keep(data, error)
        self.slowest = max(self.slowest, time.perf_counter() - began)

    def _keep(self, data: bytes, error: Exception) -> None:
        self.outcomes["failed"] += 1
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"
        if kind in self.kinds:
            return
        self.kinds.add(kind)
        path = self.folder / f"{hashlib.sha256(data).hexdigest()[:16]}.gsv"
        path.write_bytes(data)
        print(f"{kind}: {error}\n    kept as {path}", file=sys.stderr, flush=True)

    def report(self) -> int:
        """Print the counts; returns the exit code."""
        seconds = time.monotonic() - self.began
        total = sum(self.outcomes.values())
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        print(f"{total} inputs in {seconds:.0f} s ({counts}), the slowest {self.slowest:.2f} s", flush=True)
        return int(bool(self.kinds))


def run_plain(seconds: float, seed: int, tally: Tally) -> int:
    """Inputs from good files until the time is over; the same inputs for the same seed."""
    mutator = Mutator(corpus(), seed)
    while time.monotonic() - tally.began < seconds:
        tally.take(mutator.make())
    return tally.report()


def run_guided(seconds: float, seed: int, tally: Tally) -> None:
    """Inputs that coverage leads to; leaves the process with the exit code."""
    import atheris

    _instrument(atheris)
    files = corpus()
    mutator = Mutator(files, seed)

    def one(data: bytes) -> None:
        tally.take(data)
        if time.monotonic() - tally.began > seconds:
            os._exit(tally.report())

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        mutator.random.seed(seed)
        made = mutator.make() if mutator.random.random() < 0.5 else mutator.mutate(data)
        return made[:most]

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(files):
            (Path(folder) / str(number)).write_bytes(data)
        options = [f"-seed={seed}", f"-max_len={4 * max(map(len, files))}", "-len_control=0", "-verbosity=0"]
        options.append(f"-artifact_prefix={folder}/")  # what a busy machine made slow is no finding: the tally times it
        atheris.Setup([sys.argv[0], folder, *options], one, custom_mutator=mutate)
        atheris.Fuzz()


def _instrument(atheris: object) -> None:
    """Count coverage in everything that meets the bytes of a file."""
    for package in ("gscodec.format", "gscodec_cli.decoder"):
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            module = importlib.import_module(found.name)
            for _, item in inspect.getmembers(module):
                if getattr(item, "__module__", None) != found.name:
                    continue
                members = [item] if inspect.isfunction(item) else []
                members += [m for _, m in inspect.getmembers(item, inspect.isfunction)] if inspect.isclass(item) else []
                for function in members:
                    if function.__module__ == found.name:
                        atheris.instrument_func(function)  # type: ignore[attr-defined]


def run_several(options: argparse.Namespace) -> int:
    """As many processes as asked for; returns the largest exit code."""
    words = ["--seconds", str(options.seconds), "--save", str(options.save), *["--plain"][: options.plain]]
    seeds = range(options.seed, options.seed + options.jobs)
    command = [sys.executable, "-m", "tests.fuzz.run", *words]
    return max([run.wait() for run in [subprocess.Popen([*command, "--seed", str(seed)]) for seed in seeds]])


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with a seed of its own")
    parser.add_argument("--save", type=Path, default=Path("out/fuzz"), help="folder of inputs that break a promise")
    parser.add_argument("--plain", action="store_true", help="do not use atheris")
    options = parser.parse_args()
    options.save.mkdir(parents=True, exist_ok=True)
    if options.jobs > 1:
        return run_several(options)
    tally = Tally(options.save)
    if options.plain or importlib.util.find_spec("atheris") is None:
        return run_plain(options.seconds, options.seed, tally)
    run_guided(options.seconds, options.seed, tally)
    return 0


if __name__ == "__main__":
    sys.exit(main())
