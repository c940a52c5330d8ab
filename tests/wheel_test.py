# SPDX-License-Identifier: MIT
"""What a person gets who installs the core: builds the wheel, installs it alone, and decodes away from the source tree.

    python tests/wheel_test.py        (or make wheel-test)

Not collected by pytest: it needs a package index, and a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "conformance" / "vectors"
EXIT_BAD_INPUT, EXIT_LIMIT, EXIT_BACKEND = 1, 3, 4


def build_wheel(folder: Path) -> Path:
    """Build the wheel into an empty folder and return its path."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}"]
    subprocess.run([*command, "--config-settings=build-dir=build/wheel", str(ROOT)], check=True, cwd=ROOT)
    return next(folder.glob("gscodec-*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel and what it depends on into a new environment; return the environment's bin folder."""
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    return programs


def gsv(programs: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed `gsv` in a folder of its own."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(programs / "gsv"), *arguments]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=300)


def check_good(programs: Path, folder: Path, vector: Path) -> None:
    """A valid file: its bits add up, its frames come out."""
    shown = gsv(programs, folder, "info", str(vector), "--json")
    assert shown.returncode == 0, f"{vector.name}: {shown.stderr}"
    facts = json.loads(shown.stdout)
    assert sum(facts["bits"].values()) == 8 * vector.stat().st_size, f"{vector.name}: bits do not add up"
    drawn = gsv(programs, folder, "decode", str(vector), "-o", "out.npy", "-y", "--quiet")
    assert drawn.returncode == 0, f"{vector.name}: {drawn.stderr}"
    size = (folder / "out.npy").stat().st_size
    assert size > facts["frames"] * facts["width"] * facts["height"] * 3, f"{vector.name}: {size} bytes of frames"


def check_refused(programs: Path, folder: Path, vector: Path) -> None:
    """A broken file: one line, an exit code, no output."""
    result = gsv(programs, folder, "decode", str(vector), "-o", "broken.npy", "--quiet")
    assert result.returncode in (EXIT_BAD_INPUT, EXIT_LIMIT), f"{vector.name}: exit code {result.returncode}"
    assert len(result.stderr.strip().splitlines()) == 1, f"{vector.name}: {result.stderr}"
    assert not (folder / "broken.npy").exists(), f"{vector.name}: left an output"


def main() -> None:
    """Build, install, check."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = install(build_wheel(folder / "wheel"), folder / "environment")
        work = folder / "work"
        work.mkdir()
        has_torch = subprocess.run([str(programs / "python"), "-c", "import torch"], capture_output=True, check=False)
        assert has_torch.returncode != 0, "the core install brought torch along"
        engines = gsv(programs, work, "info", "--backends").stdout
        assert "not available" not in engines, engines
        files = sorted(VECTORS.glob("*.gsv"))
        assert files, "no conformance vectors: run make regen-vectors"
        for vector in files:
            (check_refused if vector.name.startswith("x_") else check_good)(programs, work, vector)
        clip = shutil.copy(ROOT / "samples" / "pan.mp4", work)
        refused = gsv(programs, work, "encode", str(clip), "-o", "out.gsv")
        assert refused.returncode == EXIT_BACKEND, refused.stderr
        print(
            f"{len(files)} conformance files decoded or refused by the installed core\n{engines}{refused.stderr}",
            end="",
        )


if __name__ == "__main__":
    main()
