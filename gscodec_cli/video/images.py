# SPDX-License-Identifier: MIT
"""Numbered pictures as a clip: folders of PNG files and printf patterns. Pipeline: input. Imports no torch."""

import re
from pathlib import Path

from gscodec_cli.errors import MediaError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
_PATTERN = re.compile(r"%0?(\d*)d")


def is_pattern(path: str) -> bool:
    """True when the file name holds one printf integer such as `%04d`."""
    return len(_PATTERN.findall(Path(path).name)) == 1 and not Path(path).exists()


def list_pictures(path: str) -> list[Path]:
    """Return the picture files of a folder (natural order) or of a printf pattern (by number), never empty.

    Raises MediaError when there are none.
    """
    found = _list_pattern(Path(path)) if is_pattern(path) else _list_folder(Path(path))
    if not found:
        what = (
            "no file matches the pattern" if is_pattern(path) else f"no pictures ({' '.join(PICTURE_SUFFIXES)}) in it"
        )
        raise MediaError(f"{path}: {what}")
    return found


def _list_folder(folder: Path) -> list[Path]:
    files = [f for f in folder.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES and f.is_file()]
    return sorted(files, key=lambda f: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", f.name)])


def _list_pattern(pattern: Path) -> list[Path]:
    width = _PATTERN.search(pattern.name)
    assert width is not None
    head, tail = pattern.name[: width.start()], pattern.name[width.end() :]
    digits = rf"(\d{{{int(width[1] or 1)},}})"
    name = re.compile(re.escape(head) + digits + re.escape(tail))
    if not pattern.parent.is_dir():
        return []
    numbered = [(int(m[1]), f) for f in pattern.parent.iterdir() if (m := name.fullmatch(f.name))]
    return [f for _, f in sorted(numbered)]
