"""The trace store: redacted, each text once, never in the way of a run, readable all the while."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from middo.core.errors import MiddoError
from middo.core.redaction import REDACTED
from middo.core.trace import Call, Judged, NodeBegan, NodeEnded, Settled
from middo.stores import traces
from middo.stores.database import read_database
from middo.stores.trace_reader import Sums, TraceReader, open_traces
from middo.stores.trace_schema import TRACE_MIGRATIONS
from middo.stores.traces import TraceStore
from tests.stores.rights import without_rights

KEY = "sk-proj-0123456789abcdefghij"
SYSTEM = "You rewrite one example. " * 40
CALL = Call(
    key="k0",
    round=0,
    sample_id="5a3f",
    axes="quality+complexity",
    agent="rewriter",
    attempt=1,
    source="live",
    model="llamacpp:smollm2-135m",
    prompt="rewrite_answer",
    prompt_version=3,
    prompt_hash="ab12",
    messages=[["system", SYSTEM], ["user", "Name a colour."]],
    status="answered",
    value={"answer": "Blue.", "numbers": [1, 2.5, None, True]},
    raw=['{"answer": "Blue."}'],
    error=None,
    prompt_tokens=210,
    completion_tokens=None,
    usd=0.0,
    began=1000.5,
    seconds=1.25,
)
JUDGED = Judged(
    round=0,
    sample_id="5a3f",
    attempt=1,
    proposal_id="9c0d",
    node="checks",
    gate="length",
    passed=False,
    numbers={"old": 40, "new": 4, "ratio": 0.1, "low": 0.2, "high": 5.0},
    reason="the answer is much shorter",
    at=1002.0,
)
SETTLED = Settled(0, "5a3f", "quality", "rejected", "length: much shorter", 3, 1000.0, 4.5)


class Notes:
    """Keeps what the store says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def store(tmp_path: Path, notes: Notes) -> Iterator[TraceStore]:
    opened = TraceStore(tmp_path / "traces.db", notes)
    yield opened
    opened.close()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Callable[[], TraceReader]]:
    opened: list[TraceReader] = []

    def open_() -> TraceReader:
        reader = open_traces(tmp_path / "traces.db")
        assert reader is not None
        opened.append(reader)
        return reader

    yield open_
    for reader in opened:
        reader.close()


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    database = read_database(path, TRACE_MIGRATIONS)
    try:
        return database.query(sql)
    finally:
        database.close()


