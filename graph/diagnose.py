"""`middo diagnose`: the signals and flags of a data set under one model, nothing rewritten."""

from pathlib import Path
from typing import Any

from ..agents.diagnostician import diagnose as find_flags
from ..agents.diagnostician import fit_reference
from ..agents.measuring import items_of
from ..agents.signal_table import collect, table
from ..core.config import RunConfig, config_hash
from ..core.errors import ModelError, UsageError
from ..core.ids import content_hash
from ..core.progress import Note, Report, silent
from ..core.records import Axis
from ..stores.lock import run_lock
from ..stores.runs import write_json
from ..stores.tables import write_signals
from ..training.sources import check_model
from .deps import open_run
from .diagnosing import as_document, map_vectors, measure_tuned
from .preparing import load_rows, select
from .reporting import advance_in


def diagnose(
    config: RunConfig, adapter: Path | None, out: Path, *, report: Report = silent
) -> dict[str, Any]:
    """Write `signals.parquet`, `embeddings.parquet` and `diagnosis.json` into a folder.

    Without an adapter there is one model: complexity uses its loss alone and says so. Scoring that
    was interrupted goes on when the same folder is named again.

    Raises:
        UsageError: the data or a model can't be used, or the folder holds other things.
    """
    imported = load_rows(config)
    check_model(config.model.base)
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise ModelError(f"--adapter: {adapter} holds no adapter_config.json; name a LoRA folder")
    if out.exists() and any(out.iterdir()) and not (out / "ledger.db").exists():
        raise UsageError(f"{out}: holds other files; name a new folder with --out")
    samples = select(imported.samples, config)
    out.mkdir(parents=True, exist_ok=True)
    with run_lock(out):
        deps = open_run(out, config, report=report)
        try:
            request = content_hash([config_hash(config), str(adapter and adapter.resolve())])
            if deps.facts.put_once("config_hash", request) != request:
                raise UsageError(f"{out}: holds another diagnosis; name a new folder with --out")
            on_base = {}
            if adapter is not None:
                with deps.measuring_of(None) as base:
                    on_base = base.measure(
                        "base", items_of(samples), advance=advance_in(deps, "diagnose", 0, "base")
                    )
            with deps.measuring_of(adapter) as tuned:
                calibration, on_tuned = measure_tuned(deps, tuned, "diagnose", 0, samples, [])
            signals = collect(
                samples, on_base or on_tuned, on_tuned, calibration, one_model=adapter is None
            )
            near, clusters = map_vectors(deps, out, "diagnosis", signals)
        finally:
            deps.close()
    reference = fit_reference(signals, near, config.signals, None)
    found = find_flags(
        signals,
        near,
        calibration,
        reference,
        config.signals,
        holdout_loss=None,
        suppressed={axis: frozenset() for axis in Axis},
        clusters=clusters,
        drift=None,
    )
    rows = table(signals, found.complexity, near, clusters.labels if clusters else {}, found.flags)
    write_signals(out / "signals.parquet", rows)
    flagged = {
        "samples": len({flag.sample_id for flag in found.flags}),
        **{str(axis): one.flagged for axis, one in found.axes.items()},
    }
    document = {
        "rows": len(samples),
        "quarantined": len(imported.quarantined),
        "model": config.model.base,
        "adapter": None if adapter is None else str(adapter),
        "flagged": flagged,
        **as_document(found, calibration, clusters, None),
    }
    write_json(out / "diagnosis.json", document)
    for caution in found.cautions:
        report(Note(caution))
    return document
