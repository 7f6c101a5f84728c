"""The table of the corpus: `expected.toml` as cases, and how a case is imported.

[name of a file below `files/`, or of a builder in `made.py`]
why = what the case is for
error = the one line of a file that can't be used; FILE stands for its path
form, rows = the form that is detected, and how many rows the input holds
quarantined = place and reason of every row that can't be used: `3: empty answer`;
              `4-9: empty answer` stands for six rows
refused = the one line that a run says where too many rows are quarantined
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from middo.core.records import Sample
from middo.formats.importing import Import, stream_data

from .made import MADE

HERE = Path(__file__).parent
FILES = HERE / "files"
_RANGE = re.compile(r"(\d+)-(\d+): (.*)")


@dataclass(frozen=True)
class Case:
    name: str
    why: str
    form: str = ""
    rows: int = 0
    quarantined: tuple[str, ...] = ()
    error: str | None = None
    refused: str | None = None

    def path(self, folder: Path) -> str:
        """Return what a user would name; what is made at test time is made in `folder`."""
        builder = MADE.get(self.name)
        return str(FILES / self.name if builder is None else builder(folder))


@dataclass(frozen=True)
class Outcome:
    samples: list[Sample]
    found: Import

    @property
    def quarantined(self) -> list[str]:
        """Place and reason of each quarantined row; the file's own name is left out."""
        return [f"{self._place(row.source)}: {row.reason}" for row in self.found.quarantined]

    def _place(self, source: str) -> str:
        name, _, place = source.rpartition(":")
        files = {sample.source.rpartition(":")[0] for sample in self.samples}
        return source if len(files | {name}) > 1 else place


def imported(path: str) -> Outcome:
    """Import a case; raises what the import raises."""
    found = stream_data(path)
    return Outcome(list(found), found)


def _expanded(lines: list[str]) -> tuple[str, ...]:
    out: list[str] = []
    for line in lines:
        match = _RANGE.fullmatch(line)
        if match is None:
            out.append(line)
            continue
        first, last, reason = match.groups()
        out += [f"{number}: {reason}" for number in range(int(first), int(last) + 1)]
    return tuple(out)


def _cases() -> dict[str, Case]:
    table = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
    return {
        name: Case(name, **{**row, "quarantined": _expanded(row.get("quarantined", []))})
        for name, row in table.items()
    }


CASES = _cases()
"""Name -> case."""
