# SPDX-License-Identifier: MIT
"""The fuzzer itself: the same seed gives the same inputs, inputs get past the first checks, failures are kept."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.salvage import SalvagedReader
from tests.conformance.broken import broken_files
from tests.fuzz import run
from tests.fuzz.mutate import Mutator, put_together, take_apart
from tests.fuzz.target import LIMITS, exercise


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    return run.corpus()


def test_files_survive_being_taken_apart(corpus):
    for data in corpus:
        assert put_together(*take_apart(data), reindex=False) == data
        assert put_together(*take_apart(data), reindex=True) == data


def test_any_bytes_can_be_mutated(corpus):
    mutator = Mutator(corpus, 2)
    data = corpus[0]
    for _ in range(3000):
        data = mutator.mutate(data)[:4000]


def test_the_same_seed_gives_the_same_inputs(corpus):
    first, second, other = (Mutator(corpus, seed) for seed in (4, 4, 5))
    made = [first.make() for _ in range(50)]
    assert made == [second.make() for _ in range(50)]
    assert made != [other.make() for _ in range(50)]


def test_good_files_are_drawn_and_broken_ones_refused(corpus):
    assert {exercise(data) for data in corpus} == {"drawn"}
    assert {exercise(data) for data in broken_files().values()} <= {"refused", "limited"}


def test_many_inputs_get_past_the_checksums(corpus):
    mutator, outcomes, codes = Mutator(corpus, 1), Counter[str](), set()
    for _ in range(400):
        data = mutator.make()
        outcomes[exercise(data)] += 1
        codes |= {fault.code for fault in _faults(data)}
    assert outcomes["drawn"] > 20, outcomes
    assert outcomes["refused"] > 100, outcomes
    assert len(codes) > 30, sorted(codes)


def _faults(data: bytes) -> list:
    try:
        return SalvagedReader(data, LIMITS).faults
    except Exception as error:
        return getattr(error, "faults", [])


def test_failures_are_kept_once_of_each_kind(corpus, tmp_path, monkeypatch, capsys):
    def broken(data: bytes) -> str:
        return ContainerReader(data).header.no_such_field

    monkeypatch.setattr(run, "exercise", broken)
    tally = run.Tally(tmp_path)
    for data in corpus[:4]:
        tally.take(data)
    assert tally.report() == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == corpus[:1]
    assert "AttributeError" in capsys.readouterr().err
    assert tally.outcomes["failed"] == 4


def test_jobs_have_seeds_of_their_own_and_one_failure_is_enough(tmp_path, monkeypatch):
    started = []

    class Job(subprocess.Popen):
        def __init__(self, words: list[str]) -> None:
            started.append(words)
            super().__init__([sys.executable, "-c", f"raise SystemExit({len(started) == 2})"])

    monkeypatch.setattr(run.subprocess, "Popen", Job)
    words = ["--plain", "--seconds", "5", "--seed", "7", "--jobs", "3", "--save", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["run", *words])
    assert run.main() == 1
    assert [found[found.index("--seed") + 1] for found in started] == ["7", "8", "9"]
    for found in started:
        assert "--plain" in found
        assert found[found.index("--seconds") + 1] == "5.0"
        assert "--jobs" not in found
