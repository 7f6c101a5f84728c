"""Does the loop repair seeded defects, and does that help? Four arms on the same damaged rows.

    python -m benchmarks.defects repair --data FILE... --out FOLDER [--json FILE]
    python -m benchmarks.defects repair ... --teacher llamacpp:FILE.gguf --max-hours 3

240 real rows, a quarter of them damaged with all kinds of `damage.SEEDED` mixed, and a hold-out of
200 clean rows. Arms, each with the same number of optimizer steps in every training:

    none       trained on the rows as they are
    random     `signals.selection: random`: as many rows refined as the signals flag, drawn
    middo      the loop as it is
    all clean  trained on the originals

THE TEACHER IS NO MODEL unless `--teacher` names one: it is a table that holds the clean originals
(`originals.py`), so that the figures tell what signals and gates do with a teacher that is always
right, and are no promise for any real one. Diversity is off: a new row repairs nothing, and a table
has none.

Told are the share of the damage that is repaired word for word, the clean rows that were replaced,
the paired difference of the hold-out loss to `none`, and how much of the gap between `none` and
`all clean` is closed, after the last of two refinements (not the best: choosing by the hold-out and
telling its loss would flatter). Three seeds draw rows, damage and trainings anew; the hold-out is
always the same, so that seeds run apart (`--seed 8 --seeds 1`) can be pooled, as `published.py`
does. With `--teacher` there is one seed, and `--max-hours` takes as many rows as Middo's own
estimate of both loops (middle course) allows.

The table's teacher hands sound rows back unchanged, which a check refuses, so it replaces none:
`--needless` lets it change them without need, as real models do.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.damage import Pair, Surroundings
from benchmarks.detection import refuse_other
from benchmarks.machine import write
from benchmarks.repair_figures import losses, mended, place_of, pooled, sent
from benchmarks.repair_tables import report
from benchmarks.seeding import (
    Seeded,
    add_source,
    evenly,
    read_lines,
    read_rows,
    seed_defects,
    write_rows,
)
from benchmarks.stages import opened, told
from middo.checks.decontamination import EvaluationIndex
from middo.core.config import RunConfig
from middo.core.records import Message, sample_from, sample_id
from middo.stores.runs import RUN_JSON, write_text
from middo.stores.samples import Version, write_version

SHARE = 0.25
SEEDS = 3
HOLDOUT_SEED = 7
FEWEST_ROWS = 64
LOCAL = {"slots": 2, "max_tokens": 400}
"""Parameters of a `llamacpp:` teacher; the longest answers have 110 words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part takes beside the arguments of all parts."""
    add_source(parser)
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--holdout", type=int, default=200, help="clean rows to evaluate on")
    parser.add_argument("--rounds", type=int, default=2, help="refinements")
    parser.add_argument("--seed", type=int, default=7, help="the first one")
    parser.add_argument("--seeds", type=int, help="default 3, with --teacher 1")
    parser.add_argument("--teacher", help="provider:model instead of the table of originals")
    parser.add_argument("--max-hours", type=float, help="fewer rows where both loops take longer")
    parser.add_argument(
        "--needless", action="store_true", help="the table changes sound rows too, without need"
    )


def main(choice: argparse.Namespace) -> int:
    """Run all arms with all seeds, and print the tables."""
    if choice.needless and choice.teacher:
        sys.exit("--needless: is of the table of originals; leave it or --teacher out")
    if choice.max_hours and not choice.teacher:
        sys.exit("--max-hours: the table of originals answers at once; give --rows instead")
    count = choice.seeds or (1 if choice.teacher else SEEDS)
    seeds = list(range(choice.seed, choice.seed + count))
    choice.out.mkdir(parents=True, exist_ok=True)
    settings = {
        "data": [Path(file).name for file in choice.data],
        **{name: getattr(choice, name) for name in ("holdout", "rounds", "model", "needless")},
        "wanted": choice.rows,
        "max_hours": choice.max_hours,
        "holdout_seed": HOLDOUT_SEED,
        "share": SHARE,
        "teacher": choice.teacher and Path(choice.teacher).name,
    }
    refuse_other(choice.out / "settings.json", settings)
    rows = fitting_rows(choice)
    results = [one_seed(choice, rows, seed) for seed in seeds]
    document = {
        **{"benchmark": "repair", **settings, "rows": rows},
        "teacher": settings["teacher"] or _table(choice.needless),
        **pooled(results),
        "results": results,
    }
    print(report(document))
    if choice.json:
        write(choice.json, document)
    return 0


def _table(needless: bool) -> str:
    """Say what the teacher is."""
    what = "no model, a table that holds the clean originals (scripted)"
    if needless:
        return f"{what}, and changes sound rows without need"
    return f"{what}; it can't replace a sound row, as it hands those back unchanged"


def fitting_rows(choice: argparse.Namespace) -> int:
    """Return how many rows the hours allow, found once and kept; all where there is no limit."""
    if not choice.max_hours:
        return int(choice.rows)
    place = choice.out / "hours.json"
    if not place.exists():
        from middo.graph.estimating import estimate

        folder = seeded_folder(choice, choice.rows, choice.seed, choice.out / "estimate")
        found = estimate(_config(choice, folder, choice.seed, "signals"))
        seconds = found["seconds"]["total"]["middle"]
        if seconds is None:
            sys.exit("--max-hours: this machine's training could not be timed; give --rows")
        hours = 2 * seconds / 3600
        rows = min(choice.rows, int(choice.rows * choice.max_hours / hours))
        shutil.rmtree(choice.out / "estimate")
        if rows < FEWEST_ROWS:
            sys.exit(
                f"--max-hours: {choice.rows} rows take about {hours:.1f} hours, and fewer than"
                f" {FEWEST_ROWS} tell nothing; give more hours"
            )
        write_text(place, json.dumps({"hours_for_all": round(hours, 2), "rows": rows}) + "\n")
    document = json.loads(place.read_text(encoding="utf-8"))
    print(f"estimate: {document}", file=sys.stderr)
    return int(document["rows"])


def seeded_folder(choice: argparse.Namespace, rows: int, seed: int, folder: Path) -> Path:
    """Write a seed's rows, and the hold-out of all seeds; return the seed's folder."""
    held, data = choice.out / "holdout.jsonl", folder / "rows.jsonl"
    if data.exists() and held.exists():
        return folder
    found, ways = read_rows(choice.data)
    if len(found) < choice.holdout + rows:
        sys.exit(f"--data: holds {len(found)} rows for {choice.holdout} + {rows}; give more")
    order = [found[i] for i in np.random.default_rng([HOLDOUT_SEED, 16]).permutation(len(found))]
    apart = order[: choice.holdout]
    if not held.exists():
        write_rows(held, [Seeded(row, row) for row in apart])
    pool = _without_overlap(order[choice.holdout :], apart)
    damaged = round(SHARE * rows)
    try:
        seeded = seed_defects(
            pool,
            Surroundings(pool, ways),
            clean=rows - damaged,
            counts=evenly(damaged),
            seed=seed,
        )
    except ValueError as error:
        sys.exit(f"--data: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(data, seeded)
    return folder


def _without_overlap(rows: Sequence[Pair], held: Sequence[Pair]) -> list[Pair]:
    """Return the rows that a run would not take for rows of the hold-out, nor refuse to write."""
    index = EvaluationIndex.build(text for row in held for text in (row.prompt, row.answer))
    return [
        row
        for row in rows
        if index.overlap(row.prompt) is None and index.overlap(row.answer) is None
    ]


def _config(choice: argparse.Namespace, folder: Path, seed: int, selection: str) -> RunConfig:
    """Return the configuration of a seed's loop."""
    data = folder / "rows.jsonl"
    rewriter: dict[str, Any] = {
        "model": "import:benchmarks.originals:teacher",
        "params": {"path": str(data.resolve()), "needless": choice.needless},
    }
    if choice.teacher:
        local = choice.teacher.startswith("llamacpp:")
        rewriter = {"model": choice.teacher, "params": LOCAL if local else {}}
    settings = dict(choice.settings)
    signals = {"axes": ["complexity", "quality"], "selection": selection}
    return RunConfig.model_validate(
        {
            "data": {"path": str(data.resolve())},
            "evaluation": {"data": str((choice.out / "holdout.jsonl").resolve())},
            "model": {"base": choice.model},
            "agents": {"rewriter": rewriter},
            # Both refinements are made, whatever the hold-out says of the first; the benchmark has
            # seeds of its own, and asks no gate what the rounds were worth.
            "gate": {"on_worse": "continue", "patience": choice.rounds, "seeds": 1},
            "rounds": choice.rounds,
            "seed": seed,
            **settings,
            "signals": {**settings.get("signals", {}), **signals},
        }
    )


