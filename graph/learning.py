"""Train, evaluate, gate: what a round's model is worth on rows that nobody trained on."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..agents.evaluator import Holdout, evaluate
from ..core.disk import writing
from ..core.progress import Note
from ..curation.gate import DECIDED, Judgement, best_round, judge
from ..curation.stop import should_stop
from ..stores.runs import write_text
from ..training.checkpoints import read_record
from ..training.job import TrainedModel, TrainingJob, train
from ..training.weights import weights_digest
from .deps import Deps
from .evaluation import gate_rows, refresh_figures, write_holdout
from .jobs import training_job
from .reporting import advance_in
from .retraining import retrained
from .state import LoopState
from .tasks import refresh_tasks

Step = tuple[dict[str, Any], str]


def train_round(deps: Deps, state: LoopState) -> Step:
    """Fine-tune the base model on the round's data, or reuse the model of equal data."""
    number = state["round"]
    job = training_job(deps, number)
    _reuse_equal(deps, job, number)
    _reuse_given(deps, job)
    made = train(
        job, on_progress=advance_in(deps, "train", number, "steps"), should_stop=deps.should_stop
    )
    deps.facts.put_once("steps", {"rows": made.plan.rows_per_step, "steps": made.plan.max_steps})
    deps.facts.put(f"round.{number}.training", _figures(deps, made))
    for reason, count in sorted(made.skipped.items()):
        deps.report(Note(f"{count} rows are not trained on: {reason}"))
    if not made.packed:
        deps.report(
            Note("rows are trained on one at a time: the model mixes those of one sequence")
        )
    how = "reused, the data is the same" if made.reused else f"{made.peak_memory_mb} MB at most"
    loss = f"train loss {made.train_loss:.3f}"
    return {}, f"{made.rows} rows, {made.plan.max_steps} steps, {loss} ({how})"


def evaluate_round(deps: Deps, state: LoopState) -> Step:
    """Score the hold-out with the round's model; in round 0 with the untuned base too."""
    number = state["round"]
    held, stage = deps.holdout(), f"round.{number}.holdout"
    advance = advance_in(deps, "evaluate", number, "hold-out rows")
    base = None
    if number == 0:
        with deps.comparing(number) as models:
            base = evaluate(models.base, "holdout.base", held, advance)
            scored = evaluate(models.tuned, stage, held, advance)
    else:
        with deps.measuring(number) as tuned:
            scored = evaluate(tuned, stage, held, advance)
    write_holdout(deps, number, scored, base, refresh_tasks(deps, number))
    figures = refresh_figures(deps, number)
    if figures["holdout_loss"] is None:
        return {}, "no hold-out row could be scored"
    low, high = figures["interval"]
    text = f"hold-out loss {figures['holdout_loss']:.4f} [{low:.4f}, {high:.4f}]"
    if number == 0 and (before := deps.facts.get("base_holdout")["loss"]) is not None:
        text += f", untuned base {before:.4f}"
    return {}, f"{text}, {figures['rows']} rows"


def gate_round(deps: Deps, state: LoopState) -> Step:
    """Compare the round with round 0 and the best so far, and see whether the run goes on."""
    number = state["round"]
    if number == 0:
        deps.facts.put("round.0.gate", {"verdict": "baseline", "difference": None, "best": 0})
    else:
        _judge(deps, number)
    gates = [deps.facts.get(f"round.{k}.gate") for k in range(number + 1)]
    verdict = gates[-1]["verdict"]
    reason = should_stop(
        rounds=deps.config.rounds,
        gates=[gate["verdict"] for gate in gates],
        patience=deps.config.gate.patience,
        on_worse=deps.config.gate.on_worse,
    )
    update: dict[str, Any] = {"stop": reason or ""}
    update["source_round"] = gates[-1]["best"] if verdict == "rolled_back" else number
    text = verdict
    if (difference := gates[-1]["difference"]) is not None:
        low, high = difference["low"], difference["high"]
        text += f": {difference['mean']:+.4f} nats [{low:+.4f}, {high:+.4f}] against round 0"
    return update, f"{text}; {'ends: ' + reason if reason else 'goes on'}"


