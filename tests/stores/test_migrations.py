"""Every schema of `ledger.db` that a released version wrote is brought up to date with its rows."""

import sqlite3
from pathlib import Path

import pytest

from middo.core.errors import MiddoError
from middo.stores.database import MIGRATIONS, open_database, read_database
from middo.stores.facts import Facts
from middo.stores.index import open_index
from middo.stores.index_tables import open_for_writing
from middo.stores.ledger import Ledger
from middo.stores.reviews import Reviews
from middo.stores.trace_schema import TRACE_MIGRATIONS

ROWS = {
    1: "INSERT INTO facts VALUES ('kept', '[1]')",
    2: """INSERT INTO units (key, role, round, sample_id, axis, attempt, model, prompt, prompt_hash,
        messages, status, value, raw, prompt_tokens, completion_tokens, seconds, created)
        VALUES ('k', 'rewriter', 0, 's', 'quality', 1, 'llamacpp:m', 'p', 'h', '[["user", "?"]]',
        'answered', '{"answer": "yes"}', '["yes"]', 7, 5, 0.5, 9.0)""",
    3: "INSERT INTO outcomes VALUES (0, 's', 'quality', 'rejected', 'why', '[]')",
    4: """INSERT INTO scores VALUES ('m', 's', '{}', NULL)""",
}
"""Schema -> a row that a version of that schema could write."""


def older(path: Path, schema: int) -> None:
    connection = sqlite3.connect(path)
    for number, migrate in enumerate(MIGRATIONS[:schema], 1):
        migrate(connection)
        if number in ROWS:
            connection.execute(ROWS[number])
    connection.execute(f"PRAGMA user_version={schema}")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("schema", range(1, len(MIGRATIONS) + 1))
def test_a_ledger_of_each_older_schema_keeps_its_rows(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "ledger.db"
    older(path, schema)
    database = open_database(path)
    assert database.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert Facts(database).get("kept") == [1]
    units, outcomes = Ledger(database).units(), Ledger(database).outcomes(0)
    assert [unit.value for unit in units] == ([{"answer": "yes"}] if schema >= 2 else [])
    assert [outcome.reason for outcome in outcomes] == (["why"] if schema >= 3 else [])
    assert database.query("SELECT count(*) FROM scores") == [(int(schema >= 4),)]
    assert Reviews(database).words(0) == []
    if 2 <= schema < 5:  # what schema 5 added is filled in from what was there
        assert (units[0].axes, units[0].held_tokens, units[0].usd) == ("quality", 12, 0.0)
        assert (units[0].source, Ledger(database).spent().calls) == ("live", 1)
    database.close()


@pytest.mark.parametrize("schema", range(1, len(MIGRATIONS)))
def test_a_reader_changes_no_older_ledger(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "ledger.db"
    older(path, schema)
    before = path.read_bytes()
    reader = read_database(path)
    assert Facts(reader).get("kept") == [1]
    reader.close()
    assert path.read_bytes() == before


def test_an_index_of_another_schema_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE samples (other TEXT)")
    connection.execute("PRAGMA user_version=99")
    connection.commit()
    connection.close()
    assert open_index(path) is None
    made = open_for_writing(path)
    assert made.execute("SELECT count(*) FROM versions").fetchone() == (0,)
    made.close()


def test_traces_of_a_newer_version_end_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    open_database(path, TRACE_MIGRATIONS).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={len(TRACE_MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(MiddoError, match=r"traces\.db: written by a newer Middo .* upgrade Middo"):
        read_database(path, TRACE_MIGRATIONS)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE facts SET value = '{half'",
        "UPDATE units SET messages = '[half'",
        "UPDATE outcomes SET proposals = '[1]'",
        "UPDATE outcomes SET axis = 'weird'",
    ],
)
def test_a_row_that_no_longer_parses_ends_in_one_line(tmp_path: Path, change: str) -> None:
    path = tmp_path / "ledger.db"
    older(path, len(MIGRATIONS))
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()
    database = read_database(path)
    with pytest.raises(MiddoError, match="holds a row that is not what was written") as refused:
        Facts(database).get("kept")
        Ledger(database).units()
        Ledger(database).outcomes(0)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    database.close()


def test_a_locked_ledger_is_told_of_and_free_again_it_takes_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    database = open_database(path, busy_seconds=0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(MiddoError, match="another program holds it .*go on with `middo resume`"):
        Facts(database).put("a", 1)
    holder.execute("ROLLBACK")
    holder.close()
    Facts(database).put("a", 2)
    assert Facts(database).get("a") == 2
    database.close()
