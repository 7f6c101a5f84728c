"""Prepare: import, quarantine, select, hold out, publish D_0.

The import is written to disk before anything is chosen from it: a limit needs the number of rows,
the hold-out all their texts, and neither should need all of them in memory.
"""

import os
import platform
import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from ..checks.decontamination import Exchange
from ..core.config import RunConfig
from ..core.errors import ConfigError
from ..core.progress import Note
from ..core.records import Quarantined
from ..curation.balance import assert_imported
from ..curation.holdout import choose_holdout
from ..formats.importing import import_data, stream_data
from ..formats.quarantine import refuse_if_too_many, write_quarantine
from ..stores.samples import MANIFEST, Version, write_version
from .deps import Deps
from .indexing import index_version
from .overlap import Compared, compare, exchanges, write_overlap
from .samples import Chosen, Samples
from .sealing import seal
from .state import LoopState
from .task_rows import freeze_tasks, frozen_exchanges
from .tasks import refresh_tasks

STAGED = "imported.partial"
"""Folder of an import until its rows are published; it is removed with the node's end."""
FEWEST_TRAINING_ROWS = 8
"""Under these, there is nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Staged:
    """An import on disk.

    Attributes:
        rows: the usable ones, in the order of the input.
        quarantined: the others.
        format: the form of the input.
        total: rows of the input.
    """

    rows: Version
    quarantined: list[Quarantined]
    format: str
    total: int


@contextmanager
def staged(config: RunConfig, folder: Path) -> Iterator[Staged]:
    """Import the configured data into a folder that is there as long as the context.

    Raises:
        DataError: the file can't be used, or more of its rows than `data.max_quarantined`.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    try:
        found = stream_data(config.data.path, config.data.format)
        write_version(folder, found, parent=None, made_by={"step": "stage"})
        refuse_if_too_many(found, config.data.max_quarantined)
        yield Staged(Version(folder), found.quarantined, found.format, found.total)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def count_usable(config: RunConfig) -> int:
    """Return how many rows of the configured data would be selected; nothing is kept.

    Raises:
        DataError: as `staged`.
    """
    found = stream_data(config.data.path, config.data.format)
    rows = sum(1 for _ in found)
    refuse_if_too_many(found, config.data.max_quarantined)
    return rows if config.data.limit is None else min(rows, config.data.limit)


def select(samples: Samples, config: RunConfig) -> Samples:
    """Return a seeded random `data.limit` of the rows, in their own order."""
    limit = config.data.limit
    if limit is None or limit >= len(samples):
        return samples
    chosen = set(random.Random(config.seed).sample(range(len(samples)), limit))
    ids = frozenset(sample.id for index, sample in enumerate(samples) if index in chosen)
    return Chosen(samples, ids, limit)


def split(samples: Samples, config: RunConfig) -> tuple[Samples, Samples]:
    """Return training rows and hold-out rows; the latter come from `evaluation.data` if set."""
    if config.evaluation.data is not None:
        imported = import_data(config.evaluation.data)
        refuse_if_too_many(imported, config.data.max_quarantined)
        held = imported.samples
        rows = config.evaluation.rows
        if rows is not None and rows < len(held):
            picks = sorted(random.Random(config.seed).sample(range(len(held)), rows))
            held = [held[index] for index in picks]
        return samples, held
    triples = ((sample.id, sample.prompt, sample.answer) for sample in samples)
    ids = choose_holdout(triples, config.evaluation.rows, config.seed)
    training = Chosen(samples, ids, len(samples) - len(ids), inside=False)
    return training, Chosen(samples, ids, len(ids))


def compared(
    training: Samples, held: Samples, config: RunConfig, form: str, asked: Iterable[Exchange]
) -> Compared:
    """Return the training rows, held against the evaluation data from elsewhere.

    Args:
        training: rows to train on.
        held: rows of the hold-out; from elsewhere with `evaluation.data`.
        config: of the run.
        form: of the input.
        asked: texts of the rows of `evaluation.tasks`.

    Raises:
        ConfigError: too few rows are left to train on.
    """
    foreign = held if config.evaluation.data is not None else ()
    found = compare(training, chain(exchanges(foreign), asked), config, form)
    refuse_too_few(config, len(found.training), found.excluded)
    return found