def test_events_come_back_as_they_were_told(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    failed = replace(CALL, key="k1", status="failed", value=None, raw=[], error="no JSON", usd=None)
    told = (NodeBegan("refine", 0, 999.0), CALL, failed, JUDGED, SETTLED)
    for event in told:
        store(event)
    store.flush()
    reader = read()
    assert reader.calls() == [CALL, failed]
    assert reader.judged() == [JUDGED]
    assert reader.settled() == [SETTLED]
    assert reader.nodes() == [NodeBegan("refine", 0, 999.0)]
    store(NodeEnded("refine", 0, 999.0, 6.5, "done", "1 rejected"))
    store.flush()
    assert reader.nodes() == [NodeEnded("refine", 0, 999.0, 6.5, "done", "1 rejected")]


def test_an_event_that_is_told_again_adds_nothing(
    store: TraceStore, read: Callable[[], TraceReader], tmp_path: Path
) -> None:
    for _ in range(2):
        for event in (CALL, JUDGED, SETTLED, NodeBegan("gate", 1, 5.0)):
            store(event)
        store.flush()
    store(replace(CALL, messages=[["user", "other words under the same key"]]))
    store.flush()
    assert read().calls() == [CALL]
    counts = "SELECT (SELECT count(*) FROM verdicts), (SELECT count(*) FROM settled), count(*)"
    assert _rows(tmp_path / "traces.db", f"{counts} FROM nodes") == [(1, 1, 1)]


def test_a_text_is_stored_once_however_many_calls_hold_it(
    store: TraceStore, read: Callable[[], TraceReader], tmp_path: Path
) -> None:
    for attempt in range(1, 11):
        own = [["system", SYSTEM], ["user", f"attempt {attempt}"]]
        store(replace(CALL, key=f"k{attempt}", attempt=attempt, messages=own))
    store.flush()
    path = tmp_path / "traces.db"
    held = "SELECT count(*) FROM texts WHERE text = "
    assert _rows(path, f"{held}'{SYSTEM}'") == [(1,)]
    assert _rows(path, "SELECT count(*) FROM texts") == [
        (1 + 10 + 2,)
    ]  # value and raw are one each
    assert {call.messages[0][1] for call in read().calls()} == {SYSTEM}
    store.close()
    again = TraceStore(path, print)  # another process remembers nothing of what is there
    again(replace(CALL, key="later"))
    again.close()
    assert _rows(path, f"{held}'{SYSTEM}'") == [(1,)]


def test_no_key_reaches_the_file(
    store: TraceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "quite-an-ordinary-word")
    for secret in (KEY, "quite-an-ordinary-word"):
        store(
            replace(
                CALL,
                key=secret[:4],
                model=f"openai:{secret}",
                messages=[["user", f"{secret} {SYSTEM}"]],
                value={secret: [{"deep": f"a {secret}"}]},
                raw=[f"raw {secret}"],
                error=f"401 for {secret}",
            )
        )
        store(replace(JUDGED, gate=secret[:4], numbers={"lost": [secret]}, reason=f"lost {secret}"))
        store(replace(SETTLED, sample_id=secret[:4], reason=f"failed: {secret}"))
        store(NodeEnded("refine", 0, float(len(secret)), 1.0, "failed", f"stopped: {secret}"))
    store.close()
    held = (tmp_path / "traces.db").read_bytes()
    assert KEY.encode() not in held
    assert b"quite-an-ordinary-word" not in held
    assert held.count(REDACTED.encode()) > 10


def test_a_key_that_is_learned_later_is_kept_out_of_texts_seen_before(
    store: TraceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = replace(JUDGED, reason="look at hunter2-and-more")
    store(seen)
    store.flush()
    monkeypatch.setenv("LATE_TOKEN", "hunter2-and-more")
    store(replace(seen, attempt=2))
    store.flush()
    reasons = _rows(tmp_path / "traces.db", "SELECT reason FROM verdicts ORDER BY attempt")
    assert reasons == [("look at hunter2-and-more",), (f"look at {REDACTED}",)]


@pytest.mark.parametrize(
    "text",
    ["lone \ud800 surrogate", "a\0b\0", "x" * 1_000_000, "\u202eright to left", "", "日本語 🎈"],
    ids=["surrogate", "nul", "megabyte", "bidi", "empty", "wide"],
)
def test_any_text_can_be_kept(
    store: TraceStore, read: Callable[[], TraceReader], notes: Notes, text: str
) -> None:
    call = replace(
        CALL, messages=[["user", text]], value={"answer": text}, raw=[text], error=text, model=text
    )
    judged = replace(JUDGED, reason=text, numbers={"lost": [text]})
    settled = replace(SETTLED, reason=text)
    for event in (call, judged, settled):
        store(event)
    store.flush()
    reader = read()
    assert reader.calls() == [call]
    assert reader.judged() == [judged]
    assert reader.settled() == [settled]
    assert notes.lines == []


def test_calls_are_found_by_what_they_are(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    store(CALL)
    store(replace(CALL, key="k1", agent="critic", seconds=9.0))
    store(replace(CALL, key="k2", sample_id="77", status="failed", value=None))
    store(replace(CALL, key="k3", round=1))
    store.flush()
    reader = read()

    def keys(**wanted: object) -> list[str]:
        return [call.key for call in reader.calls(**wanted)]  # type: ignore[arg-type]

    assert keys() == ["k0", "k1", "k2", "k3"]
    assert keys(round=1) == ["k3"]
    assert keys(agent="critic") == ["k1"]
    assert keys(sample_id="77") == ["k2"]
    assert keys(failed=True) == ["k2"]
    assert keys(agent="rewriter", round=0) == ["k0", "k2"]
    assert keys(slowest=2) == ["k1", "k0"]
    assert keys(slowest=9, agent="rewriter") == ["k0", "k2", "k3"]
    last = reader.newest()
    assert keys(after=last) == keys(until=0) == []
    store(replace(CALL, key="k4"))
    store.flush()
    assert keys(after=last) == ["k4"]
    assert keys(after=1, until=last) == ["k1", "k2", "k3"]
    assert keys(sample_id="7") == []


def test_calls_can_be_read_without_their_texts(
    store: TraceStore, read: Callable[[], TraceReader], tmp_path: Path
) -> None:
    store(CALL)
    store.close()
    with closing(sqlite3.connect(tmp_path / "traces.db")) as file:
        for table in ("call_messages", "call_answers", "texts"):
            file.execute(f"DELETE FROM {table}")
        file.commit()
    assert read().calls(texts=False) == [replace(CALL, messages=[], raw=[], value=None)]


def test_sums_are_made_of_the_calls_that_match(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    calls = [
        replace(CALL, source="replayed"),
        replace(CALL, key="k1", agent="critic", usd=0.5, completion_tokens=7, seconds=2.0),
        replace(CALL, key="k2", agent="critic", status="failed", usd=None, prompt_tokens=None),
    ]
    for call in calls:
        store(call)
    store.flush()
    reader = read()
    assert reader.sums(agent="critic") == Sums(2, 0, 1, 210 + 7, 1, 0.5, 1, 3.25)
    assert reader.sums() == Sums(3, 1, 1, 2 * 210 + 7, 2, 0.5, 1, 4.5)
    assert reader.sums(round=7) == Sums(0, 0, 0, 0, 0, 0.0, 0, 0.0)


def test_what_the_gates_said_is_found_by_round_and_sample(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    later, other = replace(JUDGED, round=1), replace(JUDGED, sample_id="77")
    again = replace(JUDGED, node="critique", passed=True)  # the same check, once more
    for event in (JUDGED, later, other, again, SETTLED, replace(SETTLED, round=1)):
        store(event)
    store.flush()
    reader = read()
    assert reader.judged(sample_id="5a3f") == [JUDGED, later, again]
    assert reader.judged(0) == [JUDGED, other, again]
    assert reader.judged(1, "5a3f") == [later]
    assert reader.settled(1) == [replace(SETTLED, round=1)]


def test_a_reader_sees_new_events_while_others_are_written(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    store(CALL)
    store.flush()
    reader = read()
    seen = 0
    for number in range(1, 400):
        store(replace(CALL, key=f"k{number}"))
    deadline = time.monotonic() + 10
    while seen < 400 and time.monotonic() < deadline:
        seen = len(reader.calls())
    assert seen == 400


def test_there_is_no_file_before_the_first_event(tmp_path: Path, notes: Notes) -> None:
    store = TraceStore(tmp_path / "traces.db", notes)
    store.flush()
    store.close()
    assert open_traces(tmp_path / "traces.db") is None
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_leaves_a_file_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    code = f"""
        import itertools, pathlib, sys
        from dataclasses import replace
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_traces import CALL
        from middo.stores.traces import TraceStore
        store = TraceStore(pathlib.Path({str(path)!r}), print)
        for number in itertools.count():
            store(replace(CALL, key=f"k{{number}}"))
            if number == 600:
                store.flush()
                print("written", flush=True)
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    reader = open_traces(path)
    assert reader is not None
    calls = reader.calls()
    reader.close()
    assert len(calls) > 600
    assert calls == [replace(CALL, key=f"k{number}") for number in range(len(calls))]
    store = TraceStore(path, print)
    store(replace(CALL, key="after"))
    store.close()
    assert _rows(path, "SELECT count(*) FROM calls") == [(len(calls) + 1,)]


def _locked(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_what_waits_for_a_locked_file_is_written_later(
    store: TraceStore,
    notes: Notes,
    read: Callable[[], TraceReader],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(traces, "AGAIN_SECONDS", 0.02)
    store(CALL)
    store.flush()
    other = _locked(tmp_path / "traces.db")
    begun = time.monotonic()
    store(replace(CALL, key="k1"))
    store(replace(CALL, key="k2"))
    assert time.monotonic() - begun < 0.02
    store.flush()  # returns although nothing can be written
    store.flush()
    assert len(notes.lines) == 1
    assert notes.lines[0] == (
        f"{tmp_path / 'traces.db'}: can't be written (database is locked); free space on the disk,"
        " or close the program that holds the file; the run goes on"
    )
    other.execute("ROLLBACK")
    other.close()
    deadline = time.monotonic() + 10
    while len(read().calls()) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [call.key for call in read().calls()] == ["k0", "k1", "k2"]
    store.close()
    assert len(notes.lines) == 1


def test_what_could_not_be_written_is_counted_at_the_end(
    store: TraceStore, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "BUSY_SECONDS", 0.02)
    store(CALL)
    store.flush()
    other = _locked(tmp_path / "traces.db")
    for number in range(1_200):
        store(replace(CALL, key=f"lost {number}"))
    store.close()
    other.close()
    assert len(notes.lines) == 2
    assert "can't be written (database is locked)" in notes.lines[0]
    assert notes.lines[1] == (
        f"{tmp_path / 'traces.db'}: 1,200 events are missing from the traces; the data is not"
        " affected"
    )
    assert _rows(tmp_path / "traces.db", "SELECT key FROM calls") == [("k0",)]


def test_a_full_disk_is_told_once_and_the_file_stays_whole(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "AGAIN_SECONDS", 0.02)
    store = TraceStore(tmp_path / "traces.db", notes)
    store(CALL)
    store.flush()
    assert store._database is not None
    with store._database.transaction() as connection:  # as a disk that has no page left
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    store._database._connection.execute(f"PRAGMA max_page_count={pages}")
    for number in range(5):
        store(replace(CALL, key=f"big {number}", messages=[["user", f"{number}" * 100_000]]))
        store.flush()
    store.close()
    assert len(notes.lines) == 2
    assert "database or disk is full" in notes.lines[0]
    assert "5 events are missing" in notes.lines[1]
    assert _rows(tmp_path / "traces.db", "SELECT key FROM calls") == [("k0",)]
    assert _rows(tmp_path / "traces.db", "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_is_no_trace_store_is_told_once_and_left_alone(
    tmp_path: Path, notes: Notes
) -> None:
    path = tmp_path / "traces.db"
    path.write_bytes(b"my own notes " * 100)
    store = TraceStore(path, notes)
    for _ in range(3):
        store(CALL)
        store.flush()
    store.close()
    assert path.read_bytes() == b"my own notes " * 100
    first, last = notes.lines
    assert "not a readable SQLite file" in first
    assert "no traces are kept until it is moved away" in first
    assert "3 events are missing" in last
    with pytest.raises(MiddoError, match="not a readable SQLite file"):
        open_traces(path)


def test_an_event_without_a_form_in_the_file_takes_no_other_with_it(
    store: TraceStore, notes: Notes, read: Callable[[], TraceReader]
) -> None:
    store(CALL)
    store(replace(CALL, key="huge", prompt_tokens=2**80))
    store(replace(JUDGED, numbers={"odd": object()}))
    store(replace(CALL, key="k1"))
    store.close()
    assert [call.key for call in read().calls()] == ["k0", "k1"]
    first, last = notes.lines
    assert "a record can't be kept (OverflowError" in first
    assert "2 events are missing" in last


def test_numbers_that_json_has_no_word_for_are_null(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    store(replace(JUDGED, numbers={"loss": float("nan"), "bound": float("inf"), "kept": 1.5}))
    store.flush()
    assert read().judged()[0].numbers == {"loss": None, "bound": None, "kept": 1.5}


def test_a_queue_that_is_full_leaves_events_out_instead_of_stopping_the_run(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MAX_WAITING", 10)
    monkeypatch.setattr(traces, "BUSY_SECONDS", 0.02)
    store = TraceStore(tmp_path / "traces.db", notes)
    store(CALL)
    store.flush()
    other = _locked(tmp_path / "traces.db")
    begun = time.monotonic()
    for number in range(1_000):
        store(replace(CALL, key=f"k{number + 1}"))
    assert time.monotonic() - begun < 1.0
    other.close()
    store.close()
    kept = _rows(tmp_path / "traces.db", "SELECT count(*) FROM calls")
    assert kept == [(11,)]
    assert "990 events are missing" in notes.lines[-1]


def test_long_texts_wait_only_up_to_a_bound(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MAX_CHARACTERS", 1_000)
    monkeypatch.setattr(traces, "WAIT_SECONDS", 0.0)
    store = TraceStore(tmp_path / "traces.db", notes)
    long = replace(CALL, messages=[["user", "x" * 5_000]])
    store(long)  # alone, it may wait whatever its size
    store(replace(long, key="k1"))
    store.close()
    assert "1 event is missing" in notes.lines[-1]


def test_a_system_without_threads_costs_the_traces_and_not_the_run(
    store: TraceStore, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        store(CALL)
    store(replace(CALL, key="k1"))
    store.flush()
    store.close()
    assert "no thread can be started (can't start new thread)" in notes.lines[0]
    assert "2 events are missing" in notes.lines[1]


def test_threads_tell_events_at_the_same_time(
    store: TraceStore, read: Callable[[], TraceReader]
) -> None:
    def tell(thread: int) -> None:
        for number in range(200):
            store(replace(CALL, key=f"{thread}.{number}"))

    threads = [threading.Thread(target=tell, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    assert len({call.key for call in read().calls()}) == 800


def test_a_copy_in_a_folder_that_cannot_be_written_is_readable(
    store: TraceStore, foreign: Path
) -> None:
    store(CALL)
    store.close()
    shutil.copy(store._path, foreign)
    foreign.chmod(0o555)
    with without_rights():
        reader = open_traces(foreign / "traces.db")
        assert reader is not None
        assert reader.calls() == [CALL]
        reader.close()
    assert [path.name for path in foreign.iterdir()] == ["traces.db"]


def test_a_copy_whose_last_rows_cannot_be_read_says_so(store: TraceStore, foreign: Path) -> None:
    store(CALL)
    store.flush()
    for name in ("traces.db", "traces.db-wal"):  # as they are while the run goes on
        shutil.copy(store._path.with_name(name), foreign)
    foreign.chmod(0o555)
    with without_rights(), pytest.raises(MiddoError, match=r"its last rows are in traces\.db-wal"):
        open_traces(foreign / "traces.db")
