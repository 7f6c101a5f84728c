"""`middo diagnose`: the signals and flags of a data set under one model, nothing rewritten."""

from pathlib import Path
from typing import Any

from ..agents.diagnostician import diagnose as find_flags
from ..agents.reference import fit_reference
from ..agents.signal_table import collect, table
from ..core.config import RunConfig, config_hash
from ..core.errors import ModelError, UsageError
from ..core.ids import content_hash
from ..core.progress import Report, silent
from ..core.records import Axis
from ..formats.quarantine import write_quarantine
from ..stores.lock import run_lock
from ..stores.runs import make_folder, write_json
from ..stores.tables import write_signals
from ..training.sources import check_model
from .deps import open_run
from .diagnosing import as_document
from .excerpts import with_excerpts
from .preparing import STAGED, count_usable, select, staged
from .reporting import advance_in
from .surveying import map_vectors, measure_tuned, scoring_cost, write_vectors


def diagnose(
    config: RunConfig, adapter: Path | None, out: Path, *, report: Report = silent
) -> dict[str, Any]:
    """Write `diagnosis.json`, `signals.parquet` and `embeddings.parquet` into a folder.

    Rows that can't be used go into `quarantine.jsonl`.

    Without an adapter there is one model: complexity uses its loss alone and says so. Scoring that
    was interrupted goes on when the same folder is named again.

    Raises:
        UsageError: the data or a model can't be used, or the folder holds other things.
    """
    count_usable(config)  # so that what can't be used is refused before a folder is made
    check_model(config.model.base)
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise ModelError(f"--adapter: {adapter} holds no adapter_config.json; name a LoRA folder")
    if out.exists() and any(out.iterdir()) and not (out / "ledger.db").exists():
        raise UsageError(f"{out}: holds other files; name a new folder with --out")
    make_folder(out)
    with run_lock(out), staged(config, out / STAGED) as imported:
        deps = open_run(out, config, report=report)
        try:
            request = content_hash([config_hash(config), str(adapter and adapter.resolve())])
            if deps.facts.put_once("config_hash", request) != request:
                raise UsageError(f"{out}: holds another diagnosis; name a new folder with --out")
            samples = select(imported.rows, config)
            on_base = None
            if adapter is None:
                with deps.measuring_of(None) as tuned:
                    calibration, on_tuned = measure_tuned(deps, tuned, "diagnose", 0, samples, ())
            else:
                with deps.comparing_of(adapter) as models:
                    advance = advance_in(deps, "diagnose", 0, "base")
                    on_base = models.base.measure("base", samples, advance=advance)
                    tuned = models.tuned
                    calibration, on_tuned = measure_tuned(deps, tuned, "diagnose", 0, samples, ())
            embedded = write_vectors(tuned, out, on_tuned, calibration)
            cost = scoring_cost(deps, tuned)
            signals = collect(
                samples,
                on_tuned if on_base is None else on_base,
                on_tuned,
                calibration,
                embedded,
                one_model=adapter is None,
            )
            del on_base, on_tuned
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
            seed=config.seed,
            number=0,
        )
        labels = clusters.labels if clusters else {}
        columns = table(signals, found.complexity, near, labels, found.flags)
        write_quarantine(imported.quarantined, out / "quarantine.jsonl")
        write_signals(out / "signals.parquet", columns)
        flagged = {
            "samples": len({flag.sample_id for flag in found.flags}),
            **{str(axis): one.flagged for axis, one in found.axes.items()},
        }
        document = {
            "data": config.data.path,
            "imported": imported.total,
            "rows": len(signals.ids),
            "not_selected": len(imported.rows) - len(signals.ids),
            "quarantined": len(imported.quarantined),
            "model": config.model.base,
            "adapter": None if adapter is None else str(adapter),
            "flagged": flagged,
            "scoring": cost,
            **as_document(found, calibration, clusters, None),
        }
        document = with_excerpts(document, samples)
        write_json(out / "diagnosis.json", document)
    return document
