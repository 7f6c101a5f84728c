"""`middo review`: listing, files of decisions, and the conversation, also on a real terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from middo.cli import review
from middo.cli.runs import overview
from middo.cli.summary import status_text, summary_text
from middo.core.errors import UsageError
from middo.stores.database import MIGRATIONS, open_database, read_database
from middo.stores.facts import Facts
from middo.stores.lock import run_lock
from middo.stores.reviews import Reviews, Word
from middo.stores.runs import read_run, write_run
from tests.paused import HELD, paused_run

from .conftest import Command

WRAPPED = "The Aare, as an AI sees it."
NAMES = ["aa11", "ab22", "bb33"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return paused_run(tmp_path / "run")


def words(folder: Path) -> dict[str, Word]:
    database = read_database(folder / "ledger.db")
    try:
        return Reviews(database).standing(0)
    finally:
        database.close()


def said(folder: Path) -> dict[str, str]:
    return {name: word.decision for name, word in words(folder).items()}


# --- listing ---


def test_without_a_terminal_it_lists_what_waits(middo: Command, folder: Path) -> None:
    ran = middo("review", folder)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["Sample", "Axis", "Decision", "Proposed", "answer"]
    assert lines[1].split() == ["aa11", "quality", "waits", "The", "Aare."]
    assert f"`middo resume {folder}` goes on" in " ".join(ran.out.split())


def test_the_document_holds_all_that_deciding_needs(middo: Command, folder: Path) -> None:
    middo("review", folder, "--from", decisions(folder, {"sample": "ab", "decision": "accept"}))
    document = middo("review", folder, "--json").document
    assert (document["status"], document["round"]) == ("paused", 0)
    assert [one["sample"] for one in document["waiting"]] == ["aa11", "bb33"]
    (decided,) = document["decided"]
    assert decided["decision"]["decision"] == "accept"
    first = document["waiting"][0]
    assert first["old"][-1] == {"role": "assistant", "content": "aa11 runs."}
    assert first["new"][-1] == {"role": "assistant", "content": "The Aare."}
    assert first["proof"]["name"] == "proof.quality"
    assert first["decision"] is None


def test_a_run_that_is_not_under_review_has_nothing_to_list(middo: Command, tmp_path: Path) -> None:
    write_run(tmp_path, {"run": "r", "status": "finished", "rounds": []})
    ran = middo("review", tmp_path)
    assert (ran.code, ran.out) == (0, "nothing waits for review: the run is finished\n")
    ran = middo("review", tmp_path, "--from", decisions(tmp_path, {"all": "accept"}))
    assert ran.code == 2
    assert "nothing waits for review: the run is finished;" in ran.err
    assert not (tmp_path / "ledger.db").exists()
    assert middo("review", tmp_path / "none").code == 2


def test_the_ledger_of_an_older_version_is_not_touched(middo: Command, tmp_path: Path) -> None:
    write_run(tmp_path, {"run": "r", "status": "finished", "rounds": []})
    ledger = tmp_path / "ledger.db"
    database = open_database(ledger, MIGRATIONS[:5])
    Facts(database).put("rounds_seen", 2)
    database.close()
    before = ledger.read_bytes()
    ran = middo("review", tmp_path, "--from", decisions(tmp_path, {"all": "accept"}))
    assert ran.code == 2
    assert "nothing waits for review: the run is finished;" in ran.err
    assert ledger.read_bytes() == before
    assert not list(tmp_path.glob("ledger.db-*"))


# --- files ---


def decisions(folder: Path, *lines: Any) -> Path:
    path = folder.parent / "decisions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_decides_and_says_what_comes_next(middo: Command, folder: Path) -> None:
    path = decisions(
        folder,
        {"sample": "aa11", "decision": "edit", "answer": "The Aare, in Switzerland."},
        {"sample": "b", "decision": "reject", "reason": "too\nshort"},
    )
    ran = middo("review", folder, "--from", path, "--as", "ada")
    assert ran.code == 0
    assert "2 decisions stored: 1 edit, 1 reject" in ran.out
    assert "round 0: 0 accepted, 1 rejected, 1 edited, 1 waiting" in ran.out
    assert said(folder) == {"aa11": "edit", "bb33": "reject"}
    edit, rejected = words(folder)["aa11"], words(folder)["bb33"]
    assert (edit.prompt, edit.answer) == ("Name a river.", "The Aare, in Switzerland.")
    assert {"length", "decontamination"} <= {check["name"] for check in edit.checks}
    assert (rejected.reason, rejected.reviewer) == ("too short", "ada")
    assert rejected.proposal_id != "bb33"
    assert read_run(folder)["rounds"][0]["review"]["undecided"] == 1

    ran = middo("review", folder, "--from", decisions(folder, {"all": "accept"}))
    assert f"all proposals are decided; `middo resume {folder}`" in " ".join(ran.out.split())
    assert said(folder) == {"aa11": "edit", "ab22": "accept", "bb33": "reject"}


def test_remarks_on_an_edit_are_printed_and_kept(middo: Command, folder: Path) -> None:
    path = decisions(folder, {"sample": "aa", "decision": "edit", "answer": WRAPPED})
    ran = middo("review", folder, "--from", path, "--json")
    (word,) = ran.document["stored"]
    refused = {check["name"] for check in word["checks"] if not check["passed"]}
    assert refused == {"wrapper"}
    assert "aa11: wrapper: " in middo("review", folder, "--from", path).out


def test_an_edit_into_evaluation_data_is_refused_with_its_line(
    middo: Command, folder: Path
) -> None:
    good = {"sample": "bb33", "decision": "accept"}
    path = decisions(folder, good, {"sample": "aa", "decision": "edit", "answer": HELD})
    ran = middo("review", folder, "--from", path)
    assert (ran.code, ran.out) == (2, "")
    assert "decisions.jsonl:2: the edit of aa11 repeats evaluation data" in ran.err
    assert "'the longest river of that country" in ran.err
    assert ran.err.count("\n") == 1
    assert said(folder) == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"sample": "zz", "decision": "accept"}, "decisions.jsonl:2: 'zz': no proposal under"),
        (
            {"sample": "cc44", "decision": "accept"},
            "'cc44': no proposal under review in round 0 begins so",
        ),
        (
            {"sample": "a", "decision": "accept"},
            "'a': several samples begin so: aa11, ab22; give more digits",
        ),
        ({"sample": "bb33", "decision": "reject"}, "sample bb33 is decided in "),
        ({"sample": "aa11", "decision": "edit", "answer": "The Aare."}, "of aa11 changes nothing"),
        ({"sample": "aa11"}, "decisions.jsonl:2: expected"),
        ({"sample": "ab2", "decision": "drop"}, "decisions.jsonl:2: decision: 'drop' is not valid"),
    ],
)
def test_nothing_is_stored_where_a_line_is_wrong(
    middo: Command, folder: Path, line: Any, problem: str
) -> None:
    path = decisions(folder, {"sample": "bb33", "decision": "accept"}, line)
    ran = middo("review", folder, "--from", path)
    assert ran.code == 2
    assert problem in ran.err
    assert ran.err.count("\n") == 1
    assert said(folder) == {}


def test_a_file_that_is_not_there_is_one_line(middo: Command, folder: Path) -> None:
    ran = middo("review", folder, "--from", folder / "none.jsonl")
    assert (ran.code, ran.out) == (2, "")
    assert "--from: " in ran.err and "can't be read (No such file" in ran.err


def test_while_a_run_is_at_work_nothing_is_decided(middo: Command, folder: Path) -> None:
    with run_lock(folder):
        ran = middo("review", folder, "--from", decisions(folder, {"all": "accept"}))
        assert ran.code == 75
        assert middo("review", folder).code == 0
    assert said(folder) == {}


def test_decisions_are_read_from_stdin(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "middo", "review", str(folder), "--from", "-", "--json"],
        input=b'{"all": "reject", "reason": "unsure"}\n',
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["review"]["rejected"] == 3
    assert said(folder) == dict.fromkeys(NAMES, "reject")


# --- the conversation ---


class Scripted:
    """A person whose keys, lines and edits are known beforehand."""

    def __init__(self, keys: str, lines: Sequence[str] = (), edits: Sequence[Any] = ()) -> None:
        self.keys = list(keys)
        self.lines = list(lines)
        self.edits = list(edits)

    def key(self) -> str:
        return self.keys.pop(0)

    def line(self, question: str) -> str:
        return self.lines.pop(0)

    def edit(self, prompt: str, answer: str) -> tuple[str, str]:
        edit = self.edits.pop(0)
        if isinstance(edit, Exception):
            raise edit
        return prompt, edit


def talk(folder: Path, person: Scripted) -> dict[str, str]:
    review.at_terminal(folder, "ada", person)
    assert not (person.keys or person.lines or person.edits)
    return said(folder)


def test_one_key_decides(folder: Path) -> None:
    person = Scripted("arek", ["no such river", ""], ["The Elbe, in Germany."])
    assert talk(folder, person) == {"aa11": "accept", "ab22": "reject", "bb33": "edit"}
    assert words(folder)["ab22"].reason == "no such river"
    assert words(folder)["bb33"].answer == "The Elbe, in Germany."


def test_who_stops_goes_on_where_they_were(folder: Path) -> None:
    assert talk(folder, Scripted("saq")) == {"ab22": "accept"}
    assert talk(folder, Scripted("aq")) == {"ab22": "accept", "aa11": "accept"}
    reply = review.at_terminal(folder, "ada", Scripted("a"))
    assert reply.text.startswith("1 decision stored: 1 accept")
    assert "middo resume" in reply.text


def test_a_mind_may_be_changed(folder: Path) -> None:
    assert talk(folder, Scripted("abrq", [""])) == {"aa11": "reject"}
    assert talk(folder, Scripted("bq")) == {"aa11": "reject"}


def test_all_the_rest_asks_first(folder: Path) -> None:
    assert talk(folder, Scripted("AnaRy", ["bored"])) == {
        "aa11": "accept",
        "ab22": "reject",
        "bb33": "reject",
    }
    assert words(folder)["bb33"].reason == "bored"


def test_accepting_the_rest_leaves_what_was_decided(folder: Path) -> None:
    assert talk(folder, Scripted("rbAy", [""])) == {
        "aa11": "reject",
        "ab22": "accept",
        "bb33": "accept",
    }


def test_an_edit_can_be_tried_again_or_given_up(folder: Path) -> None:
    # After an edit that is given up the proposal is asked for again.
    assert talk(folder, Scripted("eexsq", [], ["One.", "Two."])) == {}


@pytest.mark.parametrize("edit", ["The Aare.", "  ", UsageError("EDITOR='x' can't be started")])
def test_an_edit_of_nothing_is_no_decision(folder: Path, edit: Any) -> None:
    assert talk(folder, Scripted("eq", [], [edit])) == {}


def test_the_proposal_and_the_remarks_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(folder, Scripted("ekq", [""], [WRAPPED]))
    out, shown = capsys.readouterr()
    assert out == ""
    for text in (
        "1 of 3, quality",
        "aa11  f.jsonl:1",
        "quality: reads like a broken one",
        "critic: accept: Fine now.",
        "Prompt (unchanged)",
        "[-aa11 runs-]{+The Aare+}.",
        "wrapper: ",
        "Your word counts",
    ):
        assert text in shown, text


def test_evaluation_data_can_be_edited_again_and_not_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Scripted("eekq", [""], [HELD, "The Aare, in Switzerland."])
    assert talk(folder, person) == {"aa11": "edit"}
    assert words(folder)["aa11"].answer == "The Aare, in Switzerland."
    shown = capsys.readouterr().err
    assert "decontamination: " in shown
    refused, kept = shown.split("What repeats evaluation data can't be kept.\n")
    assert "keep this edit" not in refused
    assert kept.startswith("e edit again") and "k keep this edit" in kept


def test_a_key_for_keeping_does_not_keep_evaluation_data(folder: Path) -> None:
    assert talk(folder, Scripted("ekq", [], [HELD])) == {}


class Screen:
    """A person at a pseudo-terminal."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.seen = ""

    def wait_for(self, text: str) -> None:
        until = time.monotonic() + 30
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
            assert ready, self.seen
            try:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
        before, found, after = self.seen.partition(text)
        assert found, before
        self.seen = after

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


