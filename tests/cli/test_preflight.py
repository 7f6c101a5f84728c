"""`middo run` on input that can't be used, and `--dry-run`: nothing is trained or written."""

from pathlib import Path

import pytest

from .conftest import Command

# Parts that are found without weights or packages of a provider.
LIGHT = ("--set", "agents.rewriter.model=import:json:loads", "--set", "checks.embedder=trainee")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_dry_run_shows_the_plan_and_writes_nothing(middo: Command, tiny_folder: Path) -> None:
    words = ("run", "--dry-run", "--limit", "96", "--rounds", "2", *LIGHT)
    ran = middo(*words, "--set", f"model.base={tiny_folder}")
    assert (ran.code, ran.err) == (0, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "Data demo: 150 rows (alpaca)" in lines
    assert "72 to train on, 24 held out" in lines
    assert "Training lora, 3 trainings at most" in lines
    assert "nothing was trained or written" in lines[-1]
    plan = middo(*words, "--set", f"model.base={tiny_folder}", "--json").document
    assert plan["dry_run"] is True
    assert (plan["imported"], plan["holdout"], plan["train_rows"]) == (150, 24, 72)
    assert plan["config"]["rounds"] == 2
    assert not list(Path().iterdir())


BAD = {
    "missing": None,
    "empty": b"",
    "broken": b'[{"instruction": "a", "output": "b"},\n{"instruction": "c" "output": "d"}]',
    "undecodable": b'{"instruction": "a", "output": "\xff\xfe\xfa"}\n',
    "unknown": b'{"colour": "red", "size": 3}\n',
}


@pytest.mark.parametrize("name", sorted(BAD))
@pytest.mark.parametrize("dry", [True, False])
def test_unusable_data_is_one_line_and_no_folder(
    middo: Command, tiny_folder: Path, name: str, dry: bool
) -> None:
    path = Path(f"{name}.json")
    content = BAD[name]
    if content is not None:
        path.write_bytes(content)
    words = ["run", "--data", path, "--set", f"model.base={tiny_folder}", *LIGHT]
    ran = middo(*words, *(["--dry-run"] if dry else []))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("middo: ")
    assert ran.err.count("\n") == 1
    assert path.name in ran.err
    assert list(Path().iterdir()) == ([path] if content is not None else [])


def test_a_model_folder_without_weights_is_refused(middo: Command) -> None:
    Path("model").mkdir()
    ran = middo("run", "--set", "model.base=./model", *LIGHT)
    assert ran.code == 2
    assert "'./model'" in ran.err
    assert ran.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["model"]


def test_quarantined_rows_are_shown_with_their_reasons(middo: Command, tiny_folder: Path) -> None:
    good = [f'{{"instruction": "question {n}", "output": "answer {n}"}}\n' for n in range(40)]
    bad = '{"instruction": "\\u001b[31mno answer", "output": ""}\n'
    Path("rows.jsonl").write_text("".join([*good, bad]), encoding="utf-8")
    words = ["run", "--data", "rows.jsonl", "--dry-run", "--set", f"model.base={tiny_folder}"]
    ran = middo(*words, *LIGHT)
    assert ran.code == 0
    assert "Quarantined  1 row" in ran.out
    assert "rows.jsonl:41: " in ran.out
    assert "\x1b" not in ran.out
