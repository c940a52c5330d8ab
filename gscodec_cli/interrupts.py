# SPDX-License-Identifier: MIT
"""Ctrl-C and SIGTERM end the program the same way, from its first moment on. Imports the standard library only."""

import os
import select
import signal
import sys
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_caught: list[int] = []
_woken: list[int] = []  # the end of a pipe at which a signal arrives, however late Python gets to know of it


def catch_interrupts() -> None:
    """Make Ctrl-C and SIGTERM a KeyboardInterrupt, once: what comes after it must not disturb the cleaning up."""
    if os.name == "posix" and not _woken:
        end, begin = os.pipe()
        os.set_blocking(begin, False)
        signal.set_wakeup_fd(begin)
        _woken.append(end)
    sys.unraisablehook = _say_nothing_of_interrupts
    for number in _NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _say_nothing_of_interrupts(dropped: Any) -> None:
    """Python tells what it drops in a destructor or a callback. An interrupt comes again: see `stop_if_interrupted`."""
    if not (_caught and issubclass(dropped.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(dropped)


def _interrupt(signum: int, frame: Any) -> None:
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    _caught.append(signum)
    raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Whether one of the signals has come: an import that it hits may turn the KeyboardInterrupt into another error."""
    return bool(_caught)


def stop_if_interrupted() -> None:
    """Raise KeyboardInterrupt again where one of the signals has come: long loops ask.

    Python drops what is raised in a destructor or a callback, and the signal comes only once.
    """
    if _caught:
        raise KeyboardInterrupt


def wait_for_bytes(descriptor: int) -> None:
    """Wait until `descriptor` has bytes or has ended. Raises KeyboardInterrupt where one of the signals has come.

    A read that is begun just after a signal has come would wait on.
    """
    if _woken:
        select.select([descriptor, *_woken], [], [])
    stop_if_interrupted()
