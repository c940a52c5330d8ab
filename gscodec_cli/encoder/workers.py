# SPDX-License-Identifier: MIT
"""Chains encoded by processes of this machine. One that dies is replaced; none outlives the encode.

Must not import the verbs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from gscodec_cli.encoder.chain import ChainTask, FinishedGop, Step, encode_chain
from gscodec_cli.encoder.clip import ClipName
from gscodec_cli.errors import CliError, exit_code_of
from gscodec_cli.interrupts import stop_if_interrupted

MOST_DEATHS = 3  # of workers on one chain; then it is the chain's fault


@dataclass(frozen=True)
class Failure:
    """An error in a worker, in one line, with the exit code it stands for."""

    message: str
    exit_code: int

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What an error says; what is not expected is named."""
        expected = isinstance(error, CliError | OSError) or type(error).__module__.startswith("gscodec")
        text = str(error) if expected else f"unexpected {type(error).__name__}: {error}"
        return cls(text, exit_code_of(error))

    def error(self) -> CliError:
        """The error to raise for it."""
        found = CliError(self.message)
        found.exit_code = self.exit_code
        return found


@dataclass(frozen=True)
class Note:
    """Something to say about the encode."""

    text: str


Event = FinishedGop | Step | Note


class _Worker:
    """A process and the chain it is at."""

    def __init__(self, clip: ClipName, threads: int, gpu: str | None) -> None:
        self.gpu = gpu
        context = get_context("spawn")  # torch and the kernels have threads, which a fork would lose
        self.pipe, other = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(other, clip, threads, gpu), daemon=True)
        with _ctrl_c_held_back():
            self.process.start()
        other.close()
        self.task: ChainTask | None = None
        self.deaths = 0

    def give(self, task: ChainTask, deaths: int = 0) -> None:
        """Begin a chain, at which `deaths` workers have died."""
        self.task, self.deaths = task, deaths
        with contextlib.suppress(OSError):  # it has died: reading will tell
            self.pipe.send(task)

    def end(self) -> None:
        """End the process at once."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """A process that begins in here never sees Ctrl-C, which the terminal sends to all: the program ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def encode_locally(
    tasks: Sequence[ChainTask], clip: ClipName, jobs: int, threads: int, gpus: Sequence[str] = ()
) -> Iterator[Event]:
    """Encode chains in `jobs` processes that share `threads` threads; GoPs come as they are finished.

    gpus: those that the processes take in turn, one each, as CUDA_VISIBLE_DEVICES names them.
    Memory: one GoP and its training per process. Raises CliError as the workers do, or if they die again and again.
    """
    waiting = list(reversed(tasks))
    jobs = min(jobs, len(tasks))
    workers: list[_Worker] = []
    try:
        for index in range(jobs):
            gpu = gpus[index % len(gpus)] if gpus else None
            workers.append(_Worker(clip, max(1, threads // jobs), gpu))
            workers[-1].give(waiting.pop())
        while busy := {worker.pipe: worker for worker in workers if worker.task}:
            stop_if_interrupted()
            for pipe in connection.wait(list(busy)):
                assert isinstance(pipe, Connection)
                worker = busy[pipe]
                try:
                    event = pipe.recv()
                except (EOFError, OSError):
                    new, note = _replacement(worker, clip, max(1, threads // jobs))
                    workers[workers.index(worker)] = new
                    yield note
                    continue
                if isinstance(event, Failure):
                    raise event.error()
                if isinstance(event, FinishedGop):
                    assert worker.task is not None
                    worker.task = replace(worker.task, done=(*worker.task.done, event))
                if event is not None:
                    yield event
                elif waiting:
                    worker.give(waiting.pop())
                else:
                    worker.task = None
    finally:
        for worker in workers:
            worker.end()


def _replacement(dead: _Worker, clip: ClipName, threads: int) -> tuple[_Worker, Note]:
    """A new worker that goes on where a dead one was, and what to say. CliError if too many have died there."""
    task = dead.task
    assert task is not None
    dead.end()
    span = range(task.spans[len(task.done)].start, task.spans[-1].stop) if task.left else task.spans[-1]
    code = dead.process.exitcode or 0
    why = f"signal {-code}" if code < 0 else f"exit code {code}"
    text = f"the process that encoded frames {span.start}:{span.stop} died ({why})"
    if dead.deaths + 1 >= MOST_DEATHS:
        raise CliError(f"{text} for the {MOST_DEATHS}rd time; fewer --jobs take less memory")
    new = _Worker(clip, threads, dead.gpu)
    new.give(task, dead.deaths + 1)
    return new, Note(f"{text}; another one goes on")


def _work(pipe: Connection, clip: ClipName, threads: int, gpu: str | None) -> None:
    """A worker: encodes the chains that it is given until nobody is there to give them."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # in time: nothing has asked for a GPU in this process
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        source = clip.open()
        while True:
            for gop in encode_chain(pipe.recv(), source, threads, pipe.send):
                pipe.send(gop)
            pipe.send(None)
    except (EOFError, BrokenPipeError):
        return
    except BaseException as error:
        pipe.send(Failure.of(error))


def _leave_with_parent() -> None:
    """End this process when the program that started it has ended, however it did."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
