"""Measure what bfloat16 changes: the same diagnosis in both precisions, and whether flags agree.

    python -m benchmarks.precision --data FILE [--model smollm2-135m] [--adapter FOLDER]
        [--rows 96] [--axes complexity,diversity] [--json FILE]

Each precision fits its own thresholds, as a run would, on the same rows. Told are, per axis, how
many rows each precision flags and how many both (the overlap is their share of all flagged ones),
and per signal the differences between the two. A CPU without bfloat16 instructions emulates them,
so that `auto` takes float32 there: the times show what that saves.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import table, write
from middo.core.config import RunConfig
from middo.stores.tables import read_signals
from middo.training.device import pick_dtype, quiet_environment

PRECISIONS = ("float32", "bfloat16")
SIGNALS = ("loss_base", "loss_tuned", "density", "gain", "recoverability", "quality")


def main() -> None:
    """Diagnose twice, compare, and print."""
    choice = parsed()
    os.environ.update(quiet_environment())
    with tempfile.TemporaryDirectory() as work:
        os.environ["MIDDO_CACHE"] = _cache(Path(work))
        found = {one: diagnosed(choice, one, Path(work) / one) for one in PRECISIONS}
    document = compare(*(found[one] for one in PRECISIONS))
    document["seconds"] = {one: round(found[one]["seconds"], 1) for one in PRECISIONS}
    document["auto"] = pick_dtype("auto", "cpu")
    print(f"\n{document['rows']} rows, {choice.model}, adapter: {choice.adapter or 'none'}")
    flags = [[axis, *one.values()] for axis, one in document["flags"].items()]
    print(table(flags, ["axis", *PRECISIONS, "both", "overlap"]))
    print()
    signals = [[name, *one.values()] for name, one in document["signals"].items()]
    print(table(signals, ["signal", "rows", "mean difference", "largest", "standard deviation"]))
    print(f"\nseconds: {document['seconds']}; auto takes {document['auto']} on this CPU")
    if choice.json:
        write(choice.json, document)


def diagnosed(choice: argparse.Namespace, dtype: str, out: Path) -> dict[str, Any]:
    """Diagnose the rows in one precision; return flags by axis, signals by row, and the time."""
    from middo.graph.diagnose import diagnose

    config = RunConfig.model_validate(
        {
            "data": {"path": choice.data, "limit": choice.rows},
            "model": {"base": choice.model, "dtype": dtype},
            "signals": {"axes": choice.axes.split(",")},
        }
    )
    print(f"{dtype} ...", flush=True)
    started = time.perf_counter()
    diagnose(config, choice.adapter, out)
    seconds = time.perf_counter() - started
    rows = {row["id"]: row for row in read_signals(out / "signals.parquet")}
    flags = {
        axis: {name for name, row in rows.items() if axis in row["flags"]}
        for axis in choice.axes.split(",")
    }
    return {"rows": rows, "flags": flags, "seconds": seconds}


def compare(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return how far flags and signals of two diagnoses agree."""
    flags = {}
    for axis, first in one["flags"].items():
        second = other["flags"][axis]
        either = len(first | second)
        flags[axis] = {
            "first": len(first),
            "second": len(second),
            "both": len(first & second),
            "overlap": round(len(first & second) / either, 3) if either else None,
        }
    signals = {}
    for name in SIGNALS:
        pairs = [(row[name], other["rows"][key][name]) for key, row in one["rows"].items()]
        values: NDArray[np.float64] = np.array(
            [pair for pair in pairs if None not in pair], dtype=np.float64
        ).reshape(-1, 2)
        if len(values):
            gaps = np.abs(values[:, 0] - values[:, 1])
            signals[name] = {
                "rows": len(values),
                "mean": round(float(gaps.mean()), 4),
                "largest": round(float(gaps.max()), 4),
                "spread": round(float(values[:, 0].std()), 4),
            }
    return {"rows": len(one["rows"]), "flags": flags, "signals": signals}


def _cache(work: Path) -> str:
    """Return an empty cache for losses that still knows the converted models."""
    from middo.training.sources import cache_folder

    models = cache_folder()
    cache = work / "cache"
    cache.mkdir()
    if models.is_dir():
        (cache / "models").symlink_to(models)
    return str(cache)


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--axes", default="complexity,diversity")
    parser.add_argument("--json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
