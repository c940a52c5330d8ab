# SPDX-License-Identifier: MIT
"""The `gsv` program: its verbs, global flags and exit codes. Imports a verb only when it is used, and no torch."""

import importlib
import os
import sys
import traceback
from importlib.metadata import version

import click

from gscodec_cli.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, exit_code_of
from gscodec_cli.interrupts import catch_interrupts, was_interrupted
from gscodec_cli.output import discard_unfinished

VERBS = ("encode", "decode", "info", "eval", "verify", "cut", "concat")


class _VerbGroup(click.Group):
    """Imports `gscodec_cli.verbs.<verb>` and its `command` only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return importlib.import_module(f"gscodec_cli.verbs.{name}").command


@click.group(cls=_VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("gscodec"), prog_name="gsv")
def cli() -> None:
    """Gaussian video: encode clips into .gsv files, draw them again, look inside, measure.

    Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 bad input or output,
    2 usage, 3 limit exceeded, 4 device or package not there, 130 interrupted.
    """


def run(arguments: list[str]) -> int:
    """Run `gsv` with `arguments`; every failure is one line on standard error and an exit code."""
    catch_interrupts()
    try:
        with cli.make_context("gsv", arguments) as context:
            cli.invoke(context)
        sys.stdout.flush()
        return EXIT_OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _fail(error, error.format_message(), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort) as error:
        return _fail(error, "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError as error:
        _silence_stdout()
        return _fail(error, "the reader of standard output closed it early", EXIT_BAD_INPUT)
    except MemoryError as error:
        return _fail(error, f"not enough memory: {_one_line(error)}", EXIT_BAD_INPUT)
    except Exception as error:
        broken = _silence_stdout()
        if was_interrupted():
            return _fail(error, "interrupted", EXIT_INTERRUPTED)
        return _fail(error, broken or _describe(error), exit_code_of(error))
    finally:
        discard_unfinished()


def _describe(error: Exception) -> str:
    """The message of an expected error as it is; others are named, so that they can be reported."""
    from gscodec.format.errors import GsvError
    from gscodec.kernels.errors import KernelError

    if isinstance(error, GsvError | KernelError | OSError):
        file = getattr(error, "file", "")  # set where a verb knows which file is to blame
        return f"{file}: {_one_line(error)}" if file else _one_line(error)
    return f"unexpected {type(error).__name__}: {_one_line(error)}; set GSV_DEBUG=1 to see where"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _fail(error: BaseException, message: str, code: int) -> int:
    if os.environ.get("GSV_DEBUG"):
        traceback.print_exception(error)
    print("; ".join([f"gsv: {message}", *getattr(error, "__notes__", ())]), file=sys.stderr)
    return code


def _silence_stdout() -> str:
    """Keep the interpreter from complaining at exit about output that can't be written; says so, "" if it can."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return f"standard output: cannot be written: {error.strerror}"
    return ""
