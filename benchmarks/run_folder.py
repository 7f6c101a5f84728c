"""Make a finished run folder of any size without a model, by the code that runs are made by.

    python -m benchmarks.run_folder --out FOLDER [--data rows.json] [--rows 52000] [--refined 5000]

Two data sets and one diagnosis. Import, hold-out, versions, signals, thresholds, neighbours,
clusters, plan, ledger, merge, index and `run.json` come out of the nodes' own functions; the
measurements, the proposals and what models and gates say of them are made up. Without `--data` the
shipped rows are repeated with words changed, as in `benchmarks.scale`.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale import calibration, measurements, synthetic_vectors, write_rows
from middo.agents.evaluator import Holdout, HoldoutRow
from middo.agents.signal_table import collect
from middo.core.config import RunConfig
from middo.core.ids import short_hash
from middo.core.progress import Report, silent
from middo.core.records import Axis, Sample, sample_id
from middo.curation.plan import Task
from middo.formats.configuration import dump_config
from middo.graph.deps import Deps, open_run
from middo.graph.diagnosing import write_diagnosis
from middo.graph.document import write_document
from middo.graph.evaluation import refresh_figures, write_holdout
from middo.graph.learning import gate_round
from middo.graph.merging import merge_round
from middo.graph.planning import plan_round
from middo.graph.preparing import prepare
from middo.graph.state import LoopState
from middo.graph.surveying import Survey, map_vectors
from middo.stores.ledger import Outcome, Unit
from middo.stores.runs import write_text
from middo.stores.tables import write_embeddings

REFINED = 5_000
ROWS = 52_000
SEED = 7
SHARE = 0.05
HARDER = {Axis.COMPLEXITY: 0.5, Axis.QUALITY: 0.6, Axis.DIVERSITY: 0.2}
"""How often a proposal is accepted."""
CHECKS = (
    *("empty", "wrapper", "echo", "refusal", "copied", "leakage", "language", "unchanged"),
    *("answer_constraints", "decontamination", "history", "numbers", "quotes", "urls", "code"),
    *("constraints", "length", "similarity", "answer_similarity"),
)
OTHER_TASK = "The prompt asks for something else. Keep its task."
CRITIC_SAYS = "The new answer leaves out the second part of the question."
MODEL = "made-up:teacher"
AT_ONCE = 500


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="a new folder")
    parser.add_argument("--data", default="demo", help="rows in any form that Middo imports")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--refined", type=int, default=REFINED)
    options = parser.parse_args()
    began = time.monotonic()
    document = make_run(options.out, options.data, options.rows, options.refined)
    first = document["rounds"][0]
    sys.stdout.write(
        f"{options.out}: {first['dataset']['rows']:,} rows, {first['flagged']['samples']:,}"
        f" flagged, {first['accepted']:,} accepted, {time.monotonic() - began:.0f} s\n"
    )


def make_run(
    folder: Path, data: str, rows: int, refined: int, report: Report = silent
) -> dict[str, Any]:
    """Make a finished run with one refinement and return its `run.json`.

    Args:
        folder: new.
        data: what texts come from.
        rows: of the input; a hundredth is held out.
        refined: samples refined at most; other flagged ones are deferred.
        report: is told what a run would tell.
    """
    folder.mkdir(parents=True)
    source = folder.with_name(f"{folder.name}.rows.jsonl")
    write_rows(data, rows, source)
    config = RunConfig.model_validate(
        {
            "data": {"path": str(source)},
            "signals": {"share": SHARE},
            "refinement": {"max_samples": refined},
            "evaluation": {"rows": max(rows // 100, 8)},
            "rounds": 1,
            "seed": SEED,
        }
    )
    write_text(folder / "config.yaml", dump_config(config))
    deps = open_run(folder, config, report=report)
    # Prompts of new samples are compared with each other; none of these is a copy.
    deps.embedder = _unlike
    try:
        return asyncio.run(_make(deps))
    finally:
        deps.close()
        source.unlink()


async def _make(deps: Deps) -> dict[str, Any]:
    deps.facts.put("started", "2026-01-01T00:00:00+00:00")
    state: LoopState = {"round": 0, "source_round": 0, "stop": ""}
    prepare(deps, state)
    _trained(deps, 0, better=0.0)
    gate_round(deps, state)
    survey = _survey(deps)
    planned = await plan_round(deps, 0, survey)
    write_diagnosis(deps, 0, 0, survey, planned)
    deps.ledger.add_outcomes(
        Outcome(0, task.sample_id, task.axis, "deferred", "beyond refinement.max_samples", [])
        for task in planned.plan.deferred
    )
    await _refined(deps, list(planned.plan.selected))
    merge_round(deps, state)
    _trained(deps, 1, better=0.02)
    gate_round(deps, {"round": 1, "source_round": 0, "stop": ""})
    for number in (0, 1):
        deps.facts.put(f"round.{number}.times", {"train": 100.0, "evaluate": 10.0})
    deps.facts.put(
        "result",
        {
            "best_round": 1,
            "export": "export",
            "result": "best round 1",
            "stopped": "all configured rounds are done",
        },
    )
    return write_document(deps, "finished")


def _unlike(texts: list[str]) -> NDArray[np.float32]:
    vectors = np.random.default_rng([SEED, 5]).standard_normal((len(texts), 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def _trained(deps: Deps, number: int, *, better: float) -> None:
    """Write what training and evaluation leave behind, with losses that are made up."""
    rng = np.random.default_rng([SEED, 6])
    ids = sorted(deps.holdout().ids())
    losses = rng.normal(1.8, 0.4, len(ids)).round(4).tolist()

    def held(shift: float) -> Holdout:
        pairs = zip(ids, losses, strict=True)
        return Holdout(tuple(HoldoutRow(name, round(x + shift, 4), 40) for name, x in pairs), 0)

    write_holdout(deps, number, held(-better), held(0.1) if number == 0 else None)
    deps.facts.put(
        f"round.{number}.training",
        {"seconds": 100.0, "steps": 100, "train_loss": 1.8 - better, "weights": f"{number:064d}"},
    )
    refresh_figures(deps, number)


def _survey(deps: Deps) -> Survey:
    version = deps.version(0)
    base, tuned = measurements(version)
    raw, ids = synthetic_vectors(version.rows), sorted(version.ids())
    write_embeddings(deps.round_folder(0) / "embeddings.parquet", ids, raw)
    del raw
    signals = collect(version, base, tuned, calibration(), ids, one_model=False)
    near, clusters = map_vectors(deps, deps.round_folder(0), "round-0", signals)
    return Survey(signals, near, calibration(), clusters, None, {}, 1.8, {})


async def _refined(deps: Deps, tasks: list[Task]) -> None:
    """Write what refinement leaves in the ledger: units and an outcome per task."""
    rng = np.random.default_rng([SEED, 7])
    for start in range(0, len(tasks), AT_ONCE):
        block = tasks[start : start + AT_ONCE]
        samples = deps.version(0).take(task.sample_id for task in block)
        outcomes, units = [], []
        for task in block:
            sample = samples[task.sample_id]
            outcome = _outcome(task, sample, rng)
            outcomes.append(outcome)
            units += [unit for row in outcome.proposals for unit in _units(task, sample, row)]
        await asyncio.gather(*(deps.ledger.add_unit(unit) for unit in units))
        deps.ledger.add_outcomes(outcomes)


def _outcome(task: Task, sample: Sample, rng: np.random.Generator) -> Outcome:
    rows: list[dict[str, Any]] = []
    for attempt in (1, 2, 3):
        accepted = bool(rng.random() < HARDER[task.axis])
        refuses = ("checks", "critique", "proof")[int(rng.integers(3))]
        rows.append(_proposal(task, sample, attempt, None if accepted else refuses))
        if accepted:
            return Outcome(0, sample.id, task.axis, "accepted", "", rows)
    return Outcome(0, sample.id, task.axis, "rejected", rows[-1]["reason"], rows)


def _proposal(task: Task, sample: Sample, attempt: int, refuses: str | None) -> dict[str, Any]:
    adds = task.adds
    prompt = f"In other words: {sample.prompt}" if adds else sample.prompt
    answer = f"{sample.answer} That is all there is to say, put {attempt} times."
    messages = sample.with_exchange(prompt, answer)
    failing = "similarity" if refuses == "checks" else None
    checks = [
        {
            "name": name,
            "passed": name != failing,
            "numbers": {"cosine": 0.41, "low": 0.6, "high": 0.995} if name == failing else {},
            "reason": "The prompt asks for something else. Keep its task."
            if name == failing
            else "",
        }
        for name in CHECKS
    ]
    said = {"problems": [], "dropped": [], "feedback": "", "verdict": "accept", "passed": True}
    if refuses == "critique":
        said |= {"feedback": CRITIC_SAYS, "verdict": "revise", "passed": False}
    name, loss = f"proof.{task.axis}", 2.9 if refuses == "proof" else 1.5
    reason = "the new answer is still unusually hard for the model to learn"
    proof = {
        "name": name,
        "passed": refuses != "proof",
        "numbers": {"loss": loss, "loss_compared": loss, "loss_at_least": 0.9, "loss_at_most": 2.4},
        "reason": reason if refuses == "proof" else "",
    }
    reasons = {
        "checks": f"similarity: {OTHER_TASK}",
        "critique": f"critic: {CRITIC_SAYS}",
        "proof": f"{name}: {reason}",
    }
    return {
        "id": sample_id(messages),
        "parent_id": sample.id,
        "axis": str(task.axis),
        "attempt": attempt,
        "messages": [message.as_dict() for message in messages],
        "adds": adds,
        "checks": checks,
        "critique": None if refuses == "checks" else said,
        "proof": None if refuses in ("checks", "critique") else proof,
        "verdict": "accepted" if refuses is None else "rejected",
        "reason": "" if refuses is None else reasons[refuses],
    }


def _units(task: Task, sample: Sample, row: dict[str, Any]) -> list[Unit]:
    """Return the calls behind a proposal; their instructions are as long as real ones are."""
    proposed = row["messages"][-1]["content"]
    asked = {"rewriter": ("answer", {"answer": proposed})}
    if row["critique"] is not None:
        asked["critic"] = ("critique", row["critique"])
    return [
        Unit(
            key=short_hash([role, sample.id, row["attempt"]]),
            role=role,
            round=0,
            sample_id=sample.id,
            axis=str(task.axis),
            axes="+".join(task.axes),
            attempt=row["attempt"],
            source="live",
            model=MODEL,
            prompt=prompt,
            prompt_version=1,
            prompt_hash=short_hash(prompt),
            messages=[["system", f"Instructions for {role}. " * 40], ["user", sample.prompt]],
            status="answered",
            value=value,
            raw=[str(value)],
            error=None,
            prompt_tokens=400 + len(sample.prompt) // 4,
            completion_tokens=len(proposed) // 4,
            usd=0.0005,
            held_tokens=400,
            held_usd=0.0005,
            seconds=0.8,
        )
        for role, (prompt, value) in asked.items()
    ]


if __name__ == "__main__":
    main()
