import io
import sys
from pathlib import Path

import pytest

from middo.cli.keyboard import Keyboard, joined, marks, parted
from middo.core.errors import UsageError

TEXTS = [("Name a river.", "The Aare."), ("a\n\nb\n", "\n c"), ("", "---------- answer ----------")]


@pytest.mark.parametrize(("prompt", "answer"), TEXTS)
def test_texts_come_back_from_an_editor_as_they_were(prompt: str, answer: str) -> None:
    assert parted(joined(prompt, answer), marks(prompt, answer)) == (prompt, answer)


def test_marks_that_are_gone_or_doubled_are_an_error() -> None:
    mark = marks("a", "b")
    for text in ("a\nb", joined("a", "b") + mark[0], f"{mark[1]}\n{mark[0]}\n"):
        with pytest.raises(UsageError, match="keep the lines '---------- prompt"):
            parted(text, mark)


def test_without_an_editor_both_texts_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nThe Rhine.\n"))
    assert Keyboard().edit("Name a river.", "The Aare.") == ("Name a river.", "The Rhine.")


def test_an_editor_that_fails_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VISUAL", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="can't be started"):
        Keyboard().edit("a", "b")
    monkeypatch.setenv("VISUAL", "false")
    with pytest.raises(UsageError, match="ended with 1"):
        Keyboard().edit("a", "b")
