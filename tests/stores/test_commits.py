"""Many write at once, each hears of its own row, and what has returned is on the disk."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from middo.core.errors import StorageError
from middo.stores.commits import Commits
from middo.stores.database import Database, open_database, read_database

INSERT = "INSERT OR IGNORE INTO facts VALUES (?, ?)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def transactions(database: Database) -> list[str]:
    """Return a list that the statements of the writing connection are noted in."""
    said: list[str] = []
    with database.transaction() as connection:
        connection.set_trace_callback(said.append)
    said.clear()
    return said


async def test_what_has_returned_is_durable(database: Database, tmp_path: Path) -> None:
    commits = Commits(database)
    other = read_database(tmp_path / "ledger.db")

    async def write(number: int) -> None:
        assert await commits.write(INSERT, (f"n{number}", "1"))
        assert other.query("SELECT count(*) FROM facts WHERE name = ?", f"n{number}") == [(1,)]

    await asyncio.gather(*(write(number) for number in range(200)))
    other.close()


async def test_many_at_once_share_few_syncs_in_their_order(database: Database) -> None:
    commits, said = Commits(database), transactions(database)
    await asyncio.gather(*(commits.write(INSERT, (f"n{i}", "1")) for i in range(100)))
    assert said.count("COMMIT") == 1
    assert [row[0] for row in database.query("SELECT name FROM facts ORDER BY rowid")] == [
        f"n{i}" for i in range(100)
    ]


async def test_a_lone_write_waits_for_nobody(database: Database) -> None:
    commits, said = Commits(database), transactions(database)
    for number in range(3):
        assert await commits.write(INSERT, (f"n{number}", "1"))
        assert said.count("COMMIT") == number + 1


async def test_a_row_that_is_there_is_told(database: Database) -> None:
    commits = Commits(database)
    both = await asyncio.gather(*(commits.write(INSERT, ("a", text)) for text in ("1", "2")))
    assert both == [True, False]
    assert database.query("SELECT value FROM facts") == [("1",)]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, sqlite3.IntegrityError),
        ("\ud800", UnicodeEncodeError),
        (2**70, OverflowError),
        ([], sqlite3.Error),
    ],
)
async def test_one_that_is_refused_loses_no_other(
    database: Database, value: object, error: type[Exception]
) -> None:
    commits = Commits(database)
    found = await asyncio.gather(
        commits.write(INSERT, ("before", "1")),
        commits.write("INSERT INTO facts VALUES (?, ?)", ("bad", value)),
        commits.write(INSERT, ("after", "1")),
        return_exceptions=True,
    )
    assert found[0] is found[2] is True
    assert isinstance(found[1], error)
    assert database.query("SELECT name FROM facts ORDER BY rowid") == [("before",), ("after",)]


async def test_a_group_that_can_not_be_committed_fails_whole(tmp_path: Path) -> None:
    plain = sqlite3.connect(tmp_path / "l.db", isolation_level=None, check_same_thread=False)
    plain.execute("PRAGMA foreign_keys=ON")
    plain.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    plain.execute("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    database = Database(plain)
    commits = Commits(database)
    found = await asyncio.gather(
        commits.write("INSERT INTO parent VALUES (?)", (1,)),
        commits.write("INSERT INTO child VALUES (?)", (2,)),  # refused by COMMIT
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [sqlite3.IntegrityError] * 2
    assert database.query("SELECT * FROM parent") == []
    assert await commits.write("INSERT INTO parent VALUES (?)", (2,))
    database.close()


async def test_a_caller_that_gives_up_stops_no_other(database: Database) -> None:
    commits = Commits(database)
    first = asyncio.create_task(commits.write(INSERT, ("first", "1")))
    second = asyncio.create_task(commits.write(INSERT, ("second", "1")))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert await commits.write(INSERT, ("third", "1"))
    assert database.query("SELECT count(*) FROM facts") == [(3,)]


def test_a_later_event_loop_can_write_too(database: Database) -> None:
    commits = Commits(database)

    async def left_behind() -> None:
        asyncio.get_running_loop().create_task(commits.write(INSERT, ("early", "1")))
        await asyncio.sleep(0)

    asyncio.run(left_behind())
    assert asyncio.run(commits.write(INSERT, ("late", "1")))
    assert ("late",) in database.query("SELECT name FROM facts")


async def test_a_full_disk_is_told_to_all_of_a_group_and_nothing_of_it_is_there(
    database: Database,
) -> None:
    with database.transaction() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + 1}")
    commits = Commits(database)
    found = await asyncio.gather(
        commits.write(INSERT, ("small", "1")),
        commits.write(INSERT, ("large", "x" * 100_000)),
        commits.write(INSERT, ("after", "1")),
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [StorageError] * 3
    assert "ledger.db: can't be written (database or disk is full)" in str(found[0])
    assert database.query("SELECT * FROM facts") == []
    with pytest.raises(StorageError, match="full"):
        database.check()
    assert await commits.write(INSERT, ("small", "1"))


async def test_nobody_waits_for_a_thread_that_can_not_be_had(database: Database) -> None:
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    asyncio.get_running_loop().set_default_executor(ended)
    with pytest.raises(RuntimeError, match="shutdown"):
        await asyncio.wait_for(Commits(database).write(INSERT, ("a", "1")), 5)
