"""One file per run: migrated once, whole transactions, and clear words where it can't be used."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from middo.core.errors import MiddoError, StorageError
from middo.stores.database import MIGRATIONS, Database, open_database, read_database
from middo.stores.facts import Facts
from middo.stores.lock import run_lock


def _tables(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    connection.close()
    return found


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    connection.close()


def test_migrations_run_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first = open_database(path)
    Facts(first).put("a", 1)
    assert first.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
    first.close()
    before = _tables(path)
    assert set(before) == {"facts", "units", "outcomes", "scores", "reviews"}
    second = open_database(path)
    assert Facts(second).get("a") == 1
    second.close()
    assert _tables(path) == before


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    MIGRATIONS[0](connection)
    connection.execute("INSERT INTO facts VALUES ('kept', '[1]')")
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    database = open_database(path)
    assert Facts(database).get("kept") == [1]
    assert database.query("SELECT count(*) FROM outcomes") == [(0,)]
    database.close()


def test_a_committed_row_is_synced_to_the_disk(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    with database.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]  # FULL
    database.close()


def test_reading_does_not_wait_for_a_writer_and_writes_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    with database.transaction() as connection:
        connection.execute("INSERT INTO facts VALUES ('a', '1')")
        with ThreadPoolExecutor(1) as other:  # as long as the transaction is open
            seen = other.submit(database.query, "SELECT * FROM facts").result(timeout=10)
        assert seen == []
    assert database.query("SELECT * FROM facts") == [("a", "1")]
    with pytest.raises(MiddoError, match="readonly"):
        database.query("INSERT INTO facts VALUES ('b', '2')")
    database.close()
    assert not (tmp_path / "ledger.db-wal").exists()


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    with pytest.raises(RuntimeError, match="half way"), database.transaction() as connection:
        connection.execute("INSERT INTO facts VALUES ('a', '1')")
        raise RuntimeError("half way")
    assert database.query("SELECT * FROM facts") == []
    with database.transaction() as connection:
        connection.execute("INSERT INTO facts VALUES ('b', '2')")
    assert database.query("SELECT * FROM facts") == [("b", "2")]
    database.close()


def test_a_commit_that_fails_leaves_a_usable_connection(tmp_path: Path) -> None:
    plain = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    plain.execute("PRAGMA foreign_keys=ON")
    database = Database(plain)
    with database.transaction() as connection:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
        )
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute("INSERT INTO child VALUES (1)")  # refused by COMMIT
    with database.transaction() as connection:
        connection.execute("INSERT INTO parent VALUES (1)")
    assert database.query("SELECT (SELECT count(*) FROM child), id FROM parent") == [(0, 1)]
    database.close()


def test_readers_see_what_is_committed_and_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd #1? 100%" / "ledger.db"
    path.parent.mkdir()
    writer = open_database(path)
    reader = read_database(path)
    Facts(writer).put("a", "now")
    assert Facts(reader).get("a") == "now"
    with pytest.raises(StorageError, match="readonly"):
        Facts(reader).put("a", "changed")
    assert Facts(writer).get("a") == "now"
    reader.close()
    writer.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_database(path).close()
    _newer(path)
    for opened in (open_database, read_database):
        with pytest.raises(MiddoError, match=r"ledger\.db: written by a newer Middo \(schema 7\)"):
            opened(path)


def test_a_broken_file_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all " * 100)
    for opened in (open_database, read_database):
        with pytest.raises(MiddoError, match="not a readable SQLite file") as refused:
            opened(path)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_missing_table_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    database = read_database(path)
    with pytest.raises(MiddoError, match=r"ledger\.db: can't be read \(no such table: facts\)"):
        Facts(database).get("a")
    database.close()


def test_a_reader_leaves_nothing_behind_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_database(path).close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    reader = read_database(path)
    assert Facts(reader).get("a") is None
    reader.close()
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.db"]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_reader_beside_a_writer_sees_its_rows_and_cleans_up_when_it_is_the_last(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    open_database(path).close()
    reader = read_database(path)
    assert Facts(reader).get("a") is None
    writer = open_database(path)
    Facts(writer).put("a", 1)
    assert Facts(reader).get("a") == 1
    writer.close()
    assert Facts(reader).get("a") == 1
    reader.close()
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.db"]
    again = read_database(path)
    assert Facts(again).get("a") == 1
    again.close()


def test_a_reader_of_a_living_run_cleans_up_when_it_is_the_last(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with run_lock(tmp_path):
        writer = open_database(path)
        Facts(writer).put("a", 1)
        assert path.with_name("ledger.db-wal").stat().st_size
        reader = read_database(path)
        assert Facts(reader).get("a") == 1
        writer.close()
    assert Facts(reader).get("a") == 1
    reader.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ledger.db", "run.lock"]
    again = read_database(path)
    assert Facts(again).get("a") == 1
    again.close()


def test_a_reader_does_not_tidy_up_after_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "killed").mkdir()
    writer = open_database(tmp_path / "run" / "ledger.db")
    Facts(writer).put("a", 1)
    for name in ("ledger.db", "ledger.db-wal"):
        shutil.copy(tmp_path / "run" / name, tmp_path / "killed")
    writer.close()
    files = tmp_path / "killed" / "ledger.db", tmp_path / "killed" / "ledger.db-wal"
    before = [path.read_bytes() for path in files]
    reader = read_database(files[0])
    assert Facts(reader).get("a") == 1
    reader.close()
    assert [path.read_bytes() for path in files] == before


def test_what_is_not_there_ends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(MiddoError, match="is it a run folder"):
        read_database(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(MiddoError, match="can't be opened"):
        open_database(tmp_path)
