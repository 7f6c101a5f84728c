"""`middo estimate`: what a run would take, from its configuration and a sample of its rows.

Reads the data, renders the agents' real prompts with sampled rows, times this machine, and does
sums. No run folder is made, nothing is asked of a model elsewhere, and no key is needed.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..core.config import RoleConfig, RunConfig
from ..core.errors import DataError
from ..core.records import Axis, Sample
from ..curation.effort import Shape, Speeds, disk_bytes, scoring_seconds, training_seconds
from ..curation.estimate import (
    COURSES,
    Course,
    Flagged,
    Traffic,
    against_cap,
    attempts_of,
    expected_flags,
    total,
    traffic_of,
)
from ..providers.prices import Price, Prices
from ..signals.calibration import FEWEST_ROWS
from ..training.device import pick_device, pick_dtype
from ..training.sources import ModelSource, check_model, load_tokenizer, resolve_model
from .model_size import model_size
from .preparing import compared, select, split, staged
from .rehearsal import Asked, Count, opening, rehearse
from .samples import Samples
from .task_rows import task_exchanges
from .timing import (
    CallTime,
    ScoringTime,
    TrainingTime,
    as_line,
    steps_of,
    time_calls,
    time_scoring,
    time_training,
)

SAMPLED = 200
"""Rows that stand for all."""
TIMED_ROWS = 2
PLANNER = Traffic(1.0, 1500.0, 300.0)
"""Assumed of the call that a diagnostician's model gets per round."""


def estimate(config: RunConfig) -> dict[str, Any]:
    """Return the estimate as JSON types.

    Counts are expected values, so not whole; `low`, `middle` and `high` are the courses of
    `curation.estimate`. Unknown money and unknown time are None.

    Raises:
        UsageError: the data, the trainee or the file of prices can't be used.
    """
    check_model(config.model.base)
    prices = Prices.load(config.budget.prices)
    device = pick_device()
    dtype = pick_dtype(config.model.dtype, device)
    source = resolve_model(config.model.base)
    with (
        TemporaryDirectory(prefix="middo-") as scratch,
        staged(config, Path(scratch) / "rows") as imported,
    ):
        chosen = select(imported.rows, config)
        selected, held = split(chosen, config)
        training = compared(
            selected, held, config, imported.format, task_exchanges(config)
        ).training
        sampled = _sampled(training, config)
        stored = sum(file.stat().st_size for file in (Path(scratch) / "rows").rglob("*.parquet"))
        row_bytes = stored / max(len(imported.rows), 1)
        rows, held_rows = len(training), len(held)
        from_data = config.evaluation.data is None
        counts = {
            "imported": imported.total,
            "quarantined": len(imported.quarantined),
            "train": rows,
            "holdout": held_rows if from_data else 0,
            "evaluation": held_rows,
            "sampled": len(sampled),
        }
    scoring = time_scoring(config, source, sampled, device=device, dtype=dtype)
    plan = steps_of(config, scoring.trained_tokens, round(rows * scoring.scorable))
    trained = time_training(config, source, sampled, plan, device=device, dtype=dtype)
    flagged = expected_flags(
        rows * scoring.scorable,
        config.signals,
        quality=min(config.signals.calibration, rows + held_rows) >= FEWEST_ROWS,
        rounds=config.rounds,
        max_samples=config.refinement.max_samples,
    )
    count = _counter(source)
    traffic = _traffic(config, sampled, flagged, count)
    times = _call_times(config, sampled, count)
    shape = Shape(
        rounds=config.rounds,
        steps=plan.max_steps,
        train_rows=rows,
        holdout_rows=held_rows,
        calibration_rows=min(config.signals.calibration, rows + held_rows),
        plain_tokens=scoring.plain_tokens,
        full_tokens=scoring.full_tokens,
        flagged=tuple(one.samples for one in flagged),
    )
    models = _models(config, traffic, prices)
    seconds = _seconds(config, shape, scoring, trained, traffic, times)
    tokens = {c: total(traffic[c].values()).tokens for c in COURSES}
    usd = _usd(models)
    return {
        "data": config.data.path,
        "rows": {**counts, "scorable_share": scoring.scorable},
        "trainings": config.rounds + 1,
        "steps": plan.max_steps,
        "flagged": [
            {**{str(axis): n for axis, n in one.by_axis.items()}, "samples": one.samples}
            for one in flagged
        ],
        "roles": _roles(config, traffic, times),
        "tokens": tokens,
        "models": models,
        "cost_usd": usd,
        "machine": {
            "model": config.model.base,
            "method": config.training.method,
            "device": device,
            "dtype": dtype,
            "scoring_tokens_per_second": scoring.rate,
            "step_seconds": trained and trained.step,
            "steps_timed": trained and trained.steps,
        },
        "seconds": seconds,
        "disk_bytes": dict(
            disk_bytes(
                shape,
                row_bytes=row_bytes,
                json_bytes=sum(len(as_line(s)) for s in sampled) / len(sampled),
                **model_size(config, source.folder, dtype),
            )
        ),
        "caps": _caps(config, usd, tokens, seconds),
    }


def _sampled(rows: Samples, config: RunConfig) -> list[Sample]:
    """Return a seeded random sample, in the order of the data."""
    if not len(rows):
        raise DataError(f"{config.data.path}: no row is left to train on; give more rows")
    wanted = min(SAMPLED, len(rows))
    picks = set(random.Random(config.seed).sample(range(len(rows)), wanted))
    return [sample for index, sample in enumerate(rows) if index in picks]