def _judge(deps: Deps, number: int) -> None:
    before = deps.facts.get(f"round.{number - 1}.gate")["best"]
    rows = {k: [gate_rows(deps, k)] for k in {0, before, number}}
    found = _compared(deps, rows, number, before)
    if found is not None and found.gate in DECIDED and deps.config.gate.seeds > 1:
        seeds = deps.config.gate.seeds
        looks = "better" if found.gate == "better" else "worse"
        deps.report(
            Note(f"round {number} looks {looks}: trained with {seeds} seeds before it counts")
        )
        aside = frozenset(deps.facts.get("set_aside", []))
        for k, held in rows.items():
            held += [one.without(aside) for one in retrained(deps, k)]
        found = _compared(deps, rows, number, before)
    if found is None:
        gate: dict[str, Any] = {"verdict": "undecided", "difference": None, "best": before}
        deps.facts.put(f"round.{number}.gate", gate)
        return
    standing = []
    for k in range(number + 1):
        verdict = found.gate if k == number else deps.facts.get(f"round.{k}.gate")["verdict"]
        loss = deps.facts.get(f"round.{k}.evaluation")["holdout_loss"]
        if loss is not None:
            standing.append((k, loss, verdict))
    deps.facts.put(
        f"round.{number}.gate",
        {
            "verdict": found.gate,
            "difference": found.against_first.as_dict(),
            "against_best": found.against_best.as_dict(),
            "best": best_round(standing),
        },
    )


def _compared(
    deps: Deps, rows: Mapping[int, Sequence[Holdout]], number: int, best: int
) -> Judgement | None:
    """Judge a round on the rows that all trainings could score; None where there is no such row.

    Args:
        deps: the open run.
        rows: round -> its hold-out under each of its trainings.
        number: of the round.
        best: of the round before it.
    """
    scored = [{row.id for row in held.rows} for found in rows.values() for held in found]
    common = set.intersection(*scored)
    if not common:
        return None
    # Every hold-out is in order of id, so the rows left line up.
    losses = {
        k: np.array([[row.loss for row in held.rows if row.id in common] for held in found])
        for k, found in rows.items()
    }
    counts = [row.tokens for row in rows[number][0].rows if row.id in common]
    return judge(
        losses[number],
        losses[0],
        losses[best],
        np.array(counts, dtype=np.int64),
        margin=deps.config.gate.margin,
        seed=deps.config.seed,
    )


def _reuse_equal(deps: Deps, job: TrainingJob, number: int) -> None:
    """Take over an earlier round's model where the data set is the same."""
    if job.output.exists():
        return
    for earlier in range(number):
        if deps.facts.get(f"round.{earlier}.dataset")["sha256"] != job.dataset_sha256:
            continue
        model = deps.round_folder(earlier) / "model"
        if weights_digest(model) != deps.weights_of(earlier):
            continue  # damaged since
        _take(model, job)
        return


def _reuse_given(deps: Deps, job: TrainingJob) -> None:
    """Take over the model of another run that was trained by the same job."""
    if job.output.exists():
        return
    for model in (path for folder in deps.given for path in sorted(folder.glob("rounds/*/model"))):
        record = read_record(model)
        if record and record.get("key") == job.key and record["weights"] == weights_digest(model):
            _take(model, job)
            return


def _take(model: Path, job: TrainingJob) -> None:
    """Copy a model to where a job wants it, whole or not at all."""
    partial = job.output.with_name("model.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing(job.output):  # of what it can't copy it tells in words alone
        shutil.copytree(model, partial)
    record = json.loads((partial / "training.json").read_text(encoding="utf-8"))
    # Round 0 found the step plan that later jobs state, so its key differs and its model not.
    write_text(partial / "training.json", json.dumps({**record, "key": job.key}) + "\n")
    partial.rename(job.output)


def _figures(deps: Deps, made: TrainedModel) -> dict[str, Any]:
    return {
        "key": made.key,
        "weights": made.weights,
        "rows": made.rows,
        "skipped": made.skipped,
        "steps": made.plan.max_steps,
        "rows_per_step": made.plan.rows_per_step,
        "tokens": made.tokens,
        "packed": made.packed,
        "train_loss": made.train_loss,
        "seconds": made.seconds,
        "peak_memory_mb": made.peak_memory_mb,
        "reused": made.reused,
        "device": deps.device,
        "dtype": deps.dtype,
    }
