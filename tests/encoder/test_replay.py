# SPDX-License-Identifier: MIT
"""Steps of training that are recorded and replayed, and steps on several frames: with Triton's interpreter in place of
a GPU, and a tape in place of its graphs.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext

import pytest
import torch

from gscodec.kernels import registry
from gscodec_cli.encoder import replay, steps, trainer
from gscodec_cli.encoder.compression import Coding, Compression
from gscodec_cli.encoder.home import generator
from gscodec_cli.encoder.init import key_frame_model
from gscodec_cli.encoder.lattice import Lattice
from gscodec_cli.encoder.model import Carried, norm
from gscodec_cli.encoder.options import EncodeOptions, resolve
from gscodec_cli.encoder.replay import LOOKED, CudaGraph, Replays, recorder
from gscodec_cli.encoder.steps import AHEAD, Look, News, Schedule, looks
from gscodec_cli.encoder.trainer import Stage, Trainer, unit_range
from tests.encoder.tape import Tape
from tests.kernels.launches import started

pytestmark = pytest.mark.skipif(not registry.interpreting(), reason="only the interpreter's tensors can be on a tape")
FRAMES, HEIGHT, WIDTH = 3, 14, 16  # one tile


@pytest.fixture
def on_gpu(monkeypatch):
    """The GPU engine takes the tensors that are made."""
    registry.triton()
    monkeypatch.setenv("GSV_BACKEND", "triton")


def trainer_of(profile: str, gap: int = 1, **options: object) -> Trainer:
    """A trainer of 8 moving Gaussians on three random frames; the same every time."""
    torch.manual_seed(5)
    small = {"hash_levels": 2, "hash_table": 5, "hidden_width": 16, "rvq_codebook": 4}
    plan = resolve(EncodeOptions(profile=profile, gaussians=8, threads=1, **small, **options))
    frames = torch.randint(0, 256, (FRAMES, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator(1))
    model = key_frame_model(unit_range(frames[0]), 8, plan.tools, FRAMES, generator(2))
    if plan.tools.camera:
        model.params["camera"] = torch.zeros(FRAMES, 2, 3)
    made = Trainer(frames, model, plan, generator(3), lambda *told: None, None)
    made.take_camera = lambda camera: None  # there is no scene
    made.gap = gap
    return made


def state_of(made: Trainer) -> dict[str, torch.Tensor]:
    """All that training changes."""
    found = {name: value.detach().clone() for name, value in made.model.params.items()}
    if made.compression is not None:
        learnt = [*made.compression.learnables(), *made.compression.rate_model.learnables()]
        learnt += getattr(made.compression.amplitude, "codebooks", [])
        found |= {f"learnt {k}": value.detach().clone() for k, value in enumerate(learnt)}
    return found


def stretch(
    made: Trainer, steps: int, coding: Coding, tapes: list[Tape] | None, monkeypatch
) -> dict[str, torch.Tensor]:
    """What a stretch of training makes of the model; on tapes, if a list is given, to which they are added."""

    def record(step):
        tapes.append(Tape(step))
        return tapes[-1]

    monkeypatch.setattr(trainer, "recorder", lambda device: None if tapes is None else record)
    if coding is not Coding.CARRIED and made.compression is None:
        made.compression = Compression(made.model, made.generator)
    torch.manual_seed(11)
    made.run(Stage("joint", steps, 1.0, coding=coding), 0, steps)
    return {**state_of(made), "mse": torch.tensor(made.mse)}


def carry(made: Trainer) -> Trainer:
    """Let the first four Gaussians come from the GoP before."""
    params, count = {name: value[:4].clone() for name, value in made.model.params.items()}, 4
    amplitude = params["colour"] * norm(params["shape"], True)
    parts = torch.zeros(count), params["shape"], amplitude, params["motion"], torch.zeros(count, 3), params["mean"]
    made.model.carried = Carried(torch.arange(count), *parts)
    made.compression = Compression(made.model, made.generator)
    return made


SLOW = pytest.mark.slow
CASES = [  # profile, gap of the lattices, coding, steps, recordings, options
    pytest.param("main", 2, Coding.NOISE, 6, 1, {"drift": True, "step_frames": 2}, id="noise, lattices of two frames"),
    pytest.param("stgv", 1, Coding.ROUND, 5, 1, {}, id="stgv"),
    pytest.param(
        "main", 1, Coding.CARRIED, 4, 1, {"blend": "sum", "field": False, "step_frames": 3}, id="sums", marks=SLOW
    ),
    pytest.param("main", 1, Coding.CARRIED, 4, 1, {"field": False, "carried": True}, id="carried"),
    pytest.param("main", 1, Coding.ROUND, 3, 0, {"rvq": True, "field": False}, id="codewords that are fitted"),
    pytest.param("main", 3, Coding.CARRIED, 12, 4, {}, id="lattices of four sizes", marks=SLOW),
    pytest.param("main", 1, Coding.CARRIED, 5, 1, {"drift": True}, id="main", marks=SLOW),
    pytest.param("main", 1, Coding.NOISE, 5, 1, {"carried": True}, id="carried, noise", marks=SLOW),
    pytest.param("main", 1, Coding.ROUND, 5, 1, {}, id="rounding", marks=SLOW),
    pytest.param("main", 1, Coding.NOISE, 4, 1, {"rvq": True, "field": False}, id="codewords", marks=SLOW),
    pytest.param("stgv", 1, Coding.CARRIED, 4, 1, {"step_frames": 2}, id="stgv, two frames", marks=SLOW),
]


@pytest.mark.parametrize(("profile", "gap", "coding", "steps", "recordings", "options"), CASES)
def test_replayed_steps_do_what_steps_do(on_gpu, monkeypatch, profile, gap, coding, steps, recordings, options):
    carried = options.get("carried", False)

    def new() -> Trainer:
        made = trainer_of(profile, gap, **{k: v for k, v in options.items() if k != "carried"})
        return carry(made) if carried else made

    begun, tapes = new().model.params["mean"], []
    plain = stretch(new(), steps, coding, None, monkeypatch)
    replayed = stretch(new(), steps, coding, tapes, monkeypatch)
    assert len(tapes) == recordings
    assert recordings == 0 or sum(tape.replays for tape in tapes) == steps - recordings
    assert plain.keys() == replayed.keys()
    assert not torch.equal(plain["mean"], begun)
    for name, value in plain.items():
        assert torch.equal(value, replayed[name]), name


def test_a_tape_keeps_numbers_and_lets_nobody_read(on_gpu):
    numbers, total = iter(range(3, 9)), torch.zeros(2)
    tape = Tape(lambda: total.add_(next(numbers)))
    assert total.tolist() == [0, 0]
    tape.replay()
    tape.replay()
    assert total.tolist() == [6, 6]
    with pytest.raises(RuntimeError, match="waits for the device"):
        Tape(lambda: float(total.sum()))


class Played:
    """A graph that only counts: recording it runs the step, as far as Python goes."""

    def __init__(self, step):
        step()
        self.replays = 0

    def replay(self):
        self.replays += 1


def test_a_step_that_needs_more_room_is_recorded_again(on_gpu):
    from gscodec.kernels.triton.room import LEAST, room_for

    total, given, graphs, held = torch.tensor(10), [], [], []

    def step(kind):
        given.append(room_for(("test of rooms", object)).before(total))

    def record(again):
        graphs.append(Played(again))
        held.append(len(replays._outgrown))
        return graphs[-1]

    replays = Replays(step, record, lambda: None)
    for _ in range(2 + LOOKED):
        replays.run("kind")
    assert given == [LEAST] * 2  # once as it is, once recorded
    total.fill_(2 * LEAST)
    for _ in range(2 * LOOKED):
        replays.run("kind")
    assert given == [LEAST, LEAST, 3 * LEAST, 3 * LEAST]
    assert len(graphs) == 2
    assert (held, replays._outgrown) == ([0, 1], {})  # torch lets no graph into memory that has none left
    assert graphs[0].replays + graphs[1].replays + 2 == 2 + 3 * LOOKED


def test_kinds_are_recorded_apart():
    done, graphs = [], []
    replays = Replays(done.append, lambda step: graphs.append(Played(step)) or graphs[-1], lambda: None)
    for kind in "aabab":
        replays.run(kind)
    assert done == ["a", "a", "b", "b"]  # each once as it is and once recorded
    assert [graph.replays for graph in graphs] == [2, 1]


def test_what_cannot_be_recorded_is_run_and_said_once(monkeypatch, caplog):
    monkeypatch.setattr(replay, "_refused", False)
    done, undone = [], []

    def record(step):
        raise RuntimeError("operation not permitted when stream is capturing")

    replays = Replays(done.append, record, lambda: undone.append(1))
    with caplog.at_level(logging.WARNING):
        for kind in "aaab":
            replays.run(kind)
    assert ("".join(done), len(undone)) == ("aaab", 1)
    assert [record.getMessage() for record in caplog.records] == [
        "steps are started launch by launch, as they cannot be recorded as CUDA graphs: "
        "operation not permitted when stream is capturing"
    ]
    assert recorder(torch.device("cuda")) is None  # and not tried again


class Generator:
    """A generator as torch leaves it where a recording fails."""

    def __init__(self, recorded=True):
        self.recorded = recorded

    def clone_state(self):
        return Generator(recorded=False)

    def graphsafe_set_state(self, state):
        self.recorded = state.recorded


def test_random_numbers_go_on_after_a_recording_that_failed(monkeypatch):
    numbers = Generator()
    for name, value in {
        "CUDAGraph": object,
        "graph": lambda *graph, **options: nullcontext(),
        "current_stream": lambda: None,
        "current_device": lambda: 0,
        "default_generators": (numbers,),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    CudaGraph(lambda: None, None)
    assert numbers.recorded
    with pytest.raises(ZeroDivisionError):
        CudaGraph(lambda: 1 / 0, None)
    assert not numbers.recorded


def test_after_a_failure_nothing_is_replayed(monkeypatch):
    monkeypatch.setattr(replay, "_refused", False)
    done, graphs = [], []

    def record(step):
        if step.args == ("b",):
            raise RuntimeError("operation not permitted when stream is capturing")
        graphs.append(Played(step))
        return graphs[-1]

    replays = Replays(done.append, record, lambda: None)
    for kind in "aaabba":
        replays.run(kind)
    assert graphs[0].replays == 2
    assert "".join(done) == "aabba"  # the second a is recorded, the second b after it could not be


def test_the_cpu_records_nothing():
    assert recorder(torch.device("cpu")) is None


def test_a_schedule_gives_what_was_drawn():
    size, shares = (HEIGHT, WIDTH), [0.5 + 0.01 * k for k in range(20)]
    given = list(looks(FRAMES, 2, 3, iter(shares), generator(4)))
    assert len(given) == 20
    assert {len(set(look.frames)) for look in given[:1]} == {2}
    schedule, frame = Schedule(given, size), torch.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).to(torch.uint16)
    mean, conic = torch.rand(5, 2), torch.rand(5, 3)
    for look, kind in zip(given, schedule.kinds, strict=True):
        there = schedule.take(kind)
        assert there.frames.tolist() == list(look.frames)
        assert float(there.share) == pytest.approx(look.share)
        assert torch.equal(there.lattice.of(frame).long(), look.lattice.of(frame).long())
        for ours, theirs in zip(there.lattice.splats(mean, conic), look.lattice.splats(mean, conic), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_all_frames_come_before_any_comes_again():
    given = [look.frames for look in looks(6, 4, 1, iter([1.0] * 3), generator(4))]
    seen = [index for frames in given for index in frames]
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    assert next(looks(2, 4, 1, iter([1.0]), generator(4))).frames in {(0, 1), (1, 0)}


def test_several_frames_take_as_many_launches_as_one_and_nothing_waits(on_gpu, monkeypatch):
    made, stage, counts = trainer_of("main", drift=True), Stage("joint", 1, 1.0, coding=Coding.NOISE), {}
    monkeypatch.setattr("gscodec.kernels.triton.room.Room.before", lambda room, total, wait: 1000)
    made.compression, made.mse = Compression(made.model, made.generator), torch.tensor(1.0)
    made.compression.prepare(stage.coding)
    optimiser = made._optimiser(stage)
    for frames in ((0,), (0,), (0, 2, 1)):  # the first step makes what Adam remembers
        schedule = Schedule([Look(frames, Lattice(2, 1, 0), 0.5)], made.model.size)
        with started() as names:
            made._step(stage, optimiser, schedule.take(schedule.kinds[0]))
        counts[frames] = [name for name in names if not name.startswith("wait")]
        assert counts[frames] == names
    one, three = map(len, counts.values())
    assert 200 < one <= three <= one + 3  # the parts of each frame are summed


def test_what_is_no_step_waits_until_there_is_room_for_all(on_gpu, monkeypatch):
    from gscodec.kernels.triton.room import Room

    waits, before = [], Room.before
    monkeypatch.setattr(Room, "before", lambda room, total, wait: waits.append(wait) or before(room, total, wait=wait))
    made = trainer_of("main", field=False)
    made.run(Stage("joint", 2, 1.0), 0, 2)
    made.importance()
    made.psnr()
    made.add(2, range(FRAMES))
    assert waits == [False] * 2 + [True] * 3 * FRAMES


class Late:
    """A number that is on its way until somebody waits for it."""

    def __init__(self, value):
        self.value, self.here = float(value), False

    def arrived(self):
        return self.here

    def wait(self):
        self.here = True
        return self.value


def test_news_come_in_order_and_late_at_most(monkeypatch):
    sent, told = [], []
    monkeypatch.setattr(steps, "fetch", lambda value: sent.append(Late(value)) or sent[-1])
    news = News(lambda step, error: told.append((step, error)))
    for step in (10, 20, 30):
        news.tell(step, torch.tensor(float(step)))
        assert len(told) == max(0, step // 10 - AHEAD)
    sent[1].here = True
    news.tell(40, torch.tensor(40.0))
    news.end()
    assert told == [(step, float(step)) for step in (10, 20, 30, 40)]
    news.tell(50, 1.5)
    assert told[-1] == (50, 1.5)


@pytest.mark.parametrize("lattice", [None, Lattice(2, 1, 0)], ids=["all", "lattice"])
@pytest.mark.parametrize("profile", ["main", "stgv"])
def test_a_step_on_several_frames_is_the_mean_of_theirs(monkeypatch, profile, lattice):
    registry.triton()
    made = trainer_of(profile, **({"drift": True} if profile == "main" else {}))
    made.frames = made.frames.to(torch.uint16) * 257
    if profile == "main":
        made.model.params["camera"] += 0.3 * torch.randn(FRAMES, 2, 3, generator=generator(6))
        made.model.params["window"][:2] = torch.tensor([[-9.0, -8.0], [-1.0, 0.2]])  # not there, and not in frame 2
    schedule = Schedule([Look((2, 0), lattice, 1.0)], made.model.size)
    found = {}
    for engine, look in (("cpu", Look((2, 0), lattice, 1.0)), ("triton", schedule.take(schedule.kinds[0]))):
        monkeypatch.setenv("GSV_BACKEND", engine)
        view = {name: value.detach().requires_grad_() for name, value in made.model.params.items()}
        loss = made._loss(look, view, Stage("joint", 1, 1.0))
        loss.backward()
        found[engine] = {"loss": loss.detach()} | {name: value.grad for name, value in view.items()}
    for name, expected in found["cpu"].items():
        size = float(expected.abs().max())
        torch.testing.assert_close(found["triton"][name], expected, rtol=1e-3, atol=1e-5 * size, msg=name)
