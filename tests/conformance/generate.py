# SPDX-License-Identifier: MIT
"""Write the conformance vectors and their manifest: python -m tests.conformance.generate [--force]

Files that exist are only changed together with the revision of SPEC.md, or with --force. Prints what changed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import dequantise
from tests.conformance.appendix import SPEC, filled
from tests.conformance.broken import broken_files, more_broken_files
from tests.conformance.build import file_of
from tests.conformance.digest import parameter_digests, sha256, symbol_digests
from tests.conformance.pictures import exact_frame, frame_bounds
from tests.conformance.vectors import ANCILLARY, COPIED, VECTORS

FOLDER = Path(__file__).resolve().parent / "vectors"
MANIFEST = Path(__file__).resolve().parent / "manifest.json"


def spec_revision(text: str) -> str:
    """`0.1 revision 1`, as the head of SPEC.md says."""
    version = re.search(r"^# The `\.gsv` format, version ([\d.]+)$", text, re.M)
    revision = re.search(r"^Revision (\d+)\.", text, re.M)
    if not version or not revision:
        raise SystemExit("SPEC.md does not begin with its version and revision")
    return f"{version[1]} revision {revision[1]}"


def good_files() -> dict[str, bytes]:
    """{file name: bytes} of the files that decode."""
    return {
        f"{name}.gsv": file_of(make(), ANCILLARY.get(name, ()), with_copy=name in COPIED)
        for name, make in VECTORS.items()
    }


def bad_files() -> dict[str, bytes]:
    """{file name: bytes} of the files that must be refused."""
    return {f"x_{code}.gsv": data for code, data in (broken_files() | more_broken_files()).items()}


def manifest_entry(data: bytes) -> dict[str, Any]:
    """What the manifest says of a file that decodes."""
    reader = ContainerReader(data)
    gops = []
    for index in range(reader.gop_count):
        record = reader.read_gop(index)
        params = dequantise(record)
        gops.append(
            {
                "first_frame": record.first_frame,
                "frame_count": record.frame_count,
                "gaussian_count": record.gaussian_count,
                "symbols": symbol_digests(record),
                "parameters": parameter_digests(params),
                "frames": frame_bounds(params, reader.header),
            }
        )
    return {"sha256": sha256(data), "size": len(data), "gops": gops}


def pictures(data: bytes) -> np.ndarray:
    """[F, H, W, 3] uint16: the reference pictures in steps of 1 / 65535."""
    reader = ContainerReader(data)
    frames = []
    for index in range(reader.gop_count):
        params = dequantise(reader.read_gop(index))
        frames += [exact_frame(params, reader.header, params.position(frame)) for frame in range(params.frame_count)]
    return np.floor(np.stack(frames) * 65535 + 0.5).astype(np.uint16)


def write_pictures(name: str, data: bytes) -> None:
    """Write the pictures of a vector, unless the ones there are the same but for rounding."""
    path, made = FOLDER / name.replace(".gsv", ".npz"), pictures(data)
    if path.exists():
        known = np.load(path)["frames"].astype(int)
        if known.shape == made.shape and np.abs(known - made).max() <= 1:
            return
        print("pictures changed:", name)
    np.savez_compressed(path, frames=made)


def manifest(spec: str) -> dict[str, Any]:
    """The whole manifest."""
    return {
        "spec": spec_revision(spec),
        "files": {name: manifest_entry(data) for name, data in good_files().items()},
        "must_fail": {
            name: {"sha256": sha256(data), "code": name[2:-4].partition("_")[0]} for name, data in bad_files().items()
        },
    }


def changed_files(files: dict[str, bytes]) -> list[str]:
    """Names of files that exist with other bytes."""
    return [n for n, data in files.items() if (FOLDER / n).exists() and (FOLDER / n).read_bytes() != data]


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    spec = SPEC.read_text(encoding="utf-8")
    files = good_files() | bad_files()
    changed = changed_files(files)
    known = json.loads(MANIFEST.read_text())["spec"] if MANIFEST.exists() else None
    for name in changed:
        print("changed:", name)
    if changed and known == spec_revision(spec) and "--force" not in arguments:
        print("refused: SPEC.md still says", known, "- raise its revision, or use --force", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    for stale in {path.name for path in FOLDER.iterdir()} - set(files) - {n.replace(".gsv", ".npz") for n in files}:
        print("removed:", stale)
        (FOLDER / stale).unlink()
    for name, data in files.items():
        if not (FOLDER / name).exists():
            print("added:", name)
        (FOLDER / name).write_bytes(data)
    for name, data in good_files().items():
        write_pictures(name, data)
    MANIFEST.write_text(json.dumps(manifest(spec), indent=1) + "\n")
    SPEC.write_text(filled(spec, files["tiny.gsv"]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
