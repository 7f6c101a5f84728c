"""Export a run's best round again: in another form, or with the adapter merged into the base."""

from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..formats.configuration import load_kept
from ..formats.exporting import export_samples
from ..stores.runs import read_run
from ..stores.samples import Version

MERGED = "merged-model"


def export_run(run: Path, format: str, to: Path, *, merge: bool = False) -> dict[str, Any]:
    """Write the best round's data to `to`; returns what was written.

    Args:
        run: the run folder.
        format: a form of `formats.exporting`.
        to: file to write; its ending decides JSON, JSONL or Parquet.
        merge: also write base and adapter as one model, into `merged-model` beside `to`.

    Raises:
        UsageError: the run has no best round yet, or the form can't hold its rows.
    """
    document = read_run(run)
    best = document.get("best_round")
    if best is None:
        raise UsageError(f"{run}: {_not_yet(run, document['status'])}")
    written: dict[str, Any] = {
        "run": document["run"],
        "round": best,
        "format": format,
        "to": str(to),
        "rows": export_samples(Version(run / "rounds" / str(best) / "dataset"), format, to),
    }
    if merge:
        written["model"] = str(_merge(run, best, to.parent / MERGED))
    return written


def _not_yet(run: Path, status: str) -> str:
    """Say why there is no best round, and what brings one about."""
    if status == "running":
        return (
            "the run is going on, and its best round is known when it ends; follow it with"
            f" `middo status {run} --watch`"
        )
    return f"the run is {status} and has no best round yet; go on with `middo resume {run}`"


def _merge(run: Path, best: int, to: Path) -> Path:
    from ..training.sources import resolve_model
    from ..training.weights import merge_adapter

    config = load_kept(run / "config.yaml")
    if config.training.method == "full":
        raise UsageError(f"{run}: full fine-tuning has no adapter to merge; see export/model")
    if to.exists():
        raise UsageError(f"{to}: exists already; export to another folder")
    merge_adapter(resolve_model(config.model.base).folder, run / "rounds" / str(best) / "model", to)
    return to
