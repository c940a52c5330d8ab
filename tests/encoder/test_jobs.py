# SPDX-License-Identifier: MIT
"""Chains encoded by several processes, or by the workers of a Dask scheduler, give the bytes that one process gives.

Also when one of them is killed.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from gscodec.format.container import ContainerReader
from gscodec_cli.encoder import Encode, EncodeOptions, workers
from gscodec_cli.encoder.clip import ClipName
from gscodec_cli.encoder.home import gpus
from gscodec_cli.errors import BackendMissingError, CliError, MediaError
from gscodec_cli.video.reader import open_video

from .conftest import moving_disc, write_clip

# Without a field: so little training would leave it nothing but its size.
QUICK = {"key_iterations": 6, "joint_iterations": 20, "tune_iterations": 8, "threads": 2, "field": False}
GOALS = {"bits": {"bpp": 3.0}, "quality": {"quality": 30}, "count": {"gaussians": 40}}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A lossless clip of 12 frames, which the options below divide into three chains of two GoPs."""
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mkv", moving_disc(12))


def encode(clip, goal="bits", partial=None, progress=None, resume=False, **how):
    """The bytes of an encode and its notes."""
    options = EncodeOptions(gop=2, keyint=4, **GOALS[goal], **QUICK)
    run = Encode(open_video(clip), options, partial or io.BytesIO(), resume=resume)
    run.train(progress, **how)
    out = io.BytesIO()
    return out, run.write(out)


@pytest.fixture(scope="module")
def alone(clip):
    """The bytes that one process gives, by goal."""
    made = {}
    return lambda goal="bits": made.setdefault(goal, encode(clip, goal)[0].getvalue())


def children() -> set[int]:
    """Workers that this process has started and that live."""
    return {process.pid for process in multiprocessing.active_children()}


@pytest.mark.parametrize("goal", ["bits", "quality"])
def test_the_bytes_do_not_depend_on_the_number_of_jobs(clip, alone, goal):
    out, result = encode(clip, goal, jobs=2)
    assert out.getvalue() == alone(goal)
    assert result.notes == ()
    assert not children()


def test_progress_of_all_jobs_is_one(clip):
    seen = []
    encode(clip, "count", progress=seen.append, jobs=3)
    assert [a.share <= b.share for a, b in pairwise(seen)].count(False) == 0
    assert seen[-1].share == pytest.approx(1.0)
    assert [a.gop <= b.gop for a, b in pairwise(seen)].count(False) == 0
    # How many are finished before the last report of a step depends on how fast each process is.
    assert 3 <= max(status.gop for status in seen) <= 5
    assert {status.gops for status in seen} == {6}


def kill_one(number=signal.SIGKILL):
    """A progress function that kills a worker once, when GoPs are finished."""
    killed = []

    def progress(status):
        if status.gop >= 2 and not killed:
            killed.append(max(children()))
            os.kill(killed[0], number)

    return progress


def test_a_worker_that_is_killed_is_replaced(clip, alone):
    out, result = encode(clip, progress=kill_one(), jobs=2)
    assert out.getvalue() == alone()
    assert len(result.notes) == 1
    assert "died (signal 9); another one goes on" in result.notes[0]
    assert not children()


def test_workers_that_die_again_and_again_end_the_encode(clip, alone):
    def progress(status):
        for child in children():
            os.kill(child, signal.SIGKILL)

    partial = io.BytesIO()
    with pytest.raises(CliError, match=r"frames \d+:\d+ died \(signal 9\) for the 3rd time"):
        encode(clip, partial=partial, progress=progress, jobs=2)
    assert not children()
    assert encode(clip, partial=partial, resume=True)[0].getvalue() == alone()


def test_a_break_ends_the_workers_and_what_they_finished_is_kept(clip, alone):
    def progress(status):
        if status.gop >= 3:
            raise KeyboardInterrupt

    partial = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        encode(clip, partial=partial, progress=progress, jobs=3)
    assert not children()
    trained = []
    out, _ = encode(clip, partial=partial, resume=True, progress=lambda status: trained.append(status.gop), jobs=2)
    assert out.getvalue() == alone()
    assert min(trained) >= 3