def one_seed(choice: argparse.Namespace, rows: int, seed: int) -> dict[str, Any]:
    """Run the arms of one seed; return what became of its rows, and the hold-out's losses."""
    folder = seeded_folder(choice, rows, seed, choice.out / f"seed-{seed}")
    lines = read_lines(folder / "rows.jsonl")
    counts: dict[str, dict[str, Any]] = {}
    found: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    for arm, selection in (("middo", "signals"), ("random", "random")):
        print(f"seed {seed}: {arm}", file=sys.stderr)
        home = folder / arm
        # Round 0 is the same training in both arms.
        given = [] if arm == "middo" else [folder / "middo"]
        document = finished(home, _config(choice, folder, seed, selection), given)
        last = max(one["round"] for one in document["rounds"] if one["evaluation"])
        first, final = (Version(home / "rounds" / str(k) / "dataset") for k in (0, last))
        counts[arm] = {**mended(lines, first, final), **sent(home, lines, choice.rounds)}
        found[arm] = losses(home, last)
        documents[arm] = document
    found["none"] = losses(folder / "middo", 0)
    print(f"seed {seed}: all clean", file=sys.stderr)
    found["all clean"] = all_clean(folder, lines)
    return {"seed": seed, "counts": counts, "losses": found, "runs": documents}


