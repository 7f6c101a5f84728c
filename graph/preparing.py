"""Prepare: import, quarantine, select, hold out, publish D_0.

The import is written to disk before anything is chosen from it: a limit needs the number of rows,
the hold-out all their texts, and neither should need all of them in memory.
"""

import os
import platform
import random
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from ..core.config import RunConfig
from ..core.progress import Note
from ..core.records import Quarantined, Sample
from ..curation.balance import assert_imported
from ..curation.holdout import choose_holdout
from ..formats.importing import import_data, stream_data
from ..formats.quarantine import refuse_if_too_many, write_quarantine
from ..stores.samples import MANIFEST, Version, write_version
from .deps import Deps
from .indexing import index_version
from .sealing import seal
from .state import LoopState

STAGED = "imported.partial"
"""Folder of an import until its rows are published; it is removed with the node's end."""


class Samples(Protocol):
    """Samples that can be counted and streamed again and again."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __iter__(self) -> Iterator[Sample]:
        """Yield them, in the same order each time."""
        ...


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


@dataclass(frozen=True, slots=True)
class Chosen:
    """Those of some samples whose ids were chosen, or were not, in their own order."""

    rows: Samples
    ids: Container[str]
    count: int
    inside: bool = True

    def __len__(self) -> int:
        """Return how many were chosen."""
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        """Stream them."""
        return (sample for sample in self.rows if (sample.id in self.ids) == self.inside)


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
    """Publish the first data set and the hold-out."""
    with staged(deps.config, deps.folder / STAGED) as imported:
        summary = _publish(deps, imported)
    return {"round": 0, "source_round": 0, "stop": ""}, summary


def _publish(deps: Deps, imported: Staged) -> str:
    config = deps.config
    samples = select(imported.rows, config)
    training, held = split(samples, config)
    elsewhere = config.evaluation.data
    write_quarantine(imported.quarantined, deps.folder / "quarantine.jsonl")
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
        "quarantined": len(imported.quarantined),
        "not_selected": len(imported.rows) - len(samples),
    }
    assert_imported(
        imported=imported.total,
        rows=manifest.rows,
        holdout=counts["holdout"],
        quarantined=counts["quarantined"],
        not_selected=counts["not_selected"],
    )
    index_version(deps, 0)
    deps.facts.put("machine", machine(deps))
    deps.facts.put("data", {**counts, "format": imported.format})
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
    summary = (
        f"{imported.total} rows ({imported.format}): {manifest.rows} to train on,"
        f" {counts['holdout']} held out, {counts['quarantined']} quarantined,"
        f" {counts['not_selected']} not selected"
    )
    if elsewhere is not None:
        summary += f"; {apart.rows} rows of {elsewhere} to evaluate on"
        evaluated = {sample.messages for sample in held}
        both = len(evaluated & {row.messages for row in training if row.messages in evaluated})
        if both:
            deps.report(
                Note(
                    f"{both} rows of evaluation.data are trained on too: their loss tells memory,"
                    " not learning; take them out of one of the two files"
                )
            )
    return summary
