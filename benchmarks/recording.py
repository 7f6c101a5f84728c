"""Record the demo's teacher anew, so that `middo run` can replay it without that model.

    python -m benchmarks.recording --teacher FILE.gguf --name "MODEL (FILE)" --licence Apache-2.0

Runs the shipped demo with a real model as rewriter and critic, once in each precision, since a
processor with bfloat16 flags a few other samples than one without; what was answered in the first
run is not asked again in the second. Then writes `stores/demo_recording.jsonl`. On a processor
that only emulates bfloat16 a step takes over 4 minutes: `--precision float32` leaves it out.
"""

import argparse
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from middo.cli.loop import DEMO
from middo.core.config import RunConfig
from middo.formats.configuration import load_config
from middo.stores.recording import DEMO_FILE, LEDGER, read_recording, write_recording
from middo.training.device import quiet_environment

PRECISIONS = ("bfloat16", "float32")


def main() -> None:
    """Run the demo with the teacher and keep what it answered."""
    choice = parsed()
    os.environ.update(quiet_environment())
    from middo import run

    work = Path(choice.work or tempfile.mkdtemp(prefix="middo-recording-"))
    ledgers: list[Path] = []
    for dtype in choice.precision:
        folder = work / dtype
        shutil.rmtree(folder, ignore_errors=True)
        document = run(_config(choice, dtype, ledgers), folder, report=print)
        first = document["rounds"][0]
        told = {name: first[name] for name in ("flagged", "accepted", "rejected", "failed")}
        print(f"{dtype}: {told}, {document['tokens']}, {document['seconds']} s")
        ledgers.append(folder / LEDGER)
    about = {
        "model": choice.name,
        "licence": choice.licence,
        "date": datetime.now(UTC).date().isoformat(),
        "data": "the demo rows (formats/demo)",
    }
    count = write_recording(ledgers, DEMO_FILE, about)
    versions = {name: sorted(found) for name, found in read_recording("demo").versions().items()}
    print(f"{count} answers in {DEMO_FILE}; prompts and versions: {versions}; runs in {work}")


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", required=True, help="GGUF file of an instruct model")
    parser.add_argument("--name", required=True, help="the model, as the recording names it")
    parser.add_argument("--licence", required=True, help="licence of the model's output")
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="of the runs [both]"
    )
    parser.add_argument("--work", help="folder for the runs [a temporary one]")
    return parser.parse_args()


def _config(choice: argparse.Namespace, dtype: str, ledgers: list[Path]) -> RunConfig:
    """Return the demo's configuration with the teacher in place of its recording."""
    params = {"slots": 4, "max_tokens": 256}
    live = {"model": f"llamacpp:{Path(choice.teacher).resolve()}", "params": params}
    role: dict[str, Any] = live
    if ledgers:
        role = {"model": f"replay:{ledgers[0]}", "fallbacks": [live]}
    plain = load_config(None, preset=DEMO, environ={}).model_dump(mode="json")
    plain["agents"]["rewriter"] = role
    plain["model"]["dtype"] = dtype
    return RunConfig.model_validate(plain)


if __name__ == "__main__":
    main()
