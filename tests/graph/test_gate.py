"""The gate under test: a teacher that spoils, one that repairs, and data that nobody held back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from middo import run
from middo.agents.evaluator import holdout_from
from middo.core.progress import Event, Note
from middo.core.records import Message, Sample, sample_id
from middo.graph.deps import Deps, open_run
from middo.graph.learning import evaluate_round, gate_round, train_round
from middo.graph.preparing import prepare
from middo.graph.retraining import other_seed, retrained
from middo.graph.state import LoopState
from middo.stores.runs import read_json
from middo.stores.samples import write_version
from tests.graph.teachers import shuffled
from tests.loop import PLACES, TOPICS, config, easy_answer


def write_rows(path: Path, broken: Callable[[int], bool]) -> Path:
    """Write 108 rows; the answers of the broken ones are out of order."""
    lines = []
    for number in range(108):
        topic, place = TOPICS[number % 18], (*PLACES, "Rome", "the north")[number // 18]
        answer = easy_answer(topic, place)
        said = shuffled(answer) if broken(number) else answer
        lines.append({"instruction": f"Tell me about {topic} in {place}.", "output": said})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def looped(
    folder: Path, model: Path, teacher: str, broken: Callable[[int], bool], seeds: int = 3
) -> Any:
    chosen = config(
        write_rows(folder / "rows.jsonl", broken),
        model,
        rounds=1,
        signals={"share": 0.25, "calibration": 32},
        agents={"rewriter": {"model": f"import:tests.graph.teachers:{teacher}"}},
        evaluation={"rows": 30},
        gate={"seeds": seeds},
    )
    return run(chosen, folder / "run")


def test_a_teacher_that_spoils_ends_on_the_seed_version(tmp_path: Path, tiny_folder: Path) -> None:
    document = looped(tmp_path, tiny_folder, "spoiling", lambda number: False)
    first, second = document["rounds"]
    assert first["flagged"]["samples"] >= 10
    assert first["accepted"] == 0
    assert second["dataset"]["sha256"] == first["dataset"]["sha256"]
    assert document["best_round"] == 0
    assert document["result"].startswith("best round 0: no refinement lowered the hold-out loss")
    assert not (tmp_path / "run/rounds/0/seeds").exists()  # nothing to ask other seeds for


def test_a_teacher_that_repairs_is_not_rolled_back(tmp_path: Path, tiny_folder: Path) -> None:
    # With one seed: a gate that lets several seeds speak rolls back less.
    document = looped(tmp_path, tiny_folder, "repairing", lambda number: number % 4 == 1, seeds=1)
    first, second = document["rounds"]
    assert first["accepted"] >= 3
    assert first["evaluation"]["set_aside"] >= 3  # of the hold-out, which is as dirty as the seed
    assert second["gate"] in {"better", "tie"}
    assert document["best_round"] == 1
    assert second["difference"]["mean"] < 0
    # With the broken rows, which answer as the seed's broken rows did, the gain would look smaller.
    before, after = (one["evaluation"]["all_rows"]["loss"] for one in (first, second))
    assert after - before > second["difference"]["mean"]


@pytest.fixture
def spoiled(tmp_path: Path, tiny_folder: Path) -> Any:
    """A run whose second data set is the first one with a third of its answers out of order."""
    data = write_rows(tmp_path / "rows.jsonl", lambda number: False)
    chosen = config(data, tiny_folder, evaluation={"rows": 30}, gate={})
    events: list[Event] = []
    deps = open_run(tmp_path / "run", chosen, report=events.append)
    for step in (prepare, train_round, evaluate_round, gate_round):
        step(deps, state(0))
    _publish(deps)
    for step in (train_round, evaluate_round):
        step(deps, state(1))
    yield deps, events
    deps.close()


def state(number: int) -> LoopState:
    return {"round": number, "source_round": number, "stop": ""}


def _publish(deps: Deps) -> None:
    """Publish D_1 as merging does, with answers that no gate of a proposal has seen."""
    version = deps.version(0)
    rows = [_spoilt(row) if number % 3 == 0 else row for number, row in enumerate(version)]
    folder = deps.round_folder(1) / "dataset"
    manifest = write_version(folder, rows, parent=version.sha256, made_by={"step": "merge"})
    deps.facts.put("round.1.dataset", {"rows": manifest.rows, "sha256": manifest.sha256})
    deps.facts.put("rounds_seen", 2)


def _spoilt(row: Sample) -> Sample:
    messages = (*row.messages[:-1], Message("assistant", shuffled(row.answer)))
    return Sample(
        sample_id(messages), messages, row.source, "rewritten", parent_id=row.id, meta=row.meta
    )


def test_spoilt_data_is_rolled_back_over_three_seeds(spoiled: Any) -> None:
    deps, events = spoiled
    update, told = gate_round(deps, state(1))
    gate = deps.facts.get("round.1.gate")
    assert (gate["verdict"], gate["best"]) == ("rolled_back", 0)
    assert update["source_round"] == 0
    assert "rolled back" in update["stop"]
    assert gate["difference"]["low"] > deps.config.gate.margin
    assert (gate["difference"]["rows"], gate["difference"]["seeds"]) == (30, 3)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert "round 1 looks worse: trained with 3 seeds before it counts" in notes
    assert told.startswith("rolled_back: +")

    kept = {
        k: [read_json(deps.round_folder(k) / f"seeds/{n}.json") for n in (1, 2)] for k in (0, 1)
    }
    for documents in kept.values():
        assert [one["seed"] for one in documents] == [other_seed(7, 1), other_seed(7, 2)]
    assert kept[0][0]["tuned"] != kept[0][1]["tuned"] != kept[1][1]["tuned"]
    assert not list(deps.folder.glob("rounds/*/seeds/*.model"))

    # What is damaged is made again as it was; what is there is taken.
    file = deps.round_folder(0) / "seeds/1.json"
    file.write_text(file.read_text("utf-8").replace("0", "1"), encoding="utf-8")
    again = retrained(deps, 0)
    assert again == [holdout_from(one["tuned"]) for one in kept[0]]
    assert gate_round(deps, state(1)) == (update, told)
