"""`middo trace`: a line per call, found by sample, agent and outcome, also while a run goes on."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from middo.stores.lock import run_lock
from middo.stores.runs import write_run
from middo.stores.traces import TraceStore
from tests.cli.conftest import Command
from tests.stores.test_traces import CALL

FIRST = replace(CALL, sample_id="5a3f00aa", key="first")
CRITIC = replace(
    CALL,
    key="critic",
    sample_id="5a3f00aa",
    agent="critic",
    prompt="critique",
    source="replayed",
    prompt_tokens=0,
    completion_tokens=0,
    seconds=0.5,
)
FAILED = replace(
    CALL,
    key="failed",
    round=1,
    sample_id="77bc",
    attempt=2,
    status="failed",
    value=None,
    error="no JSON:\n\x1b[31mred\u202e words",
    usd=None,
    seconds=75.0,
)
CALLS = (FIRST, CRITIC, FAILED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path, {"run": "r", "status": "finished", "rounds": []})
    store = TraceStore(tmp_path / "traces.db", print)
    for call in CALLS:
        store(call)
    store.close()
    return tmp_path


def _keys(document: object) -> list[str]:
    assert isinstance(document, dict)
    return [call["key"] for call in document["calls"]]


def test_every_call_is_a_line(middo: Command, folder: Path) -> None:
    ran = middo("trace", folder)
    head, *lines, blank, total = ran.out.splitlines()
    assert ran.code == 0
    assert head.split() == (
        ["Time", "Round", "Sample", "Agent", "Try", "Prompt", "Model", "Read", "Written", "Took"]
        + ["USD", "Outcome"]
    )
    words = [line.split()[2:] for line in lines]  # times hang on the time zone
    assert words[0] == (
        ["0", "5a3f00aa", "rewriter", "1", "rewrite_answer", "llamacpp:smollm2-135m"]
        + ["210", "-", "1.2", "s", "0.0000", "answered"]
    )
    assert words[1][-1] == "replayed"
    assert words[2][:4] == ["1", "77bc", "rewriter", "2"]
    assert lines[2].endswith("1 min 15 s       -  failed: no JSON: red words")
    assert blank == ""
    assert total == (
        "3 calls (1 replayed), 1 failed, 420 tokens and 2 calls unmeasured, 0.0000 USD and"
        " 1 call unpriced, 1 min 17 s of waiting"
    )


def test_json_holds_whole_calls(middo: Command, folder: Path) -> None:
    assert middo("trace", folder, "--json").document == {
        "calls": [asdict(call) for call in CALLS],
        "matching": 3,
    }


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--agent", "critic"], ["critic"]),
        (["--failed"], ["failed"]),
        (["--sample", "5A3"], ["first", "critic"]),
        (["--sample", "5a3f00aa", "--agent", "rewriter"], ["first"]),
        (["--slow"], ["failed", "first", "critic"]),
        (["--failed", "--agent", "critic"], []),
    ],
)
def test_calls_are_found(middo: Command, folder: Path, options: list[str], keys: list[str]) -> None:
    ran = middo("trace", folder, *options, "--json")
    assert (ran.code, _keys(ran.document)) == (0, keys)


def test_slow_names_a_few_of_many(middo: Command, folder: Path) -> None:
    store = TraceStore(folder / "traces.db", print)
    for number in range(30):
        store(replace(CALL, key=f"k{number}", seconds=100.0 + number))
    store.close()
    document = middo("trace", folder, "--slow", "--json").document
    assert _keys(document) == [f"k{number}" for number in range(29, 9, -1)]
    assert document["matching"] == 33
    assert "20 of 33 calls (1 replayed)" in middo("trace", folder, "--slow").out
    assert "\n1 call (all replayed)," in middo("trace", folder, "--agent", "critic").out


def test_lines_are_printed_without_reading_a_text(middo: Command, folder: Path) -> None:
    whole = middo("trace", folder).out
    with closing(sqlite3.connect(folder / "traces.db")) as file:
        file.execute("DROP VIEW calls_in_full")
        for table in ("call_messages", "call_answers", "texts"):
            file.execute(f"DROP TABLE {table}")
    assert middo("trace", folder).out == whole
    assert len(middo("trace", folder, "--slow").out.splitlines()) == 6
    assert len(middo("trace", folder, "--follow").out.splitlines()) == 4


def test_what_matches_nothing_says_so(middo: Command, folder: Path) -> None:
    assert middo("trace", folder, "--failed", "--agent", "critic").out == "no call matches\n"
    with closing(sqlite3.connect(folder / "traces.db")) as file:
        file.execute("DELETE FROM calls")
        file.commit()
    assert middo("trace", folder).out == "no call was made so far\n"
    assert middo("trace", folder, "--failed").out == "no call matches\n"


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("5a4f", "no call was made for a sample that begins so; near it: 5a3f00aa"),
        ("xyz", "no call was made for a sample that begins so: only flagged ones are refined"),
        (" ", "an id is missing; without --sample all calls are shown"),
    ],
)
def test_a_wrong_sample_is_one_line(middo: Command, folder: Path, sample: str, said: str) -> None:
    ran = middo("trace", folder, "--sample", sample)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"middo: --sample {sample!r}: {said}\n"


def test_what_can_not_be_shown_is_one_line(middo: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "traces.db").unlink()
    ran = middo("trace", folder)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert f"{folder}: has no traces.db" in ran.err
    assert middo("trace", folder, "--follow").code == 2
    assert "no run folder" in middo("trace", tmp_path / "none").err
    assert "use one" in middo("trace", folder, "--slow", "--follow").err
    assert middo("trace", folder, "--agent", "critc").err == (
        "middo: Invalid value for '--agent': 'critc' is not one of 'rewriter', 'critic',"
        " 'diagnostician'; see `middo trace --help`\n"
    )


def test_follow_ends_with_the_run(middo: Command, folder: Path) -> None:
    """Events that are written between the end in `run.json` and the release of the lock count."""
    write_run(folder, {"run": "r", "status": "running", "rounds": []})
    held, ended = threading.Event(), threading.Event()

    def work() -> None:
        store = TraceStore(folder / "traces.db", print)
        with run_lock(folder):
            held.set()
            time.sleep(0.1)
            store(replace(CALL, key="new"))
            write_run(folder, {"run": "r", "status": "finished", "rounds": []})
            time.sleep(0.7)
            store(replace(CALL, key="last"))
            store.close()
        ended.set()

    run = threading.Thread(target=work)
    run.start()
    held.wait()
    ran = middo("trace", folder, "--follow", "--json")
    assert ended.is_set()
    run.join()
    calls = [json.loads(line) for line in ran.out.splitlines()]
    assert [call["key"] for call in calls] == ["first", "critic", "failed", "new", "last"]
    assert calls[0] == asdict(FIRST)
    assert ran.code == 0
    shown = middo("trace", folder, "--follow", "--failed").out.splitlines()
    assert len(shown) == 2
    assert shown[1].endswith("failed: no JSON: red words")


@pytest.fixture
def follower(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    write_run(folder, {"run": "r", "status": "running", "rounds": []})
    with run_lock(folder):
        process = subprocess.Popen(
            [sys.executable, "-m", "middo", "trace", str(folder), "--follow"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell that runs the tests in the background has them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        yield process
        process.kill()
        process.communicate()


def test_ctrl_c_ends_following_quietly(follower: "subprocess.Popen[bytes]") -> None:
    assert follower.stdout is not None
    for _ in range(4):
        assert follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=30)
    assert (follower.returncode, out, err) == (130, b"", b"middo: interrupted\n")


def test_following_ends_where_nobody_reads(
    follower: "subprocess.Popen[bytes]", folder: Path
) -> None:
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.stdout.close()
    follower.stdout = open(os.devnull, "rb")  # noqa: SIM115  # for communicate
    store = TraceStore(folder / "traces.db", print)
    store(replace(CALL, key="unread"))
    store.close()
    assert follower.wait(timeout=30) == 0
