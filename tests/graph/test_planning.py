"""A round that a model plans: what it sees, what is granted, and what is kept."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from middo import run
from middo.agents.reference import reference_from
from middo.core.errors import BudgetReached, ProviderError
from middo.curation.plan import plan_from, plan_refinement
from middo.graph.deps import Deps, open_run
from middo.graph.diagnosing import diagnose_round
from middo.graph.planning import flags_of
from middo.providers.scripted import ScriptedChat
from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from tests.graph.scripts import FACTORY, SCRIPTS
from tests.loop import config, rows

pytestmark = pytest.mark.xdist_group("one finished run")

LIMIT = 4
GREEDY: dict[str, Any] = {
    "rationale": "Everything, at once.",
    "complexity_k": 99,
    "diversity_k": -7,
    "quality_k": 3.9,
    "complexity_share": 1e9,
    "diversity_share": -3,
    "quality_share": 0,
}
CALM = {**GREEDY, "complexity_k": None, "diversity_k": None, "quality_k": None}


@contextmanager
def planning(
    finished: Path, model: Path, folder: Path, replies: list[Any] | None, **sections: Any
) -> Iterator[tuple[Deps, ScriptedChat | None]]:
    """Open a copy of the finished run, whose diagnostician answers from a queue."""
    if not folder.exists():
        shutil.copytree(finished, folder)
    agents: dict[str, Any] = {"rewriter": {"model": "import:tests.loop:teacher"}}
    chat = None
    if replies is not None:
        chat = SCRIPTS[str(folder)] = ScriptedChat(replies=replies)
        agents["diagnostician"] = {"model": FACTORY, "params": {"name": str(folder)}}
    changes: dict[str, Any] = {"refinement": {"max_samples": LIMIT}, "agents": agents, **sections}
    deps = open_run(folder, config(finished.parent / "rows.jsonl", model, **changes))
    try:
        yield deps, chat
    finally:
        deps.close()


async def diagnosed(deps: Deps, number: int = 0, source: int = 0) -> dict[str, Any]:
    await diagnose_round(deps, {"round": number, "source_round": source, "stop": ""})
    path = deps.round_folder(number) / "diagnosis.json"
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


async def test_a_greedy_plan_is_held_and_everything_about_it_is_kept(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    with planning(finished, tiny_folder, tmp_path / "plain", None) as (deps, _):
        before = await diagnosed(deps)
    with planning(finished, tiny_folder, tmp_path / "run", [GREEDY]) as (deps, _):
        after = await diagnosed(deps)
        kept = deps.facts.get("round.0.reference")
        first = deps.facts.get("reference")
        brief = deps.facts.get("round.0.diagnosis")["plan"]
    on = [axis for axis, report in before["axes"].items() if report["on"]]
    assert on == ["complexity", "diversity", "quality"]
    plan = after["plan"]
    assert plan["model"] == FACTORY
    assert plan["asked"] == GREEDY
    assert plan["k"] == {"complexity": 4.0, "diversity": 0.5, "quality": 3.9}
    assert plan["weights"] == {"complexity": 0.8, "diversity": 0.1, "quality": 0.1}
    assert "complexity k: asked 99, held at 4" in plan["held"]
    assert "diversity share: asked -3, held at 0.10" in plan["held"]
    assert plan["rationale"].endswith(f"{FACTORY} says: Everything, at once.")
    assert brief["held"] == plan["held"]
    assert len(plan["selected"]) == min(LIMIT, plan["flagged"])
    for axis, report in after["axes"].items():
        assert report["k"] == plan["k"][axis]
        assert report["threshold"] != before["axes"][axis]["threshold"]
        assert report["flagged"] == sum(flag["axis"] == axis for flag in after["flags"])
    assert after["axes"]["complexity"]["flagged"] < before["axes"]["complexity"]["flagged"]
    bound = after["thresholds"]["quality"]
    assert bound["value"] == min(round(bound["mean"] - 3.9 * bound["std"], 4), 0.5)
    assert {f["threshold"] for f in after["flags"] if f["axis"] == "quality"} == {bound["value"]}
    # What was fitted stays, and the first thresholds are kept beside the moved ones.
    assert after["thresholds"] == kept
    assert first == before["thresholds"]
    assert kept["complexity"] == first["complexity"]
    assert reference_from(kept).complexity_k.curve == reference_from(first).complexity_k.curve


async def test_later_rounds_keep_a_moved_k_and_may_move_it_again(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    wishes = [{**CALM, "quality_k": 0.9}, CALM, {**CALM, "quality_k": 0.7}]
    with planning(finished, tiny_folder, tmp_path / "run", wishes) as (deps, chat):
        assert chat is not None
        await diagnosed(deps)
        deps.facts.put("round.2.gate", {"verdict": "tie"})
        deps.facts.put("round.2.evaluation", deps.facts.get("round.1.evaluation"))
        second = await diagnosed(deps, 1)
        third = await diagnosed(deps, 2)
        moved = deps.facts.get("round.1.reference")
    assert second["axes"]["quality"]["k"] == 0.9
    assert second["plan"]["k"] == {}
    assert moved is None
    assert third["axes"]["quality"]["k"] == 0.7
    first_told, second_told, _ = (call.messages[-1].text for call in chat.calls)
    assert "last round" not in first_told
    assert "last round, complexity: " in second_told
    assert "last round, model on the hold-out: " in second_told


async def test_the_model_sees_no_sample(finished: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with planning(finished, tiny_folder, tmp_path / "run", [CALM]) as (deps, chat):
        assert chat is not None
        document = await diagnosed(deps)
    (call,) = chat.calls
    told = "\n".join(message.text for message in call.messages)
    assert f"{len(rows()) - 20} samples, " in told
    assert f"At most {LIMIT} can be refined." in told
    for row in rows():
        assert row["instruction"] not in told
        assert row["output"] not in told
    assert not [flag["id"] for flag in document["flags"] if flag["id"] in told]


BAD = ["no plan today", json.dumps(CALM).replace("1000000000.0", "NaN"), '{"rationale": "x"}']


@pytest.mark.parametrize("reply", BAD)
async def test_without_a_usable_answer_the_codes_own_plan_stands(
    finished: Path, tiny_folder: Path, tmp_path: Path, reply: str
) -> None:
    with planning(finished, tiny_folder, tmp_path / "plain", None) as (deps, _):
        before = await diagnosed(deps)
    with planning(finished, tiny_folder, tmp_path / "run", [reply, reply]) as (deps, _):
        after = await diagnosed(deps)
        assert deps.facts.get("round.0.reference") is None
        again = await diagnosed(deps)  # the failure too is answered from the ledger
    *cautions, last = after["cautions"]
    assert last.startswith(f"{FACTORY} gave no plan, the code's own stands: ")
    assert cautions == before["cautions"]
    for key in ("plan", "flags", "thresholds", "axes"):
        assert after[key] == before[key] == again[key]


async def test_a_plan_made_again_comes_from_the_ledger(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with planning(finished, tiny_folder, folder, [GREEDY]) as (deps, _):
        first = await diagnosed(deps)
        before = (folder / "rounds/0/signals.parquet").read_bytes()
    with planning(finished, tiny_folder, folder, ["must not be asked"]) as (deps, chat):
        assert chat is not None
        # As after a kill between the answer and the diagnosis.
        (folder / "rounds/0/diagnosis.json").unlink()
        again = await diagnosed(deps)
        (row,) = deps.database.query(
            "SELECT round, sample_id, axis, status FROM units WHERE role = 'diagnostician'"
        )
    assert chat.calls == []
    assert {**again, "scoring": None} == {**first, "scoring": None}
    assert (folder / "rounds/0/signals.parquet").read_bytes() == before
    assert row == (0, "", "", "answered")


async def test_a_provider_that_is_down_and_a_cap_end_the_run(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    with (
        planning(finished, tiny_folder, tmp_path / "down", [ProviderError("no")]) as (deps, _),
        pytest.raises(ProviderError),
    ):
        await diagnosed(deps)
    budget = {"max_tokens": 1}
    with (
        planning(finished, tiny_folder, tmp_path / "run", [CALM], budget=budget) as (deps, _),
        pytest.raises(BudgetReached),
    ):
        await diagnosed(deps)


async def test_with_nothing_flagged_no_model_is_asked(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    names = ("complexity", "diversity", "quality")
    signals = {"k": dict.fromkeys(names, 50.0), "calibration": 24}
    with planning(finished, tiny_folder, tmp_path / "run", [CALM], signals=signals) as (deps, chat):
        assert chat is not None
        with deps.database.transaction() as connection:
            connection.execute("DELETE FROM facts WHERE name = 'reference'")
        document = await diagnosed(deps)
    assert document["flags"] == []
    assert chat.calls == []


async def test_a_k_that_leaves_nothing_to_refine_is_told(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    most = {f"{axis}_k": 90.0 for axis in ("complexity", "diversity", "quality")}
    agents = {
        "rewriter": {"model": "import:tests.loop:teacher"},
        "diagnostician": {"model": FACTORY, "params": {"name": str(tmp_path / "run")}},
        "plan": {"k": [0.5, 100.0]},
    }
    with planning(finished, tiny_folder, tmp_path / "run", [{**CALM, **most}], agents=agents) as (
        deps,
        _,
    ):
        update, _ = await diagnose_round(deps, {"round": 0, "source_round": 0, "stop": ""})
        cautions = deps.facts.get("round.0.diagnosis")["cautions"]
    assert update["stop"] == "the diagnosis flagged no sample"
    assert f"with the k that {FACTORY} planned, no sample is flagged" in cautions


def test_a_run_refines_what_its_model_planned(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    wish = {**CALM, "complexity_share": 0.0, "diversity_share": 0.0, "quality_share": 1.0}
    SCRIPTS[str(folder)] = ScriptedChat(replies=[wish])
    chosen = config(
        finished.parent / "rows.jsonl",
        tiny_folder,
        rounds=1,
        refinement={"attempts": 2, "concurrency": 4, "max_samples": LIMIT},
        agents={
            "rewriter": {"model": "import:tests.loop:teacher"},
            "diagnostician": {"model": FACTORY, "params": {"name": str(folder)}},
        },
    )
    document = run(chosen, folder)
    diagnosis = json.loads((folder / "rounds/0/diagnosis.json").read_text("utf-8"))
    flags = flags_of(diagnosis)
    plan = plan_from(diagnosis["plan"], flags)
    assert plan.selected != plan_refinement(flags, LIMIT).selected
    database = read_database(folder / "ledger.db")
    outcomes = Ledger(database).outcomes(0)
    database.close()
    refined = {(o.sample_id, o.axis) for o in outcomes if o.fate != "deferred"}
    assert refined == {(task.sample_id, task.axis) for task in plan.selected}
    assert len(refined) == LIMIT
    entry = document["rounds"][0]
    assert entry["plan"]["weights"] == diagnosis["plan"]["weights"]
    assert entry["flagged"]["samples"] == LIMIT + entry["deferred"]
