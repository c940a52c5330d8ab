# SPDX-License-Identifier: MIT
"""The fuzzer itself: the same seed gives the same inputs, inputs get past the first checks, failures are kept."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.salvage import SalvagedReader
from gscodec.format.schema import Entry
from tests.conformance.broken import base, broken_files
from tests.conformance.vectors import VECTORS
from tests.fuzz import parts, run
from tests.fuzz.mutate import Mutator, put_together, take_apart
from tests.fuzz.target import LIMITS, exercise
from tests.fuzz.targets import Target, targets
from tests.fuzz.targets import corpus as good_files

NAMES = ["file", "gop", "chunk", "plane", "numbers", "draw"]


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    return good_files()


@pytest.fixture(scope="module")
def by_name() -> dict[str, Target]:
    return {target.name: target for target in targets(3)}


def test_the_corpus_is_the_good_vectors(corpus):
    assert len(corpus) == len(VECTORS)
    assert set(map(base, VECTORS)) - set(corpus) == {base("variable_time")}  # whose vector has one more chunk


def test_the_corpus_holds_what_gops_are_made_of(corpus):
    """The targets of GoPs, of drawing and of files change no more than what some good file has."""
    records = [reader.read_gop(index) for reader in map(ContainerReader, corpus) for index in range(reader.gop_count)]
    for part in ("motion", "drift", "window", "field", "camera", "detail", "residual", "carried"):
        assert any(getattr(record, part) is not None for record in records), part
    assert any(record.detail.kept is not None for record in records if record.detail is not None)


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


def test_failures_are_kept_once_of_each_kind(corpus, tmp_path, capsys):
    def broken(data: bytes) -> str:
        return ContainerReader(data).header.no_such_field

    target, tally = Target("broken", 1, broken, Mutator(corpus, 1)), run.Tally(tmp_path)
    for data in corpus[:4]:
        tally.take(target, data)
    assert tally.report() == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == corpus[:1]
    assert "AttributeError" in capsys.readouterr().err
    assert tally.outcomes["broken"] == {"failed": 4}


def test_jobs_have_seeds_of_their_own_and_one_failure_is_enough(tmp_path, monkeypatch):
    started = []

    class Job(subprocess.Popen):
        def __init__(self, words: list[str]) -> None:
            started.append(words)
            super().__init__([sys.executable, "-c", f"raise SystemExit({len(started) == 2})"])

    monkeypatch.setattr(run.subprocess, "Popen", Job)
    words = ["--plain", "--seconds", "5", "--seed", "7", "--jobs", "3", "--save", str(tmp_path)]
    words += ["--inputs", "10", "--target", "gop"]
    monkeypatch.setattr(sys, "argv", ["run", *words])
    assert run.main() == 1
    assert [found[found.index("--seed") + 1] for found in started] == ["7", "8", "9"]
    for found in started:
        assert "--plain" in found
        assert found[found.index("--seconds") + 1] == "5.0"
        assert found[found.index("--inputs") + 1] == "4"
        assert found[found.index("--target") + 1] == "gop"
        assert "--jobs" not in found


def test_every_target_makes_the_same_inputs_again(by_name):
    assert list(by_name) == NAMES
    first, second = targets(9), targets(9)
    for a, b in zip(first, second, strict=True):
        assert [a.mutator.make() for _ in range(30)] == [b.mutator.make() for _ in range(30)], a.name


@pytest.mark.parametrize("name", NAMES)
def test_good_inputs_are_accepted_and_most_others_meet_no_failure(by_name, name):
    target = by_name[name]
    assert {target.exercise(data) for data in target.mutator.corpus} <= {"read", "drawn"}
    outcomes = Counter(target.exercise(target.mutator.make()) for _ in range(300))
    assert outcomes["read"] + outcomes["drawn"] > 20, outcomes
    assert name == "draw" or outcomes["refused"] > 5, outcomes
    for data in (b"", b"\0", b"\xff" * 3, bytes(70), b"\xff" * 300):
        target.exercise(data)


def test_planes_of_every_entropy_model_are_read(by_name):
    models, outcomes = Counter[int](), Counter[str]()
    for data in by_name["plane"].mutator.corpus:
        trace: list[Entry] = []
        outcomes[parts.read_plane(data, trace)] += 1
        models[next(entry.value for entry in trace if entry.name.endswith("entropy_model"))] += 1
    assert sorted(models) == [0, 1, 2, 3]
    assert list(outcomes) == ["read"]


def test_every_kind_of_chunk_is_read(by_name):
    assert {data[: parts.KIND].decode() for data in by_name["chunk"].mutator.corpus} == set(parts.CHUNKS)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("chunk", ("sequence_header", lambda io, known, limits: io.raw({}, "all", io.remaining) if io.reading else 0)),
        ("plane", ("columns_of", None)),
    ],
)
def test_what_breaks_a_promise_is_noticed(by_name, monkeypatch, name, broken):
    monkeypatch.setattr(parts, *broken)
    with pytest.raises((AssertionError, TypeError)):
        for data in by_name[name].mutator.corpus:
            by_name[name].exercise(data)


def test_a_run_goes_on_until_there_were_enough_inputs(tmp_path, by_name, capsys):
    tally = run.Tally(tmp_path, seconds=0, inputs=700)
    assert run.run_plain([by_name["chunk"], by_name["plane"]], tally) == 0
    assert 700 <= tally.total < 1000
    assert f"{tally.total} inputs in" in capsys.readouterr().out


def test_a_gop_that_does_not_follow_the_one_before_is_not_written_anew(monkeypatch):
    """It can be read, since only the index knows where GoPs begin; the writer insists on it."""
    reader = ContainerReader(base("chain"))
    before, record = reader.read_gop(0), reader.read_gop(1)
    later = replace(record, first_frame=record.first_frame + 1)
    monkeypatch.setattr(parts, "read_gop", lambda *arguments, **options: (later, SimpleNamespace(total=0)))
    monkeypatch.setattr(parts, "is_chosen", lambda *arguments: True)
    assert parts.GopReader([(reader.header, before)]).read(b"") == "read"
