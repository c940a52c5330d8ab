# SPDX-License-Identifier: MIT
"""Throw mutated bytes at everything that reads a file: python -m tests.fuzz.run [--seconds 60] [--seed 1] [--jobs 1]

With atheris (pip install atheris) coverage guides it; without, or with --plain, every input is made from a good one.
Inputs that break a promise are kept (--save FOLDER), one per kind, and the exit code is 1. --target NAME: only one of
`file`, `gop`, `chunk`, `plane`, `numbers`, `draw`; --inputs N: at least so many, however long that takes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path

from tests.fuzz.targets import Target, targets

REPORT = 120.0  # seconds between counts of a long run


class Tally:
    """Counts outcomes and keeps one input of every kind of failure; done after `seconds` and `inputs`."""

    def __init__(self, folder: Path, seconds: float = 0, inputs: int = 0) -> None:
        self.folder, self._seconds, self._inputs = folder, seconds, inputs
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by target
        self.spent: defaultdict[str, float] = defaultdict(float)  # seconds, by target
        self.kinds: set[str] = set()
        self.total = 0  # inputs
        self.began, self.slowest = time.monotonic(), 0.0
        self._said = self.began

    def is_done(self) -> bool:
        """Whether the time is over and there were enough inputs; says every now and then how many."""
        now = time.monotonic()
        if now - self._said > REPORT:
            self._said = now
            self.report()
        return now - self.began >= self._seconds and self.total >= self._inputs

    def take(self, target: Target, data: bytes) -> None:
        """Exercise one input."""
        began = time.perf_counter()
        try:
            outcome = target.exercise(data)
        except Exception as error:
            outcome = "failed"
            self._keep(target, data, error)
        self.outcomes[target.name][outcome] += 1
        self.total += 1
        spent = time.perf_counter() - began
        self.spent[target.name] += spent
        self.slowest = max(self.slowest, spent)

    def _keep(self, target: Target, data: bytes, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{target.name}: {type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"
        if kind in self.kinds:
            return
        self.kinds.add(kind)
        path = self.folder / f"{hashlib.sha256(data).hexdigest()[:16]}.{target.name}"
        path.write_bytes(data)
        print(f"{kind}: {error}\n    kept as {path}", file=sys.stderr, flush=True)

    def report(self) -> int:
        """Print the counts; returns the exit code."""
        for name, counts in self.outcomes.items():
            each = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
            rate = counts.total() / max(self.spent[name], 1e-9)
            print(f"{name}: {counts.total()} inputs ({each}), {rate:.0f} a second", flush=True)
        seconds = time.monotonic() - self.began
        print(f"{self.total} inputs in {seconds:.0f} s, the slowest {self.slowest:.2f} s", flush=True)
        return int(bool(self.kinds))


def run_plain(chosen: list[Target], tally: Tally) -> int:
    """Rounds of inputs from good ones; the same inputs for the same seed."""
    while not tally.is_done():
        for target in chosen:
            for _ in range(target.turns):
                tally.take(target, target.mutator.make())
    return tally.report()


def run_guided(chosen: list[Target], seed: int, tally: Tally) -> None:
    """Inputs that coverage leads to, the first byte of which says the target; leaves the process with the exit code."""
    import atheris

    _instrument(atheris)
    turns, chance = [target.turns for target in chosen], random.Random(seed)

    def one(data: bytes) -> None:
        if data:
            tally.take(chosen[data[0] % len(chosen)], data[1:])
        if tally.is_done():
            os._exit(tally.report())

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance.seed(seed)
        again = bool(data) and chance.random() < 0.5
        number = data[0] % len(chosen) if again else chance.choices(range(len(chosen)), turns)[0]
        mutator = chosen[number].mutator
        mutator.random.seed(seed)
        made = mutator.mutate(data[1:]) if again else mutator.make()
        return (bytes((number,)) + made)[:most]

    seeds = [bytes((number,)) + data for number, target in enumerate(chosen) for data in target.mutator.corpus]
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(data)
        options = [f"-seed={seed}", f"-max_len={4 * max(map(len, seeds))}", "-len_control=0", "-verbosity=0"]
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
    words += ["--inputs", str(-(-options.inputs // options.jobs))]
    words += ["--target", options.target] if options.target else []
    seeds = range(options.seed, options.seed + options.jobs)
    command = [sys.executable, "-m", "tests.fuzz.run", *words]
    return max([run.wait() for run in [subprocess.Popen([*command, "--seed", str(seed)]) for seed in seeds]])


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--inputs", type=int, default=0, help="go on beyond the seconds until there were so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with a seed of its own")
    parser.add_argument("--save", type=Path, default=Path("out/fuzz"), help="folder of inputs that break a promise")
    parser.add_argument("--target", help="throw at this one only")
    parser.add_argument("--plain", action="store_true", help="do not use atheris")
    options = parser.parse_args()
    options.save.mkdir(parents=True, exist_ok=True)
    if options.jobs > 1:
        return run_several(options)
    chosen = [target for target in targets(options.seed) if options.target in (None, target.name)]
    if not chosen:
        parser.error(f"--target: there is no {options.target}")
    tally = Tally(options.save, options.seconds, options.inputs)
    if options.plain or importlib.util.find_spec("atheris") is None:
        return run_plain(chosen, tally)
    run_guided(chosen, options.seed, tally)
    return 0


if __name__ == "__main__":
    sys.exit(main())
