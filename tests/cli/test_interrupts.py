# SPDX-License-Identifier: MIT
"""A signal at any moment of a run ends in one line and exit code 130, or comes too late and changes nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gscodec_cli.output import OutputFile, OutputFolder, discard_unfinished
from tests.cli.conftest import GSV

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.M)
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("delay", [0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16])
def test_from_the_first_moment_on(clip, tmp_path, delay):
    command = [GSV, "decode", str(clip), "-o", str(tmp_path / "a.mp4"), "-q"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not catches(process.pid, signal.SIGTERM) and time.monotonic() < deadline:
            pass
        begun = time.monotonic()
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        waited = time.monotonic() - begun  # on a busy machine much longer than asked for
        message = process.stderr.read().decode()
        code = process.wait(60)
    if code == 0:  # it had ended before
        assert waited > 0.05
        assert (message, (tmp_path / "a.mp4").exists()) == ("", True)
        return
    assert (code, message) == (130, "gsv: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.gsv"]


def test_the_handler_is_there_before_anything_large_is_imported():
    """Python reads its handler's module and no other of ours before SIGTERM is caught."""
    code = (
        "import sys, signal, gscodec_cli.__main__\n"
        "assert not {'click', 'numpy', 'av'} & set(sys.modules), 'imported too early'\n"
        "import gscodec_cli.interrupts as i; i.catch_interrupts()\n"
        "assert signal.getsignal(signal.SIGTERM) is i._interrupt\n"
    )
    python = Path(GSV).with_name("python3")
    subprocess.run([python, "-c", code], check=True, timeout=60)


def test_an_import_that_is_hit_counts_as_interrupted(tmp_path):
    """What an interrupted import makes of the KeyboardInterrupt is not told as an error of its own."""
    code = (
        "import sys, os, signal\n"
        "class Hit:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'click':\n"
        "            try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "            except KeyboardInterrupt: raise ImportError('numpy.core failed') from None\n"
        "sys.meta_path.insert(0, Hit())\n"
        "from gscodec_cli.__main__ import main\n"
        "main()\n"
    )
    python = Path(GSV).with_name("python3")
    done = subprocess.run([python, "-c", code, "info"], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, b"gsv: interrupted\n")


DROPPED = """
import os, signal, sys
from gscodec.format.limits import Limits
from gscodec_cli import interrupts
from gscodec_cli.decoder.source import open_source
class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        [number for number in range(1000)]
interrupts.catch_interrupts()
interrupts.stop_if_interrupted()
try:
    Dropped()
except KeyboardInterrupt:
    raise SystemExit("not dropped")
print("went on", flush=True)
"""


@pytest.mark.parametrize("asks", ["interrupts.stop_if_interrupted()", "open_source(sys.argv[1], Limits())"])
@pytest.mark.parametrize("source", ["-", "pipe.gsv"])
def test_an_interrupt_that_python_drops_is_raised_again(tmp_path, asks, source):
    """Also by a read, for bytes that never come; and nothing is said of the first one."""
    os.mkfifo(tmp_path / "pipe.gsv")
    held = os.open(tmp_path / "pipe.gsv", os.O_RDWR)  # opening it to read waits for somebody who writes
    command = [sys.executable, "-c", f"{DROPPED}{asks}\nprint('never said')", source]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        assert process.wait(60) != 0  # its standard input is open until here
        assert process.stdout.read() == b"went on\n"
        message = process.stderr.read()
    os.close(held)
    assert b"ignored" not in message
    assert message.endswith(b"\nKeyboardInterrupt\n")


def test_other_errors_that_python_drops_are_told():
    code = DROPPED.replace("os.kill(os.getpid(), signal.SIGTERM)", "raise ValueError('lost')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"went on\n")
    assert b"ValueError: lost" in done.stderr


def test_a_file_whose_owner_was_interrupted_before_it_was_entered_is_removed(tmp_path):
    kept = tmp_path / "kept"
    with OutputFile(kept) as output:
        output.file.write(b"whole")
    output = OutputFile(tmp_path / "a.mp4")
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".part", ""]
    discard_unfinished()
    output.file.close()
    assert list(tmp_path.iterdir()) == [kept]


def test_so_is_a_folder_unless_it_was_there_before(tmp_path):
    with OutputFolder(tmp_path / "whole") as output:
        output.add(tmp_path / "whole" / "1.png").write_bytes(b"one")
    OutputFolder(tmp_path / "whole").add(tmp_path / "whole" / "2.png").write_bytes(b"two")
    OutputFolder(tmp_path / "new").add(tmp_path / "new" / "1.png").write_bytes(b"one")
    discard_unfinished()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["whole", "whole/1.png"]
