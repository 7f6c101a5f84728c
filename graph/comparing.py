"""Compare arms of the loop: a run for each arm and seed in one folder, and what they are worth.

Every run is an ordinary run folder, named `<arm>-<seed>`. The same command goes on where it
stopped: finished runs are read, others resumed. `comparison.json` is replaced after every run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..agents.evaluator import holdout_from
from ..core.config import RunConfig
from ..core.errors import BudgetReached, ConfigError, Interrupted, UsageError
from ..core.progress import Note, Report, silent
from ..curation.comparison import ARMS, BUDGETED, Arm, Spent, arm_config, spent
from ..curation.pooling import Held, difference, pooling
from ..formats.configuration import dump_config
from ..stores.database import read_database
from ..stores.facts import Facts
from ..stores.lock import NAME as LOCK
from ..stores.lock import refuse_owned, run_lock
from ..stores.runs import (
    CONFIG,
    PARTIAL,
    RUN_JSON,
    make_folder,
    read_json,
    read_run,
    write_json,
    write_text,
)
from .run import refuse_changed, resume, run

COMPARISON = "comparison.json"
PICTURE = "comparison.svg"
CHOSEN = "lower, but chosen on these rows"
OF = ("last", "export")
"""Which model of a run is compared: of the last round that was trained, and of the exported one."""

Done = dict[tuple[Arm, int], dict[str, Any]]


def compare(
    config: RunConfig,
    arms: Sequence[Arm],
    seeds: int,
    out: Path,
    *,
    report: Report = silent,
) -> dict[str, Any]:
    """Run every arm with every seed, and return the document of `comparison.json`.

    Args:
        config: of the arm `middo`; its seed is the first one, the others follow it.
        arms: in any order; `middo` runs first, since others get its budget.
        seeds: how many, at least 1.
        out: folder of the comparison, new, empty or of the same comparison.
        report: receives progress events.

    Raises:
        ConfigError: arms or configuration that can't be compared.
        UsageError: `out` is something else; a run's folder has another configuration.
        RunLocked: another process is comparing there.
        MiddoError: a run stopped; `comparison.json` has what is done, and the same call goes on.
    """
    _refuse(config, arms, seeds)
    _refuse_other(out)
    chosen: list[Arm] = [arm for arm in ARMS if arm in arms]
    numbers = [config.seed + n for n in range(seeds)]
    make_folder(out)
    done: Done = {}
    with run_lock(out, note=lambda text: report(Note(text))):
        if not (out / COMPARISON).exists():
            _write(out, chosen, numbers, done, "running")
        try:
            for seed in numbers:
                for arm, document in _seed(config, chosen, seed, out, report):
                    done[arm, seed] = document
                    _write(out, chosen, numbers, done, "running")
        except BaseException as error:
            _write(out, chosen, numbers, done, _status(error))
            raise
        return _write(out, chosen, numbers, done, "finished")


def _seed(
    config: RunConfig, arms: Sequence[Arm], seed: int, out: Path, report: Report
) -> Iterator[tuple[Arm, dict[str, Any]]]:
    """Run the arms of one seed; each finds the models that those before it have trained."""
    budget: Spent | None = None
    given: list[Path] = []
    for arm in arms:
        folder = out / f"{arm}-{seed}"
        report(Note(f"arm {arm}, seed {seed}: {folder}"))
        document = _run(arm_config(config, arm, seed, budget), folder, given, report)
        yield arm, document
        given.append(folder)
        if arm == "middo":
            budget = spent(document)


def _run(config: RunConfig, folder: Path, given: Sequence[Path], report: Report) -> dict[str, Any]:
    if not (folder / CONFIG).exists():
        return run(config, folder, report=report, given=given)
    refuse_owned(folder)
    refuse_changed(folder, config)
    try:
        document = read_run(folder)
    except UsageError:  # composed again from the ledger
        document = {}
    if document.get("status") == "finished":
        return document
    write_text(folder / CONFIG, dump_config(config))  # its caps may have changed
    return resume(folder, report=report, given=given)


def _refuse(config: RunConfig, arms: Sequence[Arm], seeds: int) -> None:
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown or not arms:
        named = f"no arm {unknown[0]!r}" if unknown else "name at least one"
        raise ConfigError(f"--arms: {named}; there are {', '.join(ARMS)}")
    needy = next((arm for arm in arms if arm in BUDGETED), None)
    if needy is not None and "middo" not in arms:
        raise ConfigError(f"--arms: {needy} gets the budget of middo; add middo to the arms")
    if seeds < 1:
        raise ConfigError(f"--seeds: {seeds} is not a number of seeds; give 1 or more")
    if config.seed + seeds > 2**31:
        raise ConfigError(f"seed: {config.seed} is too large for {seeds} seeds; lower it")
    if config.review:
        raise ConfigError("review: a comparison can't wait for a person; set it to false")


def _refuse_other(out: Path) -> None:
    if out.is_file():
        raise UsageError(f"{out}: is a file; name a folder for the comparison with --out")
    if (out / RUN_JSON).exists() or (out / CONFIG).exists():
        raise UsageError(f"{out}: is a run folder; name another one for the comparison with --out")
    remains = {LOCK, COMPARISON + PARTIAL}
    begun = not out.exists() or (out / COMPARISON).exists()
    if not begun and any(path.name not in remains for path in out.iterdir()):
        raise UsageError(f"{out}: is not empty and holds no comparison; name another with --out")


def _status(error: BaseException) -> str:
    if isinstance(error, BudgetReached):
        return "budget"
    return "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"


def _write(
    out: Path, arms: Sequence[Arm], seeds: Sequence[int], done: Done, status: str
) -> dict[str, Any]:
    """Compose the document from the runs that are finished, and replace it."""
    whole = [seed for seed in seeds if all((arm, seed) in done for arm in arms)]
    held = _held_out(out, arms, whole, done)
    document = {
        "comparison": out.resolve().name,
        "status": status,
        "arms": list(arms),
        "seeds": list(seeds),
        "compared_seeds": whole,
        "runs": [
            {**_told(arm, seed, document), **_losses(held, arm, seed)}
            for (arm, seed), document in done.items()
        ],
        "differences": _differences(arms, whole, held),
        "pooling": pooling(len(whole)),
    }
    write_json(out / COMPARISON, document)
    return document


def _told(arm: Arm, seed: int, document: Mapping[str, Any]) -> dict[str, Any]:
    did, last = spent(document), document["rounds"][-1]
    return {
        "arm": arm,
        "seed": seed,
        "run": document["run"],
        "refinements": did.rounds,
        "refined": did.refined,
        "accepted": did.accepted,
        "steps": last["training"]["steps"],
        "rows": last["dataset"]["rows"],
        "last_round": last["round"],
        "best_round": document["best_round"],
        "gate": last["gate"],
        "tokens": document["tokens"],
        "cost_usd": document["cost_usd"],
        "seconds": document["seconds"],
    }


def _held_out(
    out: Path, arms: Sequence[Arm], seeds: Sequence[int], done: Done
) -> dict[tuple[Arm, int, str], Held]:
    """Read the hold-outs of all arms, in each seed without the rows that any of them set aside."""
    found = {}
    for seed in seeds:
        aside = _set_aside(out / f"{arm}-{seed}" for arm in arms)
        for arm in arms:
            for of in OF:
                folder = out / f"{arm}-{seed}"
                found[arm, seed, of] = _held(folder, done[arm, seed], of, aside)
    return found


def _losses(
    held: Mapping[tuple[Arm, int, str], Held], arm: Arm, seed: int
) -> dict[str, float | None]:
    """Return a run's losses on the rows that are compared; None until all arms of it are there."""
    found = {f"{of}_loss": held.get((arm, seed, of)) for of in OF}
    return {name: None if one is None else one.loss for name, one in found.items()}


