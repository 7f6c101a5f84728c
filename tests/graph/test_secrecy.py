"""A whole run by the command line, with keys in its environment and no network: nothing gets out.

LangSmith's variables are set as a shell profile would, and the teacher names its key in errors and
answers. Every file of the run folder and all that was printed is then searched.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from middo.formats.configuration import dump_config
from middo.stores.database import read_database
from middo.stores.runs import read_run
from tests.loop import config, write_rows
from tests.searched import texts

ROOT = Path(__file__).parents[2]

CANARIES = {
    "MY_TEACHER": "canary-own-7f31c0de55aa",  # no name that says key: known by api_key_env alone
    "OPENAI_API_KEY": "sk-proj-canaryOpenAI0123456789abcdef",
    "ANTHROPIC_API_KEY": "sk-ant-canaryAnthropic0123456789",
    "LANGSMITH_API_KEY": "lsv2_pt_canary0123456789abcdef0123_aa",
    "HF_TOKEN": "hf_canaryHuggingFace0123456789",
}
LANGSMITH = {
    **dict.fromkeys(("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2"), "true"),
    **dict.fromkeys(("LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2", "LANGSMITH_GATEWAY"), "true"),
    "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
    "CHROMA_OTEL_COLLECTION_ENDPOINT": "http://127.0.0.1:9",
    "CHROMA_OTEL_GRANULARITY": "all",
}


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which every Python process is guarded."""
    return {
        **os.environ,
        **CANARIES,
        **LANGSMITH,
        "PYTHONPATH": f"{ROOT / 'tests' / 'guard'}{os.pathsep}{ROOT}",
        "NETWORK_LOG": str(folder / "network"),
        "MIDDO_CACHE": str(folder / "cache"),
        "MIDDO_DEBUG": "1",
    }


@dataclass(frozen=True)
class Ran:
    folder: Path
    log: list[str]
    done: subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Ran:
    """One refinement of the small data set."""
    folder = tmp_path_factory.mktemp("secrecy")
    teacher = {"model": "import:tests.graph.leaky:leaky", "api_key_env": "MY_TEACHER"}
    settings = config(
        write_rows(folder / "rows.jsonl"), tiny_folder, agents={"rewriter": teacher}, rounds=1
    )
    (folder / "config.yaml").write_text(dump_config(settings), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "middo", "run", "config.yaml", "--out", "run"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        timeout=300,
    )
    log = (folder / "network").read_text("utf-8").splitlines()
    return Ran(folder / "run", log, done)


def test_the_run_finishes_and_its_failures_are_listed(ran: Ran) -> None:
    assert ran.done.returncode == 0, ran.done.stderr.decode()
    document = read_run(ran.folder)
    first = document["rounds"][0]
    fates = [first[fate] for fate in ("accepted", "rejected", "failed", "deferred")]
    assert sum(fates) == first["flagged"]["samples"] > 0
    database = read_database(ran.folder / "ledger.db")
    failed = [
        str(error) for (error,) in database.query("SELECT error FROM units WHERE error != ''")
    ]
    raw = "".join(str(text) for (text,) in database.query("SELECT raw FROM units"))
    values = "".join(str(text) for (text,) in database.query("SELECT value FROM units"))
    database.close()
    assert failed
    refused = [error for error in failed if "refused the request" in error]
    assert refused
    told = "401 for https://[redacted]@host: bad header Bearer [redacted]"
    assert all(told in error for error in refused)
    assert "Sure, with [redacted]" in raw
    assert "The key is [redacted]." in values


def test_no_file_of_the_run_holds_a_key(ran: Ran) -> None:
    searched = list(texts(ran.folder))
    names = {Path(name.split(" (")[0]).name for name, _ in searched}
    assert {"ledger.db", "checkpoints.db", "config.yaml", "run.json"} <= names
    assert {"proposals.parquet", "signals.parquet", "diagnosis.json"} <= names
    found = [
        f"{name}: {variable}"
        for name, content in searched
        for variable, key in CANARIES.items()
        if key.encode() in content
    ]
    assert not found
    # The same search finds what is there: a word of the data in both forms of file.
    assert any(b"apples" in content for name, content in searched if name.endswith("(rows)"))
    assert any(b"[redacted]" in content for name, content in searched if name.endswith("(units)"))


def test_nothing_printed_holds_a_key(ran: Ran) -> None:
    printed = ran.done.stdout + ran.done.stderr
    assert b"import:tests.graph.leaky:leaky" in printed
    assert not [variable for variable, key in CANARIES.items() if key.encode() in printed]


def test_nothing_is_sent_anywhere(ran: Ran) -> None:
    attempts = [line for line in ran.log if line.startswith("ATTEMPT")]
    assert not attempts, attempts[:5]
    started = "".join(line for line in ran.log if line.startswith("STARTED"))
    assert "'middo', 'run'" in started
    assert "middo.training.worker" in started  # the guard was there in the training too


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import httpx; httpx.get('http://127.0.0.1:9')",
        "import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', 9))",
    ],
)
def test_the_guard_sees_attempts(tmp_path: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, timeout=60
    )
    assert done.returncode != 0
    assert "ATTEMPT" in (tmp_path / "network").read_text("utf-8")
