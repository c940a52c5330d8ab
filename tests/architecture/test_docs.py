# SPDX-License-Identifier: MIT
"""README and docs say what the code does: options, presets, commands, files and links."""

from __future__ import annotations

import re

import click
import pytest

from docs.tables import with_tables
from gscodec_cli.main import cli
from tests.architecture.sources import PACKAGES, ROOT, name_of, python_files

CLI_PAGE = ROOT / "docs" / "CLI.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").glob("*.md")])
CONTEXT = click.Context(cli)
COMMANDS = {verb: command for verb in cli.list_commands(CONTEXT) if (command := cli.get_command(CONTEXT, verb))}


def section_of(verb: str) -> str:
    """The part of docs/CLI.md about one verb: from its heading to the next of the same depth."""
    found = re.search(rf"^## `gsv {verb}`\n(.*?)(?=^## |\Z)", CLI_PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"docs/CLI.md has no section '## `gsv {verb}`'"
    return found[1]


def options_of(command: click.Command) -> list[click.Option]:
    """The options of a command that are shown to people."""
    return [item for item in command.params if isinstance(item, click.Option) and not item.hidden]


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_every_option_is_documented_and_has_help(verb):
    section, command = section_of(verb), COMMANDS[verb]
    assert command.help, f"gsv {verb} has no help text"
    for option in options_of(command):
        assert option.help, f"gsv {verb} {option.opts[0]} has no help text"
        for name in (*option.opts, *option.secondary_opts):
            assert re.search(rf"`{re.escape(name)}[` ]", section), f"docs/CLI.md, gsv {verb}: {name} is not explained"


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_the_page_names_no_option_that_is_gone(verb):
    known = {name for option in options_of(COMMANDS[verb]) for name in (*option.opts, *option.secondary_opts)}
    named = set(re.findall(r"^\| `(-[\w-]+)", section_of(verb), re.M))
    assert named <= known | {"--help"}, f"docs/CLI.md, gsv {verb}: {sorted(named - known)} do not exist"


def test_the_page_names_no_verb_that_is_gone():
    named = set(re.findall(r"^## `gsv (\w+)`", CLI_PAGE.read_text(encoding="utf-8"), re.M))
    assert named == set(COMMANDS)


def test_the_tables_equal_the_code():
    text = CLI_PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "docs/CLI.md is behind the code: run make docs"


def make_targets() -> set[str]:
    """The targets of the Makefile that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_in_the_pages_exist(path):
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", path.read_text(encoding="utf-8"), re.S))
    targets = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    assert targets <= make_targets(), f"{name_of(path)}: no such target: {targets - make_targets()}"
    for verb, rest in re.findall(r"(?:^|[\s`])gsv ([a-z]+)\b([^\n`|>]*)", code):
        assert verb in COMMANDS, f"{name_of(path)}: no such verb: gsv {verb}"
        known = {name for option in options_of(COMMANDS[verb]) for name in (*option.opts, *option.secondary_opts)}
        used = set(re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", rest))
        assert used <= known | {"--help"}, f"{name_of(path)}: gsv {verb} has no {sorted(used - known)}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{name_of(path)}: dead link {target}"


def test_the_file_map_names_every_module():
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    missing = [
        name_of(path) for path in python_files(*PACKAGES) if path.name != "__init__.py" and path.name not in page
    ]
    assert not missing, f"docs/ARCHITECTURE.md does not say what these are for: {missing}"


def test_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_version_is_said_once_the_same_everywhere():
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version
    assert f"## [{version[1]}]" in changelog or "## [Unreleased]" in changelog