def _differences(
    arms: Sequence[Arm], seeds: Sequence[int], held: Mapping[tuple[Arm, int, str], Held]
) -> list[dict[str, Any]]:
    """Compare each arm with `none`, then the others with each other, the earlier one first."""
    if not seeds:
        return []
    pairs: list[tuple[Arm, Arm]] = [
        (arm, "none") for arm in arms if arm != "none" and "none" in arms
    ]
    pairs += combinations([arm for arm in arms if arm != "none"], 2)
    found = []
    for one, other in pairs:
        for of in OF:
            apart = difference([(held[one, seed, of], held[other, seed, of]) for seed in seeds])
            told = None if apart is None else apart.as_dict()
            if told is not None and (of, other) == ("export", "none") and told["high"] < 0:
                # The lowest of several rounds, round 0 among them, is never above round 0.
                told["says"] = CHOSEN
            found.append({"arm": one, "against": other, "of": of, "difference": told})
    return found


def _held(folder: Path, document: Mapping[str, Any], of: str, aside: frozenset[str]) -> Held:
    """Read the hold-out of a run's model, without the rows that are set aside."""
    number = document["best_round"] if of == "export" else document["rounds"][-1]["round"]
    plain = read_json(folder / "rounds" / str(number) / "evaluation.json")["tuned"]
    rows = holdout_from(plain).without(aside).rows
    return Held(
        tuple(row.id for row in rows),
        np.array([row.loss for row in rows], dtype=np.float64),
        np.array([row.tokens for row in rows], dtype=np.int64),
    )


def _set_aside(folders: Iterable[Path]) -> frozenset[str]:
    """Return the hold-out rows that any arm's first diagnosis found broken."""
    found: set[str] = set()
    for folder in folders:
        database = read_database(folder / "ledger.db")
        try:
            found.update(Facts(database).get("set_aside", []))
        finally:
            database.close()
    return frozenset(found)
