# SPDX-License-Identifier: MIT
"""Outputs that appear under their final name only when they are complete. Imports no torch.

A regular file is written under a temporary name in the target's own folder, synced and renamed, so a failed,
interrupted or killed run never leaves half a file under the final name.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gscodec_cli.errors import OutputError, UsageError

SUFFIX = ".part"
_unfinished: dict[Path, Callable[[Path], None]] = {}  # what this process has still to remove, and how; in order


def check_target(target: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Refuse a target before any work is done.

    Raises UsageError when it exists and `overwrite` is false or when it is the input itself, OutputError when it is a
    folder or its folder is missing.
    """
    if source is not None and target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{target}: output and input are the same file")
    if target.is_dir():
        raise OutputError(f"{target}: is a folder, expected a file name")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: there is no folder {target.parent}")
    if target.exists() and not is_special(target) and not overwrite:
        raise UsageError(f"{target}: exists already; use -y to overwrite it")


def is_special(target: Path) -> bool:
    """True for devices and pipes: written to directly, never renamed over."""
    try:
        return not stat.S_ISREG(os.stat(target).st_mode)
    except OSError:
        return False


def output_error(target: object, error: OSError) -> OutputError:
    """Turn a failed write into one line that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"{target}: cannot be written: {os.strerror(error.errno)}; free some space and run again")
    if error.errno == errno.EPIPE:
        return OutputError(f"{target}: the reader of the output closed it early")
    return OutputError(f"{target}: cannot be written: {error.strerror or error}")


def discard_unfinished() -> None:
    """Remove what an interrupt kept its owner from removing, the latest first; never raises."""
    while _unfinished:
        _remove(next(reversed(_unfinished)))


def _temporary(folder: Path, name: str, remove: Callable[[Path], None]) -> Path:
    """A path in `folder` that is removed at the end at the latest.

    It is written down before anything is there: a signal may come at any moment.
    """
    path = folder / f".{name}.{secrets.token_hex(4)}{SUFFIX}"
    _unfinished[path] = remove
    return path


def _remove(path: Path) -> None:
    """Remove what is written down, if it is; never raises."""
    with contextlib.suppress(OSError):
        _unfinished.pop(path, lambda _: None)(path)


class OutputFile:
    """Context manager around a binary file that takes its final name on a clean exit and vanishes otherwise.

    `file` is readable, writable and seekable for regular targets. OSErrors inside the block become OutputError.
    """

    def __init__(self, target: str | Path, *, overwrite: bool = False, source: Path | None = None) -> None:
        self.target = Path(target)
        check_target(self.target, overwrite=overwrite, source=source)
        self.special = is_special(self.target)
        try:
            self.file, self.temporary = self._open()
        except OSError as error:
            raise output_error(self.target, error) from None

    def _open(self) -> tuple[BinaryIO, Path | None]:
        if self.special:
            return open(self.target, "wb", buffering=0), None
        path = _temporary(self.target.parent, self.target.name, Path.unlink)
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "w+b"), path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.discard()
            if isinstance(error, OSError):
                raise output_error(self.target, error) from error
            return
        try:
            self.commit()
        except OSError as failure:
            self.discard()
            raise output_error(self.target, failure) from failure
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Write everything to the disk and give the file its final name."""
        self.file.flush()
        if self.temporary is not None:
            os.fsync(self.file.fileno())
        self.file.close()
        if self.temporary is not None:
            os.replace(self.temporary, self.target)
            _unfinished.pop(self.temporary)

    def discard(self) -> None:
        """Close and remove the temporary file; never raises."""
        with contextlib.suppress(OSError):
            self.file.close()
        if self.temporary is not None:
            _remove(self.temporary)


class PartialFile:
    """Context manager around OUT.part, which keeps what an unfinished run has done for a later one to go on from.

    `file` is readable, writable, seekable and not buffered. A clean exit removes it; otherwise it stays if `content`
    then says what is in it, or if it was there before, and the error says so. OSErrors inside the block become
    OutputError. Devices and pipes have a nameless file instead, of which nothing is left.
    Raises UsageError if OUT.part is there and neither to be resumed nor to be overwritten, or if it is in use.
    """

    def __init__(self, target: str | Path, *, resume: bool, overwrite: bool) -> None:
        self.target = Path(target)
        self.path = self.target.with_name(self.target.name + SUFFIX)
        self.content: Callable[[], str] = lambda: ""
        self.resumed = resume and self.path.exists()
        if self.path.exists() and not resume and not overwrite and not is_special(self.target):
            raise UsageError(f"{self.path}: is an unfinished encode; go on with --resume, or begin anew with -y")
        try:
            self.file = self._open()
        except OSError as error:
            raise output_error(self.path, error) from None

    def _open(self) -> BinaryIO:
        if is_special(self.target):
            return tempfile.TemporaryFile(buffering=0)  # type: ignore[return-value]
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(f"{self.path}: another gsv is at work on it") from None
        except OSError:  # a file system without locks
            pass
        if not self.resumed:
            os.ftruncate(handle, 0)
        return os.fdopen(handle, "r+b", buffering=0)  # type: ignore[return-value]

    def check(self) -> None:
        """Raise OutputError if somebody has removed the file: what is written to it would be lost."""
        if not is_special(self.target) and os.fstat(self.file.fileno()).st_nlink == 0:
            raise OutputError(f"{self.path}: was removed while it was being written")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        kept = self.content() if error is not None and not is_special(self.target) else ""
        gone = os.fstat(self.file.fileno()).st_nlink == 0
        if not gone and not kept and not (error is not None and self.resumed):
            with contextlib.suppress(OSError):
                self.path.unlink()  # before it is closed: the lock keeps it ours
        self.file.close()
        found = output_error(self.target, error) if isinstance(error, OSError) else error
        if found is not None and kept and not gone:
            found.add_note(f"{kept} are kept in {self.path}: go on with --resume")
        if found is not None and found is not error:
            raise found from error


class OutputFolder:
    """Context manager around many files (numbered pictures) that all appear together on a clean exit.

    `add(target)` returns the temporary path to write to. The folder of the targets is created when only its last
    part is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._moves: list[tuple[Path, Path]] = []
        if not folder.exists():
            _unfinished[folder] = Path.rmdir
        try:
            folder.mkdir(exist_ok=True)
            self.temporary = _temporary(folder, "frames", partial(shutil.rmtree, ignore_errors=True))
            self.temporary.mkdir(0o700)
        except OSError as error:
            raise output_error(folder, error) from None

    def add(self, target: Path) -> Path:
        """Return the temporary path for `target`, a file directly inside the folder."""
        path = self.temporary / target.name
        self._moves.append((path, target))
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                for path, target in self._moves:
                    os.replace(path, target)
        except OSError as failure:
            raise output_error(self.folder, failure) from failure
        finally:
            _remove(self.temporary)
            if error is not None:
                _remove(self.folder)
            else:
                _unfinished.pop(self.folder, None)
        if isinstance(error, OSError):
            raise output_error(self.folder, error) from error
