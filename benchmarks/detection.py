"""Does a diagnosis find seeded defects? Each kind of damage, each axis, against cheaper judges.

    python -m benchmarks.defects detection --data FILE... --out FOLDER [--json FILE]

Real rows, 40 of each kind of `damage.SEEDED` damaged and 1,400 left as they are, with a hold-out
that is as dirty, go through one training and one diagnosis of Middo's own loop. Then every judge
ranks the rows. The area under the ROC curve of a kind is the share of pairs of a damaged and a
clean row in which the damaged one is ranked worse; a damaged row is held against the clean rows
that the same damage could have met (a wrong final number against rows that end in one), since it is
not to be found by what kind of row it is.

The judges beside Middo's three axes: the two parts of complexity, `answer` and `prompt`; random
scores; length (a shorter answer is worse); `form`, a logistic regression on the text's form, fitted
to as many rows and controls, drawn alike; the base model's loss; `ratings`, the mean of the six
ratings of the tuned model, which is the axis of the paper (arXiv 2508.21589), read as expected
values; `ifd`, L(a|p) / L(a) under the tuned model, the instruction-following difficulty of Li et
al. 2023 (arXiv 2308.12032), of which more is worse. A row that a judge can't score counts as ranked
best, since it would never be flagged.

`--out` keeps everything: `run/` is a run folder that stands before `refine`, `signals.jsonl` holds
the figures of every row. The same command goes on with what was interrupted, and makes the tables
again from `signals.jsonl` once that is there. `--rows`, `--damaged` and `--kinds` shrink it.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.damage import SEEDED, Surroundings
from benchmarks.detection_tables import judged, report
from benchmarks.form import FormJudge, form
from benchmarks.machine import peak_memory_mb, write
from benchmarks.ranking import negative
from benchmarks.seeding import (
    add_source,
    fitting_kinds,
    read_lines,
    read_rows,
    seed_defects,
    split_off,
    write_rows,
)
from benchmarks.stages import opened, run_until
from middo.agents.calibrating import OF_PROMPT, ROW_ASKS
from middo.agents.reference import parts_of_rows, reference_from
from middo.core.config import RunConfig
from middo.core.measures import Ask, Measured
from middo.core.records import Sample
from middo.graph.deps import Deps
from middo.graph.refining import read_diagnosis
from middo.signals.controls import KINDS, build_controls, choose_calibration_rows, words
from middo.signals.quality import calibration_from
from middo.stores.runs import write_text
from middo.stores.tables import read_signals

HOLDOUT_SHARE = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part takes beside the arguments of all parts."""
    add_source(parser)
    parser.add_argument("--rows", type=int, default=1400, help="clean rows")
    parser.add_argument("--damaged", type=int, default=40, help="damaged rows of each kind")
    parser.add_argument("--kinds", nargs="+", choices=SEEDED, default=list(SEEDED))
    parser.add_argument("--seed", type=int, default=7)


def main(choice: argparse.Namespace) -> int:
    """Seed, train, diagnose, and print the tables."""
    choice.out.mkdir(parents=True, exist_ok=True)
    settings = {
        "data": [Path(file).name for file in choice.data],
        **{name: getattr(choice, name) for name in ("rows", "damaged", "kinds", "seed", "model")},
    }
    refuse_other(choice.out / "settings.json", settings)
    signals = choice.out / "signals.jsonl"
    if not signals.exists():
        measure(choice, signals)
    found = read_lines(signals)
    document = {"benchmark": "detection", **settings, **judged(found, choice.seed)}
    document["run"] = json.loads((choice.out / "run.json").read_text(encoding="utf-8"))
    print(report(document))
    if choice.json:
        write(choice.json, document)
    return 0


