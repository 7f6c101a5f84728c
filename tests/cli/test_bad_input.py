"""Inputs of the corpus on the command line: exit code 2, one line, one document, no folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..corpus.table import CASES, FILES
from .conftest import Command, Ran
from .test_preflight import LIGHT

BAD = (
    *("encodings/cp1252-one-byte.jsonl", "json/cut-off.json", "json/under-data.json"),
    *("json/all-rows-bad.jsonl", "json/empty.jsonl", "csv/open-quote.csv", "packed/cut.jsonl.gz"),
    *("foreign/rows.pkl", "foreign/pointer.jsonl", "columnar/cut.parquet"),
    *("columnar/duplicate-columns.parquet", "places/line-break-in-name", "places/no-such-user"),
    *("places/zeros", "places/loop", "places/named-like-a-file", "folders/saved-splits"),
    *("sizes/nested-100000.json", "turns/order.jsonl", "encodings/control-characters.jsonl"),
)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def _refused(ran: Ran, *, json: bool) -> str:
    """Return the error of a command that refused its data, told as the command line tells it."""
    assert ran.code == 2
    line = ran.err.removesuffix("\n")
    assert line.startswith("middo: ") and line.isprintable()
    assert not list(Path().iterdir())
    message = line.removeprefix("middo: ")
    if json:
        assert ran.document == {"error": message, "exit_code": 2}
    else:
        assert ran.out == ""
    return message


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", BAD)
def test_a_run_refuses_what_it_cant_use(
    middo: Command, tmp_path: Path, tiny_folder: Path, name: str
) -> None:
    case = CASES[name]
    json = BAD.index(name) % 3 != 0
    path = case.path(tmp_path)
    words = ["run", "--data", path, "--dry-run", "--set", f"model.base={tiny_folder}", *LIGHT]
    message = _refused(middo(*words, *(["--json"] if json else [])), json=json)
    if case.error is None:
        assert message.startswith(f"{len(case.quarantined)} of {case.rows} rows can't be used")
        assert Path(name).name in message
        return
    told = message.replace(str(tmp_path), "DIR").replace(path.replace(str(tmp_path), "DIR"), "FILE")
    assert told == case.error


@pytest.mark.parametrize("name", ["encodings/latin-1.jsonl", "csv/no-header.csv"])
def test_estimate_and_diagnose_refuse_it_alike(
    middo: Command, tmp_path: Path, tiny_folder: Path, name: str
) -> None:
    path, model = CASES[name].path(tmp_path), ("--set", f"model.base={tiny_folder}")
    messages = {
        _refused(middo("run", "--data", path, "--dry-run", *model, *LIGHT), json=False),
        _refused(middo("estimate", "--data", path, *model, *LIGHT), json=False),
        _refused(middo("diagnose", path, "--model", tiny_folder, "--out", "out"), json=False),
    }
    assert [message.replace(path, "FILE") for message in messages] == [CASES[name].error]


def test_a_share_of_bad_rows_at_the_limit_is_used_and_past_it_refused(
    middo: Command, tiny_folder: Path
) -> None:
    words = ["run", "--dry-run", "--json", "--set", f"model.base={tiny_folder}", *LIGHT]
    words += ["--set", "evaluation.rows=1", "--data"]
    plan = middo(*words, FILES / "json/at-the-limit.jsonl").document
    assert plan["quarantined"] == [{"source": "at-the-limit.jsonl:10", "reason": "empty answer"}]
    assert plan["imported"] == 10 == plan["train_rows"] + plan["holdout"] + 1
    refused = middo(*words, FILES / "json/past-the-limit.jsonl")
    assert _refused(refused, json=True) == CASES["json/past-the-limit.jsonl"].refused


@pytest.mark.timeout(300)
def test_a_process_does_not_wait_for_a_pipe_that_nobody_writes_to(tmp_path: Path) -> None:
    path = CASES["places/pipe"].path(tmp_path)
    command = [sys.executable, "-m", "middo", "run", "--data", path, "--dry-run", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280)
    message = _refused(Ran(ran.returncode, ran.stdout, ran.stderr), json=True)
    assert message.startswith(f"{path}: is a pipe or device")


@pytest.mark.parametrize("name", ["rows.jsonl", "ROWS.CSV", "rows.json.gz", "rows.parquet"])
def test_data_in_the_place_of_the_configuration_is_told_where_it_belongs(
    middo: Command, name: str
) -> None:
    ran = middo("run", name, "--dry-run")
    assert ran.code == 2
    assert ran.err == (
        f"middo: {name}: is named like data, not like a configuration; name it with --data {name}\n"
    )
