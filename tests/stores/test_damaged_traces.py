"""A trace store whose texts were damaged: one clear line, whatever is asked of it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from middo.core.errors import MiddoError
from middo.stores.trace_reader import TraceReader, open_traces
from middo.stores.traces import TraceStore
from tests.stores.test_traces import CALL, JUDGED


@pytest.mark.parametrize("held", ["{", "[" * 100_000])
@pytest.mark.parametrize(
    ("change", "ask"),
    [
        ("UPDATE verdicts SET numbers = ?", TraceReader.judged),
        (
            "UPDATE texts SET text = ? WHERE hash IN (SELECT value_hash FROM calls)",
            TraceReader.calls,
        ),
    ],
)
def test_json_that_is_none_is_one_line(
    tmp_path: Path, held: str, change: str, ask: Callable[[TraceReader], object]
) -> None:
    path = tmp_path / "traces.db"
    store = TraceStore(path, pytest.fail)
    store(CALL)
    store(JUDGED)
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute(change, (held,)).rowcount > 0
    connection.close()
    reader = open_traces(path)
    assert reader is not None
    with pytest.raises(MiddoError, match="traces.db holds a text that is no JSON") as caught:
        ask(reader)
    assert "\n" not in str(caught.value)
    reader.close()