def refuse_other(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a folder, or end where it was begun with others."""
    if not path.exists():
        write_text(path, json.dumps(settings, indent=1) + "\n")
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored != settings:
        names = sorted(key for key in settings if stored.get(key) != settings[key])
        sys.exit(f"{path.parent}: was made with another {', '.join(names)}; name another --out")


def seeded_files(choice: argparse.Namespace) -> tuple[Path, Path]:
    """Write rows and hold-out, once; return their files."""
    data, held = choice.out / "rows.jsonl", choice.out / "holdout.jsonl"
    if data.exists() and held.exists():
        return data, held
    rows, ways = read_rows(choice.data)
    around = Surroundings(rows, ways)
    apart = {"": round(HOLDOUT_SHARE * choice.rows)}
    apart |= {kind: round(HOLDOUT_SHARE * choice.damaged) for kind in choice.kinds}
    counts = {kind: choice.damaged + apart[kind] for kind in choice.kinds}
    clean = choice.rows + apart[""]
    try:
        seeded = seed_defects(rows, around, clean=clean, counts=counts, seed=choice.seed)
    except ValueError as error:
        sys.exit(f"--data: {error}")
    training, holdout = split_off(seeded, apart)
    fits = [{"fits": fitting_kinds(row.original, around, choice.seed)} for row in training]
    write_rows(held, holdout)
    write_rows(data, training, fits)
    return data, held


def measure(choice: argparse.Namespace, signals: Path) -> None:
    """Train and diagnose with Middo, measure for the other judges, and write a line per row."""
    data, held = seeded_files(choice)
    config = RunConfig.model_validate(
        {
            "data": {"path": str(data)},
            # Two rows with the same boiler-plate overlap; the hold-out is no measure here.
            "evaluation": {"data": str(held), "exclude_overlap": False},
            "model": {"base": choice.model},
            "rounds": 1,
            "seed": choice.seed,
            **choice.settings,
        }
    )
    with opened(choice.out / "run", config) as deps:
        # Nothing flagged would end the loop; what was measured is there all the same.
        run_until(deps, "refine")
        begun = time.monotonic()
        rated, alone = measure_others(deps)
        seconds = time.monotonic() - begun
        odds = form_odds(deps)
        lines = list(_lines(deps, read_lines(data), rated, alone, odds))
        times = deps.facts.get("round.0.times")
        training = deps.facts.get("round.0.training")
        diagnosis = read_diagnosis(deps, 0)
        about = {
            "seconds": {**times, "other judges": round(seconds, 1)},
            "peak_memory_mb": peak_memory_mb(),
            "training": training,
            "calibration": diagnosis["calibration"],
            "axes": diagnosis["axes"],
            "cautions": diagnosis["cautions"],
        }
    write_text(choice.out / "run.json", json.dumps(about, indent=1) + "\n")
    write_text(signals, "".join(json.dumps(line) + "\n" for line in lines))


def measure_others(deps: Deps) -> tuple[dict[str, Measured], dict[str, Measured]]:
    """Return by id what the paper's axis and the difficulty ratio need, by the tuned model.

    What the diagnosis has measured is taken over.
    """
    version = deps.version(0)
    asked = calibration_from(read_diagnosis(deps, 0)["calibration"]).asks
    ratings: frozenset[Ask] = frozenset({"ratings"})
    wider: tuple[frozenset[Ask], ...] = (asked | OF_PROMPT, *ROW_ASKS)
    with deps.measuring(0) as tuned:
        rated = tuned.measure("benchmark.ratings", version, ratings, wider=wider)
        alone = tuned.measure("benchmark.alone", version, frozenset({"alone"}), wider=wider)
    return rated, alone


def difficulty(one: Measured) -> float | None:
    """Return L(a|p) / L(a); None where one of them was not measured."""
    return None if one.unscored or not one.alone else one.loss / one.alone


def form_odds(deps: Deps) -> dict[str, float]:
    """Return by id the log odds of being broken by form alone, fitted on rows drawn alike."""
    samples, held = list(deps.version(0)), list(deps.holdout())
    by_id = {sample.id: sample for sample in (*samples, *held)}
    trained, apart = ([(one.id, words(one.answer)) for one in rows] for rows in (samples, held))
    chosen = choose_calibration_rows(
        trained,
        apart,
        deps.config.signals.calibration,
        deps.config.seed,
    )
    real = [(name, by_id[name].prompt, by_id[name].answer) for name in chosen]
    controls: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for control in build_controls(real, deps.config.seed):
        controls[control.kind].append(form(by_id[control.row_id].prompt, control.answer))
    judge = FormJudge(
        [form(prompt, answer) for _, prompt, answer in real],
        {kind: found for kind, found in controls.items() if found},
    )
    odds = judge.odds([form(sample.prompt, sample.answer) for sample in samples])
    return {sample.id: float(value) for sample, value in zip(samples, odds, strict=True)}


def _lines(
    deps: Deps,
    rows: Sequence[Mapping[str, Any]],
    rated: Mapping[str, Measured],
    alone: Mapping[str, Measured],
    odds: Mapping[str, float],
) -> Iterator[dict[str, Any]]:
    """Yield a line per row: its damage, every judge's score (higher is worse), and its flags."""
    found = read_signals(deps.round_folder(0) / "signals.parquet")
    table = {row["id"]: row for row in found}
    complexity = reference_from(read_diagnosis(deps, 0)["thresholds"]).complexity
    answers, prompts = (
        dict(zip(table, scores.tolist(), strict=True))
        for scores in parts_of_rows(complexity, found)
    )
    random = np.random.default_rng([deps.config.seed, 13])
    sample: Sample
    for sample in deps.version(0):
        row = rows[int(sample.source.rpartition(":")[2]) - 1]
        signals, six, one = table[sample.id], rated[sample.id].ratings, alone[sample.id]
        there = [value for value in six or () if value is not None]
        yield {
            "id": sample.id,
            "kind": row["kind"],
            "fits": row["fits"],
            "flags": signals["flags"],
            "scores": {
                "complexity": signals["complexity"],
                "answer": _finite(answers[sample.id]),
                "prompt": _finite(prompts[sample.id]),
                "diversity": negative(signals["density"]),
                "quality": negative(signals["quality"]),
                "random": float(random.random()),
                "length": -words(sample.answer),
                "form": odds[sample.id],
                "base loss": signals["loss_base"],
                "ratings": -float(np.mean(there)) if there else None,
                "ifd": difficulty(one),
            },
        }


def _finite(score: float) -> float | None:
    return score if np.isfinite(score) else None
