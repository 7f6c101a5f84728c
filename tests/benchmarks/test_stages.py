"""What a benchmark tells of the run that it makes."""

import pytest

from benchmarks.stages import Teller
from middo.core.progress import Finished, Note, Progress, Started


def test_steps_and_notes_are_told_and_progress_once_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("benchmarks.stages.time.monotonic", lambda: now)
    tell = Teller()
    for done in range(3):
        tell(Progress("train", 0, done, 9, "steps", eta=60.0))
    tell(Started("train", 0))
    tell(Note("2 rows overlap"))
    now += 61
    tell(Progress("train", 0, 7, 9, "steps"))
    tell(Finished("train", 0, 12.4, "9 steps"))
    assert capsys.readouterr().err.splitlines() == [
        "train 0/9 steps, 60 s left",
        "2 rows overlap",
        "train 7/9 steps",
        "round 0 train: 9 steps, 12 s",
    ]
