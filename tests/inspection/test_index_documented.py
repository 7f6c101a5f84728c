"""`docs/traces.md` names every table and column of `index.db`, and its queries give answers."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from middo.core.records import Axis
from middo.stores.index import INDEX_DB
from tests.inspection.folder import Folder, numbered, proposal, rewritten, sample

PAGE = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
DOC = PAGE.split("\n## index.db\n")[1].split("\n## OpenTelemetry\n")[0]
QUERIES = [
    query.strip()
    for block in re.findall(r"```sql\n(.*?)```", DOC, re.DOTALL)
    for query in block.split(";")
    if query.strip()
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The index of a run in which a sample was flagged for quality and rewritten."""
    folder = Folder(tmp_path / "run")
    bad = sample("Give me a recipe", "Boil it.", 9)
    made = rewritten(bad, "Give me a recipe", "Boil the potatoes for 20 minutes.", 0)
    rows = numbered(4)
    folder.dataset(0, [*rows, bad])
    scores = {"quality": {one.id: 0.9 for one in rows} | {bad.id: 0.1}}
    folder.diagnosis(0, scores, [(bad.id, Axis.QUALITY, "more like a broken answer")])
    tried = [proposal(bad, made, Axis.QUALITY, "accepted")]
    folder.outcome(0, bad, Axis.QUALITY, "accepted", proposals=tried)
    folder.dataset(1, [*rows, made])
    folder.diagnosis(1, {"quality": {one.id: 0.9 for one in rows} | {made.id: 0.8}})
    opened = sqlite3.connect(folder.path / INDEX_DB)
    opened.execute("ATTACH ? AS ledger", (str(folder.path / "ledger.db"),))
    yield opened
    opened.close()


@pytest.mark.parametrize("query", QUERIES, ids=[query.split("\n")[0] for query in QUERIES])
def test_every_query_of_the_page_gives_rows(connection: sqlite3.Connection, query: str) -> None:
    rows = connection.execute(query).fetchall()
    assert rows
    assert all(any(cell is not None for cell in column) for column in zip(*rows, strict=True))


def test_the_page_has_queries() -> None:
    assert len(QUERIES) == 4


def test_the_page_names_every_table_and_its_columns(connection: sqlite3.Connection) -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", DOC, re.M))
    made = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view')"
        )
        if not name.startswith(("texts_", "sqlite_"))
    ]
    assert set(documented) == set(made)
    for name in {*made} - {"texts", "signals", "measured"}:  # those three are told by their source
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        assert re.findall(r"`(\w+)`", documented[name])[: len(columns)]
        missing = [column for column in columns if f"`{column}`" not in documented[name]]
        assert not missing, (name, missing)
