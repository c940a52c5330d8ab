# SPDX-License-Identifier: MIT
"""The project's sources as the architecture tests see them: paths, syntax trees, imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("format", "kernels", "gscodec_cli")
FOLDERS = (*PACKAGES, "tests", "samples", "benchmarks", "docs")


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the root, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """The path below the root, with forward slashes: how rules and allow lists name a file."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@dataclass(frozen=True)
class Import:
    """One imported module: its full name, its line, and whether it is imported when the file is (not in a function)."""

    module: str
    line: int
    at_import: bool


def module_name(path: Path) -> str:
    """The name a file is imported by: format/x.py is gscodec.format.x."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join((["gscodec"] if parts[0] in ("format", "kernels") else []) + parts)


def imports_of(path: Path) -> list[Import]:
    """Every import of a file, relative ones made absolute. Those for type checkers only are left out."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found: list[Import] = []
    for node, at_import in _walk(tree_of(path), True):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_import) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found += [Import(f"{module}.{alias.name}", node.lineno, at_import) for alias in node.names]
    return found


def _walk(node: ast.AST, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child, at_import
        inside_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, at_import and not inside_function)
