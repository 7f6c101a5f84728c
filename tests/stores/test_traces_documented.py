"""`docs/traces.md` names every table and column of `traces.db`, and its queries give answers."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from middo.core.trace import NodeEnded
from middo.stores.trace_schema import TRACE_MIGRATIONS
from middo.stores.traces import TraceStore
from tests.stores.test_traces import CALL, JUDGED, SETTLED

PAGE = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
DOC = PAGE.split("\n## index.db\n")[0]
QUERIES = re.findall(r"```sql\n(.*?)```", DOC, re.DOTALL)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small store in which each kind of event is."""
    store = TraceStore(tmp_path / "traces.db", print)
    store(CALL)
    store(replace(CALL, key="again", completion_tokens=12))
    store(replace(CALL, key="failed", status="failed", value=None, error="no JSON"))
    store(JUDGED)
    store(SETTLED)
    store(NodeEnded("refine", 0, 1000.0, 6.5, "done", "1 rejected"))
    store.close()
    return tmp_path / "traces.db"


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(file)
    yield opened
    opened.close()


@pytest.mark.parametrize("query", QUERIES, ids=[query.split(",")[0] for query in QUERIES])
def test_every_query_of_the_page_gives_rows(connection: sqlite3.Connection, query: str) -> None:
    rows = connection.execute(query).fetchall()
    assert rows
    # A path into JSON that leads nowhere is null, and no error.
    assert all(any(cell is not None for cell in column) for column in zip(*rows, strict=True))


def test_the_page_has_queries() -> None:
    assert len(QUERIES) == 5
    assert "```duckdb\nATTACH 'RUN/traces.db'" in DOC


def test_the_page_names_every_table_and_column(connection: sqlite3.Connection) -> None:
    sections = re.findall(
        r"^### `(\w+)`[^\n]*\n\n\| column.*?\n\|---.*?\n(.*?)\n\n", DOC, re.M | re.S
    )
    documented = {name: re.findall(r"^\| `(\w+)` \|", rows, re.M) for name, rows in sections}
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    made = {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        for (name,) in tables
    }
    assert documented == made


def test_the_view_has_the_columns_that_the_page_names(connection: sqlite3.Connection) -> None:
    view = [row[1] for row in connection.execute("PRAGMA table_info(calls_in_full)")]
    calls = [row[1] for row in connection.execute("PRAGMA table_info(calls)")]
    assert view == [*calls, "messages", "raw", "value"]
    assert all(f"`{name}`" in DOC.split("### `calls_in_full`")[1] for name in view[-3:])


def test_the_page_names_the_version_of_the_tables(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA user_version").fetchone() == (len(TRACE_MIGRATIONS),)
    assert f"`PRAGMA user_version`: {len(TRACE_MIGRATIONS)}." in DOC
