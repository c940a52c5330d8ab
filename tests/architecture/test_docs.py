# SPDX-License-Identifier: MIT
"""README and docs say what the code does: options, presets, commands, files and links."""

from __future__ import annotations

import re
from dataclasses import asdict

import click
import pytest

from docs.tables import with_tables
from gscodec.format.limits import Limits
from gscodec_cli.encoder.presets import PRESETS, PROFILES
from gscodec_cli.main import cli
from tests.architecture.sources import PACKAGES, ROOT, name_of, python_files

CLI_PAGE = ROOT / "docs" / "CLI.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").glob("*.md")])
ENCODE_CHOICES = {"preset": tuple(PRESETS), "profile": tuple(PROFILES)}
CONTEXT = click.Context(cli)
COMMANDS = {verb: command for verb in cli.list_commands(CONTEXT) if (command := cli.get_command(CONTEXT, verb))}


def section_of(heading: str) -> str:
    """The part of docs/CLI.md below one heading, up to the next of the same depth."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", CLI_PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"docs/CLI.md has no section '## {heading}'"
    return found[1]


def names_of(command: click.Command) -> set[str]:
    """Every name of every option of a command."""
    return {name for option in options_of(command) for name in (*option.opts, *option.secondary_opts)}


def options_of(command: click.Command) -> list[click.Option]:
    """The options of a command that are shown to people."""
    return [item for item in command.params if isinstance(item, click.Option) and not item.hidden]


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_every_option_is_documented_and_has_help(verb):
    section, command = section_of(f"`gsv {verb}`") + section_of("Limits"), COMMANDS[verb]
    assert command.help, f"gsv {verb} has no help text"
    silent = [option.opts[0] for option in options_of(command) if not option.help]
    assert not silent, f"gsv {verb}: no help text for {silent}"
    missing = [name for name in names_of(command) if not re.search(rf"`{re.escape(name)}[` ]", section)]
    assert not missing, f"docs/CLI.md, gsv {verb}: {sorted(missing)} are not explained"


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_the_page_names_no_option_that_is_gone(verb):
    rows = re.findall(r"^\| (`-.*?) \|", section_of(f"`gsv {verb}`"), re.M)
    named = {name for row in rows for name in re.findall(r"`(--?[a-zA-Z][\w-]*)", row)}
    gone = named - names_of(COMMANDS[verb])
    assert not gone, f"docs/CLI.md, gsv {verb}: {sorted(gone)} do not exist"


def test_the_limits_are_those_of_the_decoder():
    rows = re.findall(r"^\| `--limit-([\w-]+) N` \|.*\| 2\^(\d+) \|$", section_of("Limits"), re.M)
    named = {name.replace("-", "_"): 1 << int(power) for name, power in rows}
    assert named == asdict(Limits())


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
        known = names_of(COMMANDS[verb])
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


def test_the_choices_of_encode_are_those_of_the_trainer():
    choices = {
        option.name: option.type.choices for option in options_of(COMMANDS["encode"]) if option.name in ENCODE_CHOICES
    }
    assert {name: set(values) for name, values in choices.items()} == {k: set(v) for k, v in ENCODE_CHOICES.items()}


def test_the_python_example_of_the_readme_runs(first_vector, tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert code
    (tmp_path / "clip.gsv").write_bytes(first_vector.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1], "README.md", "exec"), {})
    assert "(200, 320, 3)" in capsys.readouterr().out
