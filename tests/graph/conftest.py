"""One finished run that several tests look at."""

from pathlib import Path
from typing import Any

import pytest

from middo import run
from middo.stores.runs import read_run
from tests.loop import config, write_rows


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A finished run folder; its data set lies beside it."""
    folder = tmp_path_factory.mktemp("loop")
    run(config(write_rows(folder / "rows.jsonl"), tiny_folder), folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def document(finished: Path) -> dict[str, Any]:
    """The `run.json` of the finished run."""
    return read_run(finished)
