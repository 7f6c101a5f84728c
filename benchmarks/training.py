"""Measure how fast Middo trains, against TRL's plain `SFTTrainer` with its defaults.

    python -m benchmarks.training --data FILE [--model smollm2-135m] [--rows 16] [--repeats 2]
        [--json FILE]

One run: the same random rows, as many rows in every optimizer step, the same adapter, precision
and threads. Each arm trains in a process of its own, and the arms take turns:

- `trl`: `SFTTrainer` on prompt/completion messages, which supervises the same tokens as Middo;
- `middo`: what Middo's training process runs;
- `middo, rows alone`: the same, each row a sequence of its own.

TRL keeps its defaults, gradient checkpointing and 8 rows a batch among them. Changed are its
learning rate and schedule, which are Middo's so that losses can be compared and which cost no time;
saving, which is off; and `bf16`, which is off where the processor has no such instructions, for
both. Only optimizer steps are timed: no loading, no saving. Memory is the process's peak. Rows with
several answers are left out, and so are those longer than 1,024 tokens, which TRL would cut.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import table, write
from middo.core.records import Sample
from middo.formats.importing import import_data
from middo.training.device import pick_device, pick_dtype, quiet_environment
from middo.training.sources import load_tokenizer, resolve_model
from middo.training.tokens import Tokens, Unscored

ARMS = ("trl", "middo", "middo, rows alone")
SEED = 7
MAX_LENGTH = 1024
ROWS_PER_STEP = 8

HEADERS = (
    *("arm", "steps", "seconds", "tokens/s", "supervised/s", "times TRL", "peak MB"),
    *("first loss", "last loss"),
)


def main() -> None:
    """Run the benchmark and print its table."""
    arguments = parsed()
    os.environ.update(quiet_environment())
    source = resolve_model(arguments.model)
    device = pick_device()
    dtype = pick_dtype("auto", device)
    rows = chosen(
        arguments.data, Tokens(load_tokenizer(source.folder), "auto", MAX_LENGTH), arguments.rows
    )
    steps = len(rows) // ROWS_PER_STEP
    shape = {
        "model": source.name,
        "device": device,
        "dtype": dtype,
        "rows": len(rows),
        "rows_per_step": ROWS_PER_STEP,
        "steps": steps,
    }
    print(", ".join(f"{name} {value}" for name, value in shape.items()))
    if dtype != "bfloat16":
        print(f"TRL's default bf16=True is off: {device} computes no bfloat16 here")
    runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        lines = [json.dumps({"messages": [m.as_dict() for m in row.messages]}) for row in rows]
        file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        job = {
            "base": str(source.folder),
            "rows": str(file),
            "device": device,
            "dtype": dtype,
            "rows_per_step": ROWS_PER_STEP,
            "steps": steps,
            "max_length": MAX_LENGTH,
            "seed": SEED,
        }
        for _ in range(arguments.repeats):
            for arm in ARMS:
                runs[arm].append(run_arm(arm, job))
                found = runs[arm][-1]
                print(f"  {arm}: {found['tokens'] / found['seconds']:.0f} tokens/s", flush=True)
    arms = {arm: {**summary(runs[arm]), "runs": runs[arm]} for arm in ARMS}
    reference = arms["trl"]["tokens_per_second"]
    for found in arms.values():
        found["times_trl"] = found["tokens_per_second"] / reference
    print()
    print(table([_cells(arm, found) for arm, found in arms.items()], HEADERS))
    if arguments.json:
        write(arguments.json, {"benchmark": "training", **shape, "arms": arms})


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="a data set in any form, or `demo`")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=16, help="rounded down to whole steps of 8")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.rows < ROWS_PER_STEP or arguments.repeats < 1:
        parser.error(f"--rows must be at least {ROWS_PER_STEP} and --repeats at least 1")
    return arguments


def chosen(data: str, tokens: Tokens, count: int) -> list[Sample]:
    """Return random rows with one answer that fit, in whole steps.

    Raises:
        SystemExit: there are fewer than one step needs.
    """
    samples = import_data(data).samples
    random.Random(SEED).shuffle(samples)
    fit: list[Sample] = []
    for sample in samples:
        if len(fit) == count:
            break
        if sum(message.role == "assistant" for message in sample.messages) == 1:
            try:
                tokens.encode(sample.messages)
            except Unscored:
                continue
            fit.append(sample)
    if len(fit) < ROWS_PER_STEP:
        raise SystemExit(f"{data}: {len(fit)} usable rows; {ROWS_PER_STEP} are needed")
    return fit[: len(fit) // ROWS_PER_STEP * ROWS_PER_STEP]


def run_arm(arm: str, job: dict[str, Any]) -> dict[str, Any]:
    """Train in a process of its own and return what it measured."""
    with tempfile.TemporaryDirectory() as work:
        result = Path(work) / "result.json"
        asked = json.dumps({**job, "work": work, "result": str(result)})
        # The trainers print progress, which is not wanted here.
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.training_arms", arm, asked],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"the arm {arm!r} failed:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add up an arm's runs; losses are those of the first, since all runs have the same."""
    seconds = sum(run["seconds"] for run in runs)
    return {
        "seconds": seconds,
        "tokens_per_second": sum(run["tokens"] for run in runs) / seconds,
        "supervised_per_second": sum(run["supervised"] for run in runs) / seconds,
        "peak_memory_mb": max(run["peak_memory_mb"] for run in runs),
        "steps": sum(run["steps"] for run in runs),
        "losses": runs[0]["losses"],
    }


def _cells(arm: str, found: dict[str, Any]) -> list[Any]:
    return [
        arm,
        found["steps"],
        found["seconds"],
        found["tokens_per_second"],
        found["supervised_per_second"],
        found["times_trl"],
        found["peak_memory_mb"],
        found["losses"][0],
        found["losses"][-1],
    ]


if __name__ == "__main__":
    main()