def refuse_too_few(config: RunConfig, rows: int, excluded: Sequence[Quarantined] = ()) -> None:
    """Refuse a run that has next to nothing to train on.

    Raises:
        ConfigError: naming what was left out of the rows for its overlap with evaluation data.
    """
    if rows >= FEWEST_TRAINING_ROWS:
        return
    what = f"{config.data.path}: {rows} rows are left to train on"
    needed = f"at least {FEWEST_TRAINING_ROWS} are needed"
    if not excluded:
        raise ConfigError(f"{what}, {needed}; give more rows, or raise data.limit")
    raise ConfigError(
        f"{what} without {len(excluded)} that overlap evaluation data, the first"
        f" {excluded[0].source} ({excluded[0].reason}), {needed}; give other rows, or set"
        " evaluation.exclude_overlap to false"
    )


def machine(deps: Deps) -> dict[str, Any]:
    """Return what the run's figures were made on."""
    return {
        "cores": os.cpu_count(),
        "device": deps.device,
        "dtype": deps.dtype,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }


def prepare(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Publish the first data set and the hold-out; ask the untuned base the tasks.

    The tasks come before the first training, so that a mistake in one costs none.
    """
    freeze_tasks(deps)
    with staged(deps.config, deps.folder / STAGED) as imported:
        summary = _publish(deps, imported)
    refresh_tasks(deps, None)
    return {"round": 0, "source_round": 0, "stop": ""}, summary


def _publish(deps: Deps, imported: Staged) -> str:
    config = deps.config
    samples = select(imported.rows, config)
    selected, held = split(samples, config)
    asked = frozen_exchanges(deps.folder)
    found = compared(selected, held, config, imported.format, asked)
    training = found.training
    elsewhere = config.evaluation.data
    left_out = [*imported.quarantined, *found.excluded]
    write_quarantine(left_out, deps.folder / "quarantine.jsonl")
    write_overlap(found, deps.folder)
    apart = write_version(
        deps.folder / "holdout", held, parent=None, made_by={"step": "holdout", "seed": config.seed}
    )
    manifest = write_version(
        deps.round_folder(0) / "dataset",
        training,
        parent=None,
        made_by={"step": "import", "path": config.data.path, "format": imported.format},
    )
    seal(deps, deps.folder / "holdout" / MANIFEST, deps.round_folder(0) / "dataset" / MANIFEST)
    counts = {
        "imported": imported.total,
        "holdout": apart.rows if elsewhere is None else 0,
        "quarantined": len(left_out),
        "not_selected": len(imported.rows) - len(samples),
    }
    overlap = {"overlapping": len(found.overlapping)} if found.is_compared else {}
    assert_imported(
        imported=imported.total,
        rows=manifest.rows,
        holdout=counts["holdout"],
        quarantined=counts["quarantined"],
        not_selected=counts["not_selected"],
    )
    index_version(deps, 0)
    deps.facts.put("machine", machine(deps))
    deps.facts.put("data", {**counts, **overlap, "format": imported.format})
    deps.facts.put("holdout", apart.sha256)
    deps.facts.put("round.0.dataset", {"rows": manifest.rows, "sha256": manifest.sha256})
    deps.facts.put("rounds_seen", 1)
    if imported.quarantined:
        first = imported.quarantined[0]
        deps.report(
            Note(
                f"{len(imported.quarantined)} rows quarantined, the first at {first.source}:"
                f" {first.reason} (all of them in quarantine.jsonl)"
            )
        )
    if (note := found.note()) is not None:
        deps.report(note)
    summary = (
        f"{imported.total} rows ({imported.format}): {manifest.rows} to train on,"
        f" {counts['holdout']} held out, {counts['quarantined']} quarantined,"
        f" {counts['not_selected']} not selected"
    )
    if elsewhere is not None:
        summary += f"; {apart.rows} rows of {elsewhere} to evaluate on"
    return summary
