"""Measure how fast a diagnosis is: against the reference procedure, and against plain passes.

    python -m benchmarks.diagnosis --data FILE [--model smollm2-135m] [--rows 16]
        [--reference-python FOLDER/bin/python] [--full] [--json FILE]

One run on the CPU, caches empty, the same model, rows, precision and threads on both sides. The
tuned model is trained first, by Middo, on 32 rows, those measured among them. Then:

- the reference procedure (`reference.py`, by vLLM in the environment that `reference_setup.sh`
  makes) against Middo with the same results, that is base and tuned loss, embedding and ratings
  (to reach: 40 times faster), and against Middo with all likelihood signals (25 times);
- scoring against causal passes of the plain model over batches as long (at most 1.35 times);
- calibration as a share of the diagnosis of 1,000 rows (at most 15 %).

Loading models and starting the engine is timed apart and no part of the ratios. The reference takes
at most 16 rows; for more its time is extrapolated and marked. Without `--reference-python` it runs
on 4 rows, with transformers' `generate`, and no ratio is told.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.diagnosis_tables import TO_REACH, report, times_faster
from benchmarks.machine import write
from middo.core.measures import Measured
from middo.core.records import Sample
from middo.formats.importing import import_data
from middo.training.device import Dtype, pick_dtype, quiet_environment
from middo.training.sources import ModelSource, quiet, resolve_model
from middo.training.weights import merge_adapter

SEED = 7
MAX_LENGTH = 1024
TRAINED_ROWS = 32
REFERENCE_ROWS = {"vllm": 16, "transformers": 4}
MEASURED_ROWS = 64
"""Rows of the diagnosis of 1,000 that are measured unless `--full` is given."""
KV_CACHE_GB = 6
"""Room for the reference's 96 chats at the same time."""

STEPS = ("loss_base", "loss_tuned", "embedding", "ratings")
LOADING = ("load_base", "load_tuned", "start_engine")


def main() -> None:
    """Run the benchmark and print its tables."""
    arguments = parsed()
    own = dict(os.environ)
    os.environ.update(quiet_environment())
    source = resolve_model(arguments.model)
    dtype = pick_dtype("auto", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # The losses that runs share are kept there too: this run shall find none.
        os.environ["MIDDO_CACHE"] = str(work / "cache")
        document = measured(arguments, source, dtype, work, own)
    print(report(document))
    if arguments.json:
        write(arguments.json, document)


def parsed() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True, help="a data set in any form that Middo imports")
    parser.add_argument("--model", default="smollm2-135m", help="as `model.base`")
    parser.add_argument("--rows", type=int, default=16, help="rows to diagnose on both sides")
    parser.add_argument(
        "--reference-python", help="Python of the environment that reference_setup.sh made"
    )
    parser.add_argument(
        "--full", action="store_true", help="measure all 1,000 rows, extrapolate nothing"
    )
    parser.add_argument("--json", type=Path, help="where to write the result")
    return parser.parse_args()


def measured(
    arguments: argparse.Namespace,
    source: ModelSource,
    dtype: Dtype,
    work: Path,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Take all measurements; the reference gets the `environment` that the command was given."""
    # It loads torch, which reads its settings from the environment when it is loaded.
    from benchmarks import passes

    samples = sorted(import_data(arguments.data).samples, key=lambda sample: sample.id)
    random.Random(SEED).shuffle(samples)

    scorer, load_base = passes.opened(source, dtype, MAX_LENGTH)
    samples = passes.scorable(scorer, samples)
    rows = samples[: arguments.rows]
    items = passes.items_of(rows)
    say(f"training on {TRAINED_ROWS} rows")
    adapter = passes.trained_adapter(source, samples[:TRAINED_ROWS], work, dtype, MAX_LENGTH)
    say(f"scoring {len(rows)} rows")
    loss_base, on_base = passes.score(scorer, items, passes.LOSS)
    more = passes.diagnosed(samples)[0][: None if arguments.full else MEASURED_ROWS]
    before, _ = passes.score(scorer, passes.items_of(more), passes.LOSS)
    scorer, load_tuned = passes.adapted(scorer, adapter)
    parity, on_tuned = passes.score(scorer, items, passes.PARITY)
    full, _ = passes.score(scorer, items, passes.FULL)
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    say("scoring against causal passes")
    causal = [
        passes.against_causal(scorer, source, dtype, items, asks)
        for asks in (passes.PARITY, passes.FULL)
    ]
    say("calibrating")
    calibration = passes.calibration_share(before, scorer, samples, work, SEED)
    scorer.close()
    with quiet():
        merge_adapter(source.folder, adapter, work / "merged")
    reference = run_reference(arguments.reference_python, source, rows, dtype, work, environment)
    document = {
        "benchmark": "diagnosis",
        "data": Path(arguments.data).name,
        "model": Path(source.name).name,
        "rows": len(rows),
        "dtype": dtype,
        "seed": SEED,
        "middo": {
            "loss_base": loss_base.as_dict(),
            "parity": parity.as_dict(),
            "full": full.as_dict(),
            "seconds": {
                "parity": loss_base.seconds + parity.seconds,
                "full": loss_base.seconds + full.seconds,
                "loading": load_base + load_tuned,
            },
            "peak_memory_mb": memory,
        },
        "causal": causal,
        "calibration": calibration,
        "reference": reference,
        "loss_differences": differences(reference, on_base, on_tuned),
        "to_reach": TO_REACH,
    }
    return {**document, "times_faster": times_faster(document)}


def run_reference(
    python: str | None,
    source: ModelSource,
    rows: Sequence[Sample],
    dtype: Dtype,
    work: Path,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Run `reference.py` on at most 16 rows, or without vLLM on at most 4."""
    engine = "vllm" if python else "transformers"
    taken = rows[: REFERENCE_ROWS[engine]]
    say(f"the reference procedure on {len(taken)} rows, by {engine}")
    job = {
        "base": str(source.folder),
        "tuned": str(work / "merged"),
        "dtype": dtype,
        "engine": engine,
        "rows": [
            [{"role": m.role, "content": m.content} for m in sample.messages] for sample in taken
        ],
    }
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    settings = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GB),
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }
    script = Path(__file__).with_name("reference.py")
    subprocess.run(
        [python or sys.executable, str(script), str(work / "job.json"), str(work / "found.json")],
        env={**environment, **settings},
        stdout=sys.stderr,
        check=True,
    )
    found: dict[str, Any] = json.loads((work / "found.json").read_text(encoding="utf-8"))
    times = len(rows) / len(taken)
    return {
        **found,
        "extrapolated": engine == "vllm" and times > 1,
        "ratings": found["seconds"]["ratings"] * times,
        "ratings_brief": found["seconds"]["ratings_brief"] * times,
        "total": sum(found["seconds"][step] for step in STEPS) * times,
        "loading": sum(found["seconds"].get(step, 0.0) for step in LOADING),
    }


def differences(
    reference: dict[str, Any], on_base: Sequence[Measured], on_tuned: Sequence[Measured]
) -> dict[str, float]:
    """Return by how much the two sides' losses differ at most, nats."""
    sides = {"base": on_base, "tuned": on_tuned}
    return {
        name: max(
            abs(theirs - ours.loss)
            # The reference may have fewer rows: the first ones.
            for theirs, ours in zip(reference[f"loss_{name}"], side, strict=False)
        )
        for name, side in sides.items()
    }


def say(text: str) -> None:
    """Tell on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
