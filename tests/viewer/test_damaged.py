"""Damages to the files of a finished run: each page and each command that looks ends in one line.

A page that can show what it shows without the damaged file does so.
"""

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from middo.cli.boundary import carry_out
from middo.cli.main import parse
from middo.core.errors import MiddoError

from .conftest import served

ARCHIVE = Path(__file__).parent.parent / "compatibility" / "0.1.0" / "runs.tar.xz"
UNEXPECTED = "could not be made"
"""Of the page for a failure that nobody expected."""

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two rounds."""
    place = tmp_path_factory.mktemp("whole")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    return place / "finished"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(range(256)) * 20 + b"PAR1")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def page(path: Path) -> None:
    """Overwrite all of a database but its first page."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def holds(value: Any, path: Path) -> None:
    """Replace a JSON file by another value."""
    path.write_text(json.dumps(value), encoding="utf-8")


def with_key(key: str, value: Any, path: Path) -> None:
    """Replace one value of a JSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    holds({**document, key: value}, path)


def sql(statement: str, value: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, (value,)).rowcount > 0


def proposals(key: str, value: Any, path: Path) -> None:
    """Replace one value of every proposal in the ledger."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, text in connection.execute("SELECT sample_id, proposals FROM outcomes"):
            rows = [{**row, key: value} for row in json.loads(text)]
            connection.execute(
                "UPDATE outcomes SET proposals = ? WHERE sample_id = ?", (json.dumps(rows), name)
            )


PROPOSALS = "UPDATE outcomes SET proposals = ?"
FATES = "UPDATE facts SET value = ? WHERE name = 'round.0.fates'"
SEEN = "UPDATE facts SET value = ? WHERE name = 'rounds_seen'"
SET_ASIDE = "UPDATE facts SET value = ? WHERE name = 'set_aside'"
OTHERS: tuple[Any, ...] = (None, 7, "x", [], [1], {}, {"a": 1})
PARTS = ("attempt", "checks", "critique", "id", "messages", "proof", "reason", "verdict")

FILES = (
    *("rounds/0/signals.parquet", "rounds/0/embeddings.parquet", "rounds/0/diagnosis.json"),
    *("rounds/0/evaluation.json", "rounds/0/dataset/part-00000.parquet", "holdout/manifest.json"),
    *("rounds/0/dataset/manifest.json", "holdout/part-00000.parquet", "run.json", "config.yaml"),
)
CASES: list[tuple[str, str, Damage]] = [
    *((name, how.__name__, how) for name in FILES for how in (cut, garbage, emptied)),
    *(
        (name, how.__name__, how)
        for name in ("ledger.db", "traces.db", "index.db")
        for how in (page, cut, garbage, emptied)
    ),
    *(
        (name, f"is {value!r}", partial(holds, value))
        for name in ("rounds/0/diagnosis.json", "rounds/0/evaluation.json")
        for value in OTHERS
    ),
    *(
        ("rounds/0/diagnosis.json", f"{key} is {value!r}", partial(with_key, key, value))
        for key in ("flags", "axes", "thresholds", "calibration", "clusters", "plan", "cautions")
        for value in OTHERS
    ),
    *(
        ("ledger.db", f"{part} is {value!r}", partial(proposals, part, value))
        for part in PARTS
        for value in OTHERS
    ),
    *(
        ("ledger.db", f"{statement.split()[1]} {number}", partial(sql, statement, value))
        for number, statement in enumerate((PROPOSALS, FATES, SEEN, SET_ASIDE))
        for value in ("{", "null", "7", '"x"', "[]", "[1]", "[{}]", "{}", '{"a": 1}', "[" * 9999)
    ),
]
"""File, what is done to it in words, and the change."""
EVERY = 8
"""The default run takes every so many-th case."""


def sampled() -> list[Any]:
    return [
        pytest.param(
            *(name, damage),
            id=f"{name} {words}",
            marks=pytest.mark.torture if number % EVERY else (),
        )
        for number, (name, words, damage) in enumerate(CASES)
    ]


def flagged(folder: Path) -> list[str]:
    """Return a sample whose proposal was accepted and one with a rejected one."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        rows = connection.execute("SELECT min(sample_id) FROM outcomes GROUP BY fate")
        return [str(name) for (name,) in rows]


@pytest.mark.parametrize(("name", "damage"), sampled())
def test_pages_and_commands_end_in_one_line(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Damage,
) -> None:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    samples = flagged(whole)
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    damage(folder / name)

    try:
        for browser in served(folder):
            for address in (
                *("/", "/progress", "/samples", "/rounds/0", "/rounds/1", "/compare", "/review"),
                *(f"/samples/{sample}" for sample in samples),
            ):
                answer = browser.get(address)
                assert answer.status_code in (200, 404, 500), address
                assert UNEXPECTED not in answer.text, address
                assert "Traceback" not in answer.text, address
    except MiddoError as refused:  # the viewer does not even open it
        assert "\n" not in str(refused)

    for words in (
        *(["status", "run"], ["list", "--root", "."], ["trace", "run"]),
        *(["explain", "run", sample] for sample in samples),
        ["report", "run", "--to", "report"],
    ):
        code = carry_out(words, parse)
        said = capsys.readouterr().err.strip()
        assert "internal error" not in said, words
        assert code == 0 or (said and "\n" not in said), words
