"""`run.json` is replaced whole, and says `interrupted` where nobody runs the run."""

import json
from pathlib import Path

import pytest

from middo.core.errors import UsageError
from middo.stores.lock import is_locked, run_lock
from middo.stores.runs import list_runs, make_folder, read_run, write_json, write_run, write_text


def test_a_running_run_without_an_owner_was_interrupted(tmp_path: Path) -> None:
    document = {"run": "r", "status": "running", "rounds": [{"round": 0}]}
    write_run(tmp_path, document)
    assert read_run(tmp_path) == {**document, "status": "interrupted"}
    with run_lock(tmp_path):
        assert read_run(tmp_path) == document
    assert json.loads((tmp_path / "run.json").read_text("utf-8")) == document


def test_a_run_that_ends_while_one_looks_was_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, {"status": "running"})

    def ended_meanwhile(folder: Path) -> bool:
        write_run(folder, {"status": "finished"})
        return is_locked(folder)

    monkeypatch.setattr("middo.stores.runs.is_locked", ended_meanwhile)
    assert read_run(tmp_path) == {"status": "finished"}


def test_a_run_that_has_only_its_configuration_can_be_looked_at(tmp_path: Path) -> None:
    make_folder(tmp_path / "r")
    (tmp_path / "r/config.yaml").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="no run folder"):  # somebody else's configuration
        read_run(tmp_path / "r")
    with run_lock(tmp_path / "r"):
        assert read_run(tmp_path / "r") == {"run": "r", "status": "running", "rounds": []}
    assert read_run(tmp_path / "r") == {"run": "r", "status": "interrupted", "rounds": []}


@pytest.mark.parametrize("status", ["finished", "failed", "budget", "interrupted"])
def test_every_other_status_is_as_written(tmp_path: Path, status: str) -> None:
    write_run(tmp_path, {"status": status})
    assert read_run(tmp_path) == {"status": status}


def test_a_text_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old é")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text("utf-8") == "old é"
    write_text(path, "new")
    assert path.read_text("utf-8") == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_a_number_that_json_lacks_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"loss": 1.5, "name": "é"})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text("utf-8")) == {"loss": 1.5, "name": "é"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no run folder"), ("{", "can't be read"), ("[]", "holds no JSON object")],
)
def test_a_folder_that_is_no_run_ends_in_one_line(
    tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as refused:
        read_run(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"rows\.jsonl: no run folder"):
        read_run(file)


def test_runs_are_listed_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, {"run": name, "status": "finished"})
    (tmp_path / "no-run").mkdir()
    assert [document["run"] for document in list_runs(tmp_path)] == ["a", "b", "c"]
    assert list_runs(tmp_path / "nowhere") == []


def test_an_unreadable_run_does_not_hide_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    write_run(tmp_path / "a", {"run": "a", "status": "finished"})
    (tmp_path / "b" / "run.json").write_text("{", "utf-8")
    assert [entry["status"] for entry in list_runs(tmp_path)] == ["finished", "unreadable"]


def test_a_folder_that_can_not_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"--out: .*file/run can't be made \(Not a directory\)"):
        make_folder(tmp_path / "file" / "run")
