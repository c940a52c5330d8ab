# SPDX-License-Identifier: MIT
"""Size, docstrings and a few habits of every source file (CONTRIBUTING.md), read from the files themselves."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.sources import FOLDERS, PACKAGES, ROOT, name_of, python_files, tree_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
# "file" or "file:function" -> why it may be longer.
ALLOWED_LONG = {
    "samples/minimal_decoder.py": "one file by design: a stranger's decoder, written from SPEC.md alone",
}
TEXT_SUFFIXES = {".py", ".cpp", ".h", ".hpp", ".md", ".toml", ".txt", ".json", ".csv", ".sh"}
# Folders of one person's machine; a drive letter counts too. Assembled here so that this file passes its own test.
ABSOLUTE = re.compile(r"(?<![\w./~-])/(?:" + "|".join(("home", "Users", "work", "root", "tmp", "opt", "mnt")) + r")/\w")
SOURCES = python_files(*FOLDERS)
PACKAGE_SOURCES = python_files(*PACKAGES)


def functions_of(path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file, nested ones included."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Public functions and classes of a module, and the public methods of classes that inherit from nobody.

    A method that overrides its base's may leave the explaining to the base.
    """
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = []
    for node in tree.body:
        if not isinstance(node, kinds) or node.name.startswith("_"):
            continue
        found.append(node)
        if isinstance(node, ast.ClassDef) and not node.bases:
            found += [sub for sub in node.body if isinstance(sub, kinds) and not sub.name.startswith("_")]
    return found


def is_overload(node: ast.AST) -> bool:
    """Whether a function is one signature of an overloaded one."""
    return any("overload" in ast.dump(item) for item in getattr(node, "decorator_list", []))


@pytest.mark.parametrize("path", PACKAGE_SOURCES, ids=name_of)
def test_what_is_public_has_a_docstring(path):
    tree = tree_of(path)
    missing = [
        f"{node.name} (line {node.lineno})"
        for node in public_definitions(tree)
        if ast.get_docstring(node) is None and not is_overload(node)
    ]
    assert not missing, f"{name_of(path)}: no docstring on {', '.join(missing)}"
    assert ast.get_docstring(tree) or not tree.body, f"{name_of(path)}: no module docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_are_short(path):
    name = name_of(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES or name in ALLOWED_LONG, f"{name} has {lines} lines, at most {MAX_FILE_LINES}"
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in functions_of(path)
        if node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES and f"{name}:{node.name}" not in ALLOWED_LONG
    }
    assert not long, f"{name}: functions over {MAX_FUNCTION_LINES} lines: {long}"


def test_the_allow_list_holds_nothing_that_is_gone():
    gone = [entry for entry in ALLOWED_LONG if not (ROOT / entry.split(":")[0]).exists()]
    assert not gone


def test_functions_are_short_in_the_middle():
    lengths = sorted(node.end_lineno - node.lineno + 1 for path in PACKAGE_SOURCES for node in functions_of(path))
    middle = lengths[len(lengths) // 2]
    assert middle <= 15, f"the median function has {middle} lines"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_a_subclass_must_have_is_abstract(path):
    stubs = [n.lineno for n in ast.walk(tree_of(path)) if isinstance(n, ast.Name) and n.id == "NotImplementedError"]
    assert not stubs, f"{name_of(path)}: NotImplementedError in lines {stubs}; use an abstract method"


def text_files():
    """Every text file of the project that a person writes, below the root and its folders."""
    top = [
        path for path in ROOT.iterdir() if path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name == "Makefile")
    ]
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in TEXT_SUFFIXES]
    return sorted([*top, *below, ROOT / ".ci" / "run"])


@pytest.mark.parametrize("path", text_files(), ids=name_of)
def test_text_is_clean(path):
    text = path.read_text(encoding="utf-8")
    machine = [line.strip() for line in text.splitlines() if ABSOLUTE.search(line)]
    assert not machine, f"{name_of(path)} names a folder of one machine: {machine[0]}"
    trailing = [number for number, line in enumerate(text.splitlines(), 1) if line != line.rstrip()]
    assert not trailing, f"{name_of(path)} has spaces at the end of lines {trailing[:5]}"
    assert not re.search("[\u200b-\u200f\u2028-\u202f\u2066-\u2069\ufeff\t]", text) or path.name == "Makefile", (
        f"{name_of(path)} holds a tab or an invisible character"
    )
    if path.suffix in {".py", ".cpp", ".h", ".hpp", ".sh"} or path.name in {"Makefile", "run"}:
        assert any("SPDX-License-Identifier: MIT" in line for line in text.splitlines()[:3]), (
            f"{name_of(path)}: no SPDX line"
        )