def test_an_error_in_a_worker_is_told_as_it_is(clip, tmp_path):
    other = tmp_path / "clip.mkv"
    other.write_bytes(clip.read_bytes())
    run = Encode(open_video(other), EncodeOptions(gop=2, keyint=4, gaussians=40, **QUICK), io.BytesIO())
    write_clip(other, 255 - moving_disc(12))
    with pytest.raises(CliError, match="is not the clip that the encode began with"):
        run.train(jobs=2)
    assert not children()


def test_what_is_not_expected_is_named():
    assert workers.Failure.of(MediaError("a.mp4: gone")).message == "a.mp4: gone"
    failure = workers.Failure.of(ZeroDivisionError("by zero"))
    assert (failure.message, failure.exit_code) == ("unexpected ZeroDivisionError: by zero", 1)
    assert workers.Failure.of(BackendMissingError("no GPU")).error().exit_code == 4


def test_a_bit_target_is_met_by_all_chains_together(alone):
    asked = 3.0 * 12 * 48 * 64 / 8
    assert -0.015 <= len(alone()) / asked - 1 <= 0.005
    with ContainerReader(alone()) as reader:
        reader.verify()


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler with two workers as processes of their own: its address, and the workers."""
    pytest.importorskip("distributed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    port = address.rpartition(":")[2]
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    commands = [[*dask, "--no-dashboard", "--no-show"], *[[*worker, "--no-dashboard"]] * 2]
    with open(tmp_path / "log", "wb") as log:
        started = [subprocess.Popen(c, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True) for c in commands]
    yield address, started[1:]
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore")
def test_dask_gives_the_same_bytes_though_a_worker_is_killed(clip, alone, cluster):
    import distributed

    address, processes = cluster
    with distributed.Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        busy = []
        partial = io.BytesIO()
        run = Encode(open_video(clip), EncodeOptions(gop=2, keyint=4, **GOALS["bits"], **QUICK), partial)

        def check():
            if not busy:  # the pilot is back: all chains are given out now
                busy.append(kill_a_busy_one(client, processes))

        original = run.checkpoint.add
        run.checkpoint.add = lambda gop: (original(gop), check() if run.finished == 3 else None)
        run.train(cluster=address)
    assert busy == [True]
    out = io.BytesIO()
    run.write(out)
    assert out.getvalue() == alone()


def kill_a_busy_one(client, processes) -> bool:
    """Kill the worker that is encoding a chain; whether there was one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        running = {name for name, tasks in client.processing().items() if tasks}
        for worker in running:
            pid = client.run(os.getpid, workers=[worker])[worker]
            next(process for process in processes if process.pid == pid).kill()
            return True
        time.sleep(0.05)
    return False


def test_a_scheduler_that_is_not_there_is_said(clip, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("gscodec_cli.encoder.cluster.TIMEOUT", 1)
    with pytest.raises(BackendMissingError, match=r"--dask tcp://127\.0\.0\.1:9: no scheduler answers there"):
        encode(clip, cluster="tcp://127.0.0.1:9")


@pytest.fixture
def taken(monkeypatch):
    """The GPUs that workers are given, in the order in which those begin."""
    found = []

    class Seen(workers._Worker):
        def __init__(self, clip, threads, gpu):
            super().__init__(clip, threads, gpu)
            found.append(gpu)

    monkeypatch.setattr(workers, "_Worker", Seen)
    return found


def test_processes_take_the_gpus_in_turn(monkeypatch, clip, taken):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert gpus("cpu") == gpus("auto") == []
    assert gpus("cuda") == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-8a")
    assert gpus("cuda") == ["3", "GPU-8a"]
    monkeypatch.setattr("gscodec_cli.encoder.pipeline.gpus", lambda name: ["3", "GPU-8a"])
    encode(clip, "count")
    assert taken == ["3", "GPU-8a"]


def test_several_processes_share_a_gpu_where_there_are_more(monkeypatch, clip, alone, taken):
    monkeypatch.setattr("gscodec_cli.encoder.pipeline.gpus", lambda name: ["3"])
    out, _ = encode(clip, "count", jobs=3)
    assert taken == ["3", "3", "3"]
    assert out.getvalue() == alone("count")


def test_a_process_sees_its_gpu_only(monkeypatch, clip):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(workers, "_leave_with_parent", lambda: None)
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    workers._work(ours, ClipName.of(open_video(clip)), 1, "1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