def _counter(source: ModelSource) -> Count:
    """Return the unit of all token counts: the trainee's tokens.

    On the agents' prompts they come nearer to other models' counts than a rule on characters.
    """
    tokenizer = load_tokenizer(source.folder)

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    return count


def _traffic(
    config: RunConfig, sampled: Sequence[Sample], flagged: Sequence[Flagged], count: Count
) -> dict[Course, dict[str, Traffic]]:
    costs = rehearse(sampled, count, neighbours=config.signals.neighbours, seed=config.seed)
    found = {}
    for course in COURSES:
        attempts = attempts_of(course, config.refinement.attempts)
        found[course] = traffic_of(flagged, costs, attempts)
        if "diagnostician" in config.agents.roles:
            found[course]["diagnostician"] = PLANNER.times(config.rounds)
    return found


def _call_times(config: RunConfig, sampled: Sequence[Sample], count: Count) -> dict[str, CallTime]:
    """Time each model once, whichever roles it plays."""
    middling = sorted(sampled, key=lambda sample: len(sample.prompt) + len(sample.answer))
    half = len(middling) // 2
    asked: list[Asked] = [
        opening(sample, Axis.QUALITY, count) for sample in middling[half : half + TIMED_ROWS]
    ]
    known: dict[str, CallTime] = {}
    found = {}
    for name, role in config.agents.roles.items():
        key = json.dumps(role.model_dump(mode="json"), sort_keys=True)
        if key not in known:
            known[key] = time_calls(role, config, asked)
        found[name] = known[key]
    return found


def _roles(
    config: RunConfig,
    traffic: Mapping[Course, Mapping[str, Traffic]],
    times: Mapping[str, CallTime],
) -> dict[str, Any]:
    return {
        name: {
            "model": role.model,
            "calls_timed": times[name].measured,
            "untimed": times[name].note,
            "calls": {c: traffic[c][name].calls for c in COURSES},
            "prompt_tokens": {c: traffic[c][name].prompt for c in COURSES},
            "completion_tokens": {c: traffic[c][name].completion for c in COURSES},
        }
        for name, role in config.agents.roles.items()
    }


def _models(
    config: RunConfig, traffic: Mapping[Course, Mapping[str, Traffic]], prices: Prices
) -> list[dict[str, Any]]:
    """Return each distinct model with its roles, price and money; fallbacks are not expected."""
    by_model: dict[str, list[str]] = {}
    first: dict[str, RoleConfig] = {}
    for name, role in config.agents.roles.items():
        key = json.dumps([role.model, role.params], sort_keys=True)
        by_model.setdefault(key, []).append(name)
        first.setdefault(key, role)
    return [
        _model(first[key].model, names, prices.of(first[key]), traffic)
        for key, names in by_model.items()
    ]


def _model(
    model: str,
    names: Sequence[str],
    price: Price | None,
    traffic: Mapping[Course, Mapping[str, Traffic]],
) -> dict[str, Any]:
    used = {c: total(traffic[c][name] for name in names) for c in COURSES}
    usd = None if price is None else {
        c: price.usd(one.prompt, one.completion) for c, one in used.items()
    }  # fmt: skip
    return {
        "model": model,
        "roles": list(names),
        "price": price and {"input": price.input, "output": price.output},
        "usd": usd,
    }


def _usd(models: Iterable[dict[str, Any]]) -> dict[Course, float] | None:
    """Return the money in all; None where one model's is unknown."""
    parts = [model["usd"] for model in models]
    if any(part is None for part in parts):
        return None
    return {c: sum(part[c] for part in parts) for c in COURSES}


def _seconds(
    config: RunConfig,
    shape: Shape,
    scoring: ScoringTime,
    trained: TrainingTime | None,
    traffic: Mapping[Course, Mapping[str, Traffic]],
    times: Mapping[str, CallTime],
) -> dict[str, Any]:
    """Return the time of each kind of work, and of all; None where no step was timed."""
    speeds = Speeds(
        start=trained.start if trained else 0.0,
        step=trained.step if trained else 0.0,
        load=scoring.load,
        scoring=scoring.rate,
    )
    training = training_seconds(shape, speeds) if trained else None
    found: dict[str, Any] = {"training": training, "scoring": {}, "llm": {}, "total": {}}
    for course in COURSES:
        proofs = attempts_of(course, config.refinement.attempts).criticised
        scored = scoring_seconds(shape, speeds, proofs)
        waited = sum(
            times[name].seconds(one.calls, one.prompt, one.completion)
            for name, one in traffic[course].items()
        )
        found["scoring"][course] = scored
        found["llm"][course] = waited
        found["total"][course] = None if training is None else training + scored + waited
    return found


def _caps(
    config: RunConfig,
    usd: Mapping[Course, float] | None,
    tokens: Mapping[Course, float],
    seconds: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Hold every cap of `budget` against the estimate."""
    budget = config.budget
    hours = None
    if seconds["training"] is not None:
        hours = {c: seconds["total"][c] / 3600 for c in COURSES}
    held = [
        ("max_usd", budget.max_usd, usd),
        ("max_tokens", budget.max_tokens, tokens),
        ("max_hours", budget.max_hours, hours),
    ]
    return [
        {
            "cap": name,
            "value": cap,
            "verdict": "can't be held against an unknown figure"
            if expected is None
            else against_cap(cap, expected),
        }
        for name, cap, expected in held
        if cap is not None
    ]