def test_on_a_terminal_a_person_decides(folder: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text().replace('Drau', 'Drava'))\n",
        encoding="utf-8",
    )
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "middo", "review", str(folder), "--as", "ada"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "EDITOR": f"{sys.executable} {editor}"},
    )
    os.close(slave)
    try:
        screen = Screen(master)
        screen.wait_for("1 of 3")
        screen.wait_for("quit")
        screen.type("a")
        screen.wait_for("2 of 3")
        screen.wait_for("quit")
        screen.type("e")
        screen.wait_for("keep this edit")
        screen.type("k")
        screen.wait_for("why")
        screen.type("its name\n")
        screen.wait_for("3 of 3")
        screen.wait_for("quit")
        screen.type("q")
        screen.wait_for("2 decisions stored")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert said(folder) == {"aa11": "accept", "ab22": "edit"}
    edit = words(folder)["ab22"]
    assert (edit.answer, edit.reason, edit.reviewer) == ("The Drava.", "its name", "ada")


# --- what other commands say ---


def test_a_paused_run_says_what_to_do(middo: Command, folder: Path) -> None:
    document = read_run(folder)
    for text in (status_text(document, folder), summary_text(document, folder)):
        plain = " ".join(text.split())
        assert f"Run {folder.name}: paused, 3 proposals to review" in plain
        assert f"`middo review {folder}` decides on the proposals that wait, then" in plain
        assert f"`middo resume {folder}` goes on" in plain
    assert "review 3 proposals: 0 accepted, 0 rejected, 0 edited, 3 waiting" in " ".join(
        summary_text(document, folder).split()
    )
    assert re.search(r"run +paused, 3 proposals to review", overview(folder.parent).text)
    middo("review", folder, "--from", decisions(folder, {"all": "accept"}))
    plain = " ".join(status_text(read_run(folder), folder).split())
    assert "paused, all decided" in plain
    assert "middo review" not in plain


def test_a_closed_review_says_what_went_on_without_a_person() -> None:
    counts = {"asked": 5, "accepted": 1, "rejected": 1, "edited": 0, "undecided": 3}
    entry = {"round": 0, "flagged": {"samples": 9}, "review": {"open": False, **counts}}
    text = summary_text({"run": "r", "status": "finished", "rounds": [entry]}, Path("r"))
    assert "3 not decided, taken as the gates left them" in " ".join(text.split())
