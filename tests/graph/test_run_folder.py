"""A run takes a new or empty folder; what it holds already is never overwritten."""

from pathlib import Path

import pytest

from middo.core.config import RunConfig
from middo.core.errors import BudgetReached, ConfigError, Interrupted, MiddoError, UsageError
from middo.formats.configuration import dump_config
from middo.graph.run import _refuse_used, _status, resume, run
from middo.stores.lock import run_lock
from middo.stores.runs import CONFIG

CONFIGURED = RunConfig()


def test_a_new_or_empty_folder_is_taken(tmp_path: Path) -> None:
    _refuse_used(tmp_path / "new", CONFIGURED)
    _refuse_used(tmp_path, CONFIGURED)


def test_a_run_that_died_before_it_wrote_anything_blocks_nothing(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]
    _refuse_used(tmp_path, CONFIGURED)


def test_a_run_that_died_while_it_wrote_its_configuration_blocks_nothing(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        (tmp_path / "config.yaml.partial").write_text("model: {ba", encoding="utf-8")
    _refuse_used(tmp_path, CONFIGURED)


def test_a_run_that_began_while_another_was_checked_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dump_config(CONFIGURED.model_copy(update={"rounds": 1}))

    def meanwhile(config: RunConfig) -> None:
        (tmp_path / CONFIG).write_text(other, encoding="utf-8")  # by a process that then died

    monkeypatch.setattr("middo.graph.preflight.check", meanwhile)
    with pytest.raises(ConfigError, match="rounds: 1 -> 3"):
        run(CONFIGURED, tmp_path)
    assert (tmp_path / CONFIG).read_text("utf-8") == other


def test_other_files_are_not_mixed_with_a_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is not empty"):
        _refuse_used(tmp_path, CONFIGURED)
    with pytest.raises(UsageError, match="is a file"):
        _refuse_used(tmp_path / "notes.txt", CONFIGURED)


def test_a_folder_with_a_configuration_holds_a_run(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(dump_config(CONFIGURED), encoding="utf-8")
    with pytest.raises(UsageError, match="go on with `middo resume"):
        _refuse_used(tmp_path, CONFIGURED)
    other = CONFIGURED.model_copy(update={"rounds": 1})
    with pytest.raises(ConfigError, match="rounds: 3 -> 1"):
        _refuse_used(tmp_path, other)


def test_resuming_what_is_no_run_ends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        resume(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BudgetReached("cap"), "budget"),
        (Interrupted("stopped"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (MiddoError("broken"), "failed"),
        (ValueError("bug"), "failed"),
    ],
)
def test_a_run_says_how_it_ended(error: BaseException, status: str) -> None:
    assert _status(error) == status
