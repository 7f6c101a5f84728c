"""Prepare: import, quarantine, select, hold out, publish D_0."""

import os
import platform
import random
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from ..core.config import RunConfig
from ..core.progress import Note
from ..core.records import Sample
from ..curation.balance import assert_imported
from ..curation.holdout import choose_holdout
from ..formats.importing import Imported, import_data
from ..formats.quarantine import refuse_if_too_many, write_quarantine
from ..stores.samples import write_version
from .deps import Deps
from .state import LoopState


def load_rows(config: RunConfig) -> Imported:
    """Import the configured data.

    Raises:
        DataError: the file can't be used, or more of its rows than `data.max_quarantined`.
    """
    imported = import_data(config.data.path, config.data.format)
    refuse_if_too_many(imported, config.data.max_quarantined)
    return imported


def select(samples: Sequence[Sample], config: RunConfig) -> list[Sample]:
    """Return a seeded random `data.limit` of the rows, in their own order."""
    limit = config.data.limit
    if limit is None or limit >= len(samples):
        return list(samples)
    chosen = sorted(random.Random(config.seed).sample(range(len(samples)), limit))
    return [samples[index] for index in chosen]


def split(samples: list[Sample], config: RunConfig) -> tuple[list[Sample], list[Sample]]:
    """Return training rows and hold-out rows; the latter come from `evaluation.data` if set."""
    if config.evaluation.data is not None:
        imported = import_data(config.evaluation.data)
        refuse_if_too_many(imported, config.data.max_quarantined)
        held = list(imported.samples)
        rows = config.evaluation.rows
        if rows is not None and rows < len(held):
            picks = sorted(random.Random(config.seed).sample(range(len(held)), rows))
            held = [held[index] for index in picks]
        return samples, held
    triples = [(sample.id, sample.prompt, sample.answer) for sample in samples]
    ids = choose_holdout(triples, config.evaluation.rows, config.seed)
    return [s for s in samples if s.id not in ids], [s for s in samples if s.id in ids]


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
    config = deps.config
    imported = load_rows(config)
    samples = select(imported.samples, config)
    training, held = split(samples, config)
    elsewhere = config.evaluation.data
    counts = {
        "imported": imported.total,
        "holdout": len(held) if elsewhere is None else 0,
        "quarantined": len(imported.quarantined),
        "not_selected": len(imported.samples) - len(samples),
    }
    assert_imported(
        imported=imported.total,
        rows=len(training),
        holdout=counts["holdout"],
        quarantined=counts["quarantined"],
        not_selected=counts["not_selected"],
    )
    write_quarantine(imported.quarantined, deps.folder / "quarantine.jsonl")
    write_version(
        deps.folder / "holdout", held, parent=None, made_by={"step": "holdout", "seed": config.seed}
    )
    manifest = write_version(
        deps.round_folder(0) / "dataset",
        training,
        parent=None,
        made_by={"step": "import", "path": config.data.path, "format": imported.format},
    )
    deps.facts.put("machine", machine(deps))
    deps.facts.put("data", {**counts, "format": imported.format})
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
        f"{imported.total} rows ({imported.format}): {len(training)} to train on,"
        f" {counts['holdout']} held out, {counts['quarantined']} quarantined,"
        f" {counts['not_selected']} not selected"
    )
    if elsewhere is not None:
        summary += f"; {len(held)} rows of {elsewhere} to evaluate on"
        both = len({sample.messages for sample in held} & {sample.messages for sample in training})
        if both:
            deps.report(
                Note(
                    f"{both} rows of evaluation.data are trained on too: their loss tells memory,"
                    " not learning; take them out of one of the two files"
                )
            )
    return {"round": 0, "source_round": 0, "stop": ""}, summary
