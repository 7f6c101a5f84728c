"""A trace store that has no tables yet, or is damaged, ends in one line or in nothing at all."""

import sqlite3
from pathlib import Path

import pytest

from middo.core.errors import MiddoError
from middo.stores.trace_reader import known_in, open_traces
from middo.stores.traces import TraceStore
from tests.stores.test_traces import CALL


@pytest.mark.parametrize("wal", [False, True])
def test_a_store_without_tables_is_none_yet(tmp_path: Path, wal: bool) -> None:
    path = tmp_path / "traces.db"
    path.touch()
    if wal:  # as its writer leaves it between its making and its tables
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        assert path.stat().st_size
    assert open_traces(path) is None
    assert known_in(path) == (set(), set())


def test_a_damaged_store_ends_in_one_line(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "traces.db", print)
    store(CALL)
    store.close()
    connection = sqlite3.connect(store._path)
    connection.execute("DROP TABLE calls")
    connection.commit()
    connection.close()
    reader = open_traces(store._path)
    assert reader is not None
    with pytest.raises(MiddoError, match=r"traces\.db: can't be read \(no such table: ") as refused:
        reader.calls()
    assert "\n" not in str(refused.value)
    reader.close()
    assert known_in(store._path) is None
