"""A diagnosis that is made again measures nothing again, and says the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from middo.core.progress import Event, Progress
from middo.graph.deps import open_run
from middo.graph.diagnose import diagnose
from middo.graph.diagnosing import diagnose_round
from middo.stores.tables import read_embeddings, read_signals
from tests.loop import config

pytestmark = pytest.mark.xdist_group("one finished run")


async def test_a_round_diagnosed_again_scores_nothing(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    before = (folder / "rounds/0/signals.parquet").read_bytes()
    events: list[Event] = []
    deps = open_run(folder, settings(finished, tiny_folder), report=events.append)
    rows = deps.database.query("SELECT count(*) FROM scores")
    await diagnose_round(deps, {"round": 0, "source_round": 0, "stop": ""})
    again = (folder / "rounds/0/signals.parquet").read_bytes()
    # Rolled back, a round is diagnosed on the data and with the model of the one it goes back to.
    await diagnose_round(deps, {"round": 1, "source_round": 0, "stop": ""})
    assert deps.database.query("SELECT count(*) FROM scores") == rows
    deps.close()
    assert not [event for event in events if isinstance(event, Progress)]
    assert again == before
    same = read_signals(folder / "rounds/1/signals.parquet", columns=("id", "loss_tuned"))
    assert same == read_signals(folder / "rounds/0/signals.parquet", columns=("id", "loss_tuned"))


def settings(finished: Path, tiny_folder: Path) -> Any:
    return config(finished.parent / "rows.jsonl", tiny_folder)


def test_the_files_of_a_diagnosis_belong_together(finished: Path) -> None:
    folder = finished / "rounds/0"
    rows = read_signals(folder / "signals.parquet")
    ids, vectors = read_embeddings(folder / "embeddings.parquet")
    document = json.loads((folder / "diagnosis.json").read_text("utf-8"))
    names = [row["id"] for row in rows]
    assert names == sorted(names)
    assert ids == [row["id"] for row in rows if row["density"] is not None]
    assert vectors.shape == (len(ids), 48)
    flagged = {(row["id"], axis) for row in rows for axis in row["flags"]}
    assert flagged == {(flag["id"], flag["axis"]) for flag in document["flags"]}
    assert {name for row in rows for name in row["neighbours"]} <= set(ids)
    found = document["clusters"]
    assert found["rows"] == found["sampled"] == len(ids)
    assert found["noise"] + sum(one["size"] for one in found["clusters"]) == len(ids)


def test_a_data_set_diagnosed_again_in_its_folder_scores_nothing(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "diagnosis"
    first: list[Event] = []
    one = diagnose(settings(finished, tiny_folder), None, out, report=first.append)
    before = (out / "signals.parquet").read_bytes()
    second: list[Event] = []
    other = diagnose(settings(finished, tiny_folder), None, out, report=second.append)
    assert [event for event in first if isinstance(event, Progress)]
    assert not [event for event in second if isinstance(event, Progress)]
    assert one.pop("scoring")["passes"] > 0
    assert other.pop("scoring")["passes"] == 0
    assert one == other
    assert one["rows"] == 72
    assert (out / "signals.parquet").read_bytes() == before
    assert not list(out.glob("imported*"))
