"""A run with a recording as its teacher ends with the data of the run that was recorded."""

from pathlib import Path
from typing import Any

import pytest

from middo import run
from middo.core.errors import ProviderError
from middo.stores.recording import read_recording
from tests.loop import config

pytestmark = pytest.mark.xdist_group("one finished run")


def replayed(finished: Path, model: Path, **role: Any) -> Any:
    agents = {"rewriter": {"model": f"replay:{finished}", **role}}
    return config(finished.parent / "rows.jsonl", model, agents=agents)


def test_a_replayed_run_gives_the_same_data(
    finished: Path, document: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    again = run(replayed(finished, tiny_folder), tmp_path / "run")
    assert again["status"] == "finished"
    assert sum(entry["accepted"] or 0 for entry in again["rounds"]) >= 3
    assert [entry["dataset"] for entry in again["rounds"]] == [
        entry["dataset"] for entry in document["rounds"]
    ]
    exported = "export/data.jsonl"
    assert (tmp_path / "run" / exported).read_bytes() == (finished / exported).read_bytes()
    tokens = again["tokens"]
    assert tokens["calls"] == tokens["replayed"] == document["tokens"]["calls"]
    assert (tokens["prompt"], tokens["completion"], again["cost_usd"]) == (0, 0, 0.0)
    # What was replayed can be replayed again.
    assert read_recording(str(tmp_path / "run")).answers == read_recording(str(finished)).answers


def test_a_run_that_asks_for_more_stops_and_names_the_sample(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    more = replayed(finished, tiny_folder).model_copy(update={"seed": 8})  # other samples
    with pytest.raises(ProviderError, match=r"holds no answer for sample '[0-9a-f]{16}"):
        run(more, tmp_path / "run")