def finished(folder: Path, config: RunConfig, given: Sequence[Path]) -> dict[str, Any]:
    """Run the loop, or go on with it, to its end; return its document.

    Models of the runs `given` are taken over where the training is the same.
    """
    from middo import resume, run

    if (folder / RUN_JSON).exists():
        return resume(folder, report=told, given=given)
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed before it began
    return run(config, folder, report=told, given=given)


def all_clean(folder: Path, lines: Sequence[dict[str, Any]]) -> dict[str, tuple[float, int]]:
    """Train on the originals as a further round of the same run; return the hold-out's losses.

    So the number of steps, and all else, is that of the other arms. The rows are those of round 0.
    """
    from middo.graph.learning import evaluate_round, train_round
    from middo.graph.state import LoopState

    home = folder / "clean"
    if not home.exists():
        partial = folder / "clean.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder / "middo", partial, ignore=_but_the_beginning)
        partial.rename(home)
    state: LoopState = {"round": 1, "source_round": 1, "stop": ""}
    if not (home / "rounds" / "1" / "evaluation.json").exists():
        with opened(home) as deps:
            first = deps.version(0)
            made = write_version(
                home / "rounds" / "1" / "dataset",
                (_original(sample.as_dict(), lines[place_of(sample)]["was"]) for sample in first),
                parent=first.sha256,
                made_by={"step": "benchmark"},
            )
            deps.facts.put("round.1.dataset", {"rows": made.rows, "sha256": made.sha256})
            for step in (train_round, evaluate_round):
                told_by_step = step(deps, state)[1]
                print(f"{step.__name__}: {told_by_step}", file=sys.stderr)
    return losses(home, 1)


def _original(plain: dict[str, Any], was: dict[str, str]) -> Any:
    messages = (Message("user", was["prompt"]), Message("assistant", was["answer"]))
    turns = [message.as_dict() for message in messages]
    return sample_from({**plain, "id": sample_id(messages), "messages": turns})


def _but_the_beginning(folder: str, names: list[str]) -> set[str]:
    """Name what a copy leaves out: rounds after the first, and what was derived from them."""
    if Path(folder).name == "rounds":
        return {name for name in names if name != "0"}
    left = ("checkpoints.db", "traces.db", "index.db", "export", "vectors", "run.json")
    return {name for name in names if name.startswith(left)}
