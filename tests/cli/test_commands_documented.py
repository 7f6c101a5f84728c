"""`docs/commands.md` names every command, option and exit code that there is, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from middo.cli.main import Format, app
from middo.core import errors

DOC = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
SYNOPSIS = DOC.split("```")[1]


def commands(group: Any = None, name: str = "middo") -> Iterator[tuple[str, Any]]:
    tree: Any = group or typer.main.get_command(app)
    for word, command in tree.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


ALL = dict(commands())


def options(command: Any) -> set[str]:
    return {word for option in command.params for word in option.opts if word.startswith("--")}


def test_the_walk_finds_the_commands() -> None:
    assert {"middo run", "middo export", "middo config init", "middo doctor"} <= set(ALL)
    assert "--dry-run" in options(ALL["middo run"])


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_and_option_is_described(name: str) -> None:
    _, top, *rest = name.split()
    section = DOC.split(f"\n## middo {top}\n")[1].split("\n## ")[0]
    entry = SYNOPSIS.split(f"\nmiddo {top}")[1].split("\nmiddo ")[0]
    for sub in rest:
        assert f"`{sub}`" in section
        assert sub in entry
    for option in options(ALL[name]) - {"--json", "--help"}:
        assert option in section, f"{option} is not described"
        assert option in entry, f"{option} is not in the synopsis"


def test_every_command_is_described_once() -> None:
    headings = re.findall(r"^## (.+)$", DOC, re.M)
    used = re.findall(r"^middo ([a-z]+)", SYNOPSIS, re.M)
    assert sorted(headings) == sorted(set(headings))
    assert sorted(used) == sorted({name.split()[1] for name in ALL})


def test_no_option_is_described_that_is_not_there() -> None:
    known = {"--version", "--json", "--help"}.union(*map(options, ALL.values()))
    assert set(re.findall(r"--[a-z][a-z-]+", DOC)) <= known


def test_every_form_and_exit_code_is_named() -> None:
    export = DOC.split("\n## middo export\n")[1].split("\n## ")[0]
    assert all(f"`{form}`" in export for form in Format)
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MiddoError)
    }
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", DOC, re.M)} == {0, *codes}
