"""`middo explain`: what it prints of a life, with colours and without, and what it never prints."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from middo.cli.explain import explain
from middo.cli.life_text import life_text
from middo.cli.main import main
from middo.cli.output import clean_lines, colours_wanted
from middo.core.records import Axis
from middo.inspection.lives import life
from middo.inspection.record import open_record
from tests.inspection.folder import Folder, numbered, proposal, rewritten, sample

A, B, C = numbered(3)
NEW = rewritten(A, "Question 0 about pears", "Answer 0.", 0)
CHECKS = [
    {"name": "empty", "passed": True, "numbers": {"empty": []}, "reason": ""},
    {
        "name": "similarity",
        "passed": False,
        "numbers": {"cosine": 0.4235, "low": 0.45, "high": 0.995},
        "reason": "The prompt asks for something else.",
    },
]
CRITIQUE = {"verdict": "accept", "problems": [], "dropped": [], "feedback": "", "passed": True}
PROOF = {
    "name": "proof.quality",
    "passed": True,
    "numbers": {
        "loss": 2.1466,
        "offset": 0.0106,
        "loss_compared": 2.136,
        "loss_at_least": 1.2877,
        "loss_at_most": 4.1616,
        "quality": 0.7682,
        "original_quality": 0.2953,
        "quality_above": 0.4223,
        "quality_at_least": 0.627,
    },
    "reason": "",
}


def made(path: Path, first: Any = A, second: Any = NEW) -> Folder:
    folder = Folder(path)
    folder.dataset(0, [first, B, C], gate="baseline")
    folder.diagnosis(
        0,
        {"quality": {first.id: 0.2953, B.id: 0.9}, "loss_base": {first.id: 2.9421, B.id: 1.0}},
        [(first.id, Axis.QUALITY, "more like a broken answer (cut) than like a sound one")],
        neighbours={first.id: (B.id,)},
        vectors={first.id: (1, 0), B.id: (0, 1), C.id: (1, 1)},
    )
    refused = proposal(first, second, Axis.QUALITY, "rejected", checks=CHECKS)
    refused["reason"] = "similarity: The prompt asks for something else."
    taken = proposal(first, second, Axis.QUALITY, "accepted", 2, critique=CRITIQUE, proof=PROOF)
    folder.outcome(0, first, Axis.QUALITY, "accepted", proposals=[refused, taken])
    folder.dataset(1, [second, B, C])
    folder.finish(best=1)
    return folder


def told(folder: Folder, name: str, *, colour: bool = False) -> str:
    return explain(folder.path, name, colour=colour).text


def test_a_life_is_told_in_full(tmp_path: Path) -> None:
    text = told(made(tmp_path / "run"), A.id[:10])
    for line in (
        f"Line      {A.id} -> {NEW.id}",
        "  quality     0.2953  below 0.4000  1 of 2  FLAGGED",
        "  quality: more like a broken answer (cut) than like a sound one",
        f"    -0.8000  {B.id}  Question 1 about apples",
        "  Refined for quality: accepted, 2 proposals",
        f"    Proposal 1, {NEW.id}: rejected",
        "        Question 0 about [-apples-]{+pears+}",
        "        (unchanged)",
        "      Check     similarity refused (cosine 0.4235, allowed 0.4500 to 0.9950):",
        "      Checks    1 of 2 passed",
        "                empty (none)",
        "      Checks    all 1 passed",
        "      Critic    accepts",
        "      Proof     quality: passed",
        "                loss     2.1360  at least 1.2877, at most 4.1616",
        "                quality  0.7682  at least 0.6270, above 0.4223; it was 0.2953",
        "Round 1",
    ):
        assert line in text.splitlines(), line
    ending = " ".join(text.partition("Ending")[2].split())
    assert ending == (
        "rewritten for quality in round 0; the export is the data of round 1 and holds the"
        f" rewritten {NEW.id}"
    )


def test_checks_that_passed_are_listed_with_what_they_measured(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B, C], gate="baseline")
    folder.diagnosis(0, {"quality": {A.id: 0.2}}, [(A.id, Axis.QUALITY, "low")])
    numbers: list[tuple[str, dict[str, Any], str]] = [
        ("empty", {"empty": []}, ""),
        ("echo", {"echo": False}, ""),
        ("code", {"unchanged": True}, ""),
        ("history", {"turns": 0}, ""),
        ("length", {"old": 34, "new": 57, "ratio": 1.6765, "low": 0.2, "high": 5.0}, ""),
        ("answer_similarity", {"applies": False, "low": 0.45}, ""),
        ("decontamination", {"overlaps": 2, "inherited": 2}, "overlaps, as the original does"),
    ]
    checks = [
        {"name": name, "passed": True, "numbers": measured, "reason": reason}
        for name, measured, reason in numbers
    ]
    row = proposal(A, NEW, Axis.QUALITY, "rejected", checks=[*checks, CHECKS[1]])
    folder.outcome(0, A, Axis.QUALITY, "rejected", proposals=[row])
    text = told(folder, A.id)
    listed = " ".join(text.partition("Checks ")[2].split())
    assert listed.startswith(
        "7 of 8 passed empty (none); echo (no); code (prompt unchanged); history (turns 0); length"
        " (new 57, old 34, ratio 1.6765, allowed 0.2000 to 5.0000); answer similarity (does not"
        " apply); decontamination (inherited 2, overlaps 2): overlaps, as the original does"
    )
    assert "\x1b[2mempty (none); echo (no)" in told(folder, A.id, colour=True)


def test_every_line_fits_80_columns(tmp_path: Path) -> None:
    wide = sample("東京の天気は" * 90, "word " * 300)
    text = told(made(tmp_path / "run", wide), wide.id)
    from rich.cells import cell_len

    assert max(cell_len(line) for line in text.splitlines()) <= 80


def test_colours_take_the_place_of_brackets(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    text = told(folder, A.id, colour=True)
    assert "\x1b[" in text and "[-" not in text and "{+" not in text
    assert re.search(r"\x1b\[9;31mapples\x1b\[0m\x1b\[32mpears\x1b\[0m", text)
    assert "\x1b" not in told(folder, A.id)


def test_nothing_steers_the_terminal(tmp_path: Path) -> None:
    hostile = (
        "\x1b[2J\x1b]0;title\x07red\u202eevil\u2066\x9b31m\r\nnext\x00[bold]line[/bold] :smile:"
    )
    first = sample(f"Old {hostile}", f"Answer {hostile}")
    second = rewritten(first, f"New {hostile}", f"Answer {hostile} more", 0)
    folder = made(tmp_path / "run", first, second)
    with open_record(folder.path) as record:
        found = life(record, first.id)
    for colour in (False, True):
        text = life_text(found, colour=colour)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text) if colour else text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)
        assert "[bold]line[/bold] :smile:" in plain
        assert "title" not in plain


def test_long_stretches_are_left_out_and_counted(tmp_path: Path) -> None:
    first = sample("same words " * 500 + "end", "x" * 100_000)
    second = rewritten(first, "same words " * 500 + "END", "y" * 100_000, 0)
    text = told(made(tmp_path / "run", first, second), first.id)
    assert "characters as before ...]" in text
    assert "98,000 characters more" in text
    assert len(text) < 40_000


def test_only_invisible_changes_are_said_to_be_ones(tmp_path: Path) -> None:
    second = rewritten(A, A.prompt + "\u200b", A.answer, 0)
    text = told(made(tmp_path / "run", A, second), A.id)
    assert "(only characters that can't be seen differ)" in text


def test_json_is_the_whole_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["middo", "explain", str(folder.path), A.id[:8], "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    document = json.loads(capfd.readouterr().out)
    assert document["lineage"] == [A.id, NEW.id]
    first, second = document["rounds"][0]["attempts"]
    assert first["gates"][1]["numbers"] == {"cosine": 0.4235, "low": 0.45, "high": 0.995}
    assert second["messages"][0]["content"] == NEW.prompt
    assert document["rounds"][0]["readings"][2]["axis"] == "quality"


@pytest.mark.parametrize("sample_id", ["zzz", "0" * 16])
def test_a_wrong_id_is_one_line_and_exit_code_2(
    tmp_path: Path,
    sample_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = made(tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["middo", "explain", str(folder.path), sample_id])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capfd.readouterr()
    assert (left.value.code, out) == (2, "")
    assert err.startswith("middo: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("terminal", "variables", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    terminal: bool, variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert colours_wanted() is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d\x85e\x0bf", "a\nb\nc\nd\ne\nf"),
        ("a\tb", "a    b"),
        ("  two  spaces ", "  two  spaces "),
        ("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link", "red link"),
        ("\u202eabc\u200b\ufeff\x00", "abc"),
        ("\ud800x", "x"),
    ],
)
def test_lines_are_cleaned_and_kept(text: str, expected: str) -> None:
    assert clean_lines(text) == expected
