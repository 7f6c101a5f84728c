"""Trainings of a round's data with other seeds: how far does chance alone move the hold-out?

A round and what it is compared with are trained with the same seed, on rows in the same order, but
another seed may give another answer. So what one training says is asked of others before a round
counts as better or worse. Only the losses are kept; a run that goes on finds those that are there.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from ..agents.evaluator import Holdout, evaluate, holdout_from
from ..core.ids import content_hash
from ..stores.runs import make_folder, read_json, write_json
from ..training.job import train
from .deps import Deps
from .jobs import training_job
from .reporting import advance_in
from .sealing import is_sealed, seal


def retrained(deps: Deps, number: int) -> list[Holdout]:
    """Return the hold-out's losses under each further training of a round's data.

    There are `gate.seeds` − 1 of them, in the order of their seeds, which are the same in every
    round.

    Raises:
        Interrupted: the run was asked to stop.
        BudgetReached: `budget.max_hours` are over.
    """
    return [_losses(deps, number, place) for place in range(1, deps.config.gate.seeds)]


def other_seed(seed: int, place: int) -> int:
    """Return the seed of a further training, below 2**31; place 0 is the run's own."""
    return seed if place == 0 else int(content_hash(["retrain", seed, place])[:7], 16)


def _losses(deps: Deps, number: int, place: int) -> Holdout:
    file = deps.round_folder(number) / "seeds" / f"{place}.json"
    if not is_sealed(deps, file):
        deps.heed()
        deps.spending.check_time()
        make_folder(file.parent)
        _measure(deps, number, place, file)
    return holdout_from(read_json(file)["tuned"])


def _measure(deps: Deps, number: int, place: int, file: Path) -> None:
    seed, model = other_seed(deps.config.seed, place), file.with_name(f"{place}.model")
    made = train(
        replace(training_job(deps, number), output=model, seed=seed),
        on_progress=advance_in(deps, "gate", number, f"steps with seed {seed}"),
        should_stop=deps.should_stop,
    )
    advance = advance_in(deps, "gate", number, "hold-out rows")
    with deps.measuring_of(model, made.weights) as tuned:
        scored = evaluate(tuned, f"round.{number}.seed.{place}", deps.holdout(), advance)
    write_json(file, {"round": number, "seed": seed, "tuned": scored.as_dict()})
    seal(deps, file)
    shutil.rmtree(model, ignore_errors=True)
