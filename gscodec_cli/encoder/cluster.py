# SPDX-License-Identifier: MIT
"""Chains encoded by the workers of a Dask scheduler, which gives a dead worker's chains to others.

Dask is imported when it is asked for. Must not import the verbs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from gscodec_cli.encoder.chain import ChainTask, FinishedGop, encode_chain
from gscodec_cli.encoder.clip import ClipName
from gscodec_cli.encoder.workers import Failure
from gscodec_cli.errors import BackendMissingError, CliError

TIMEOUT = 20  # seconds to reach the scheduler
_training = threading.Lock()  # torch's random numbers are one sequence per process


def encode_on_cluster(tasks: Sequence[ChainTask], clip: ClipName, address: str) -> Iterator[FinishedGop]:
    """Encode chains on the workers of the scheduler at `address`; the GoPs of a chain come when all are finished.

    Every worker reads the clip from the same path. Raises BackendMissingError without Dask or a scheduler, CliError.
    """
    try:
        import distributed
    except ImportError as error:
        raise BackendMissingError(f'--dask needs Dask: pip install "gscodec[dask]" ({error})') from None
    try:
        client = distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BackendMissingError(f"--dask {address}: no scheduler answers there ({error})") from None
    futures: list[Any] = []
    try:
        calls = [(task, clip, version("gscodec")) for task in tasks]
        futures = client.map(_encode_remotely, calls, pure=False)
        for future in distributed.as_completed(futures, loop=client.loop):
            yield from _result(future)
    finally:
        client.cancel(futures, force=True)
        client.close()


def _result(future: Any) -> list[FinishedGop]:
    """What a chain's call gave. Raises CliError."""
    error = future.exception()
    if error is not None:
        raise CliError(f"--dask: a chain could not be encoded ({type(error).__name__}: {error})")
    found = future.result()
    future.release()
    if isinstance(found, Failure):
        raise found.error()
    gops: list[FinishedGop] = found
    return gops


def _encode_remotely(call: tuple[ChainTask, ClipName, str]) -> list[FinishedGop] | Failure:
    """Runs on a worker. An error comes back as what there is to say: its class need not be known there."""
    import distributed

    task, clip, asked = call
    worker = distributed.get_worker()
    try:
        if version("gscodec") != asked:
            raise CliError(f"worker {worker.address} has gscodec {version('gscodec')}, the program {asked}")
        threads = max(1, (os.cpu_count() or 1) // worker.state.nthreads)
        with _training:
            return list(encode_chain(task, clip.open(), task.plan.threads or threads, lambda step: None))
    except Exception as error:
        return Failure.of(error)
