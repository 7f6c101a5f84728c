"""Digests of the files that later nodes decide from: a changed file is noticed before it is read.

Parquet and JSON files can be damaged and still be readable. What a node wrote is noted in the
ledger when it is on the disk; a run that goes on compares.
"""

import hashlib
from pathlib import Path

from .deps import Deps

EVALUATION = "evaluation.json"
DIAGNOSIS = ("signals.parquet", "embeddings.parquet", "diagnosis.json")


def seal(deps: Deps, round: int, *names: str) -> None:
    """Note the digests of files in a round's folder."""
    for name in names:
        deps.facts.put(_fact(round, name), _digest(deps.round_folder(round) / name))


def is_sealed(deps: Deps, round: int, name: str) -> bool:
    """Return whether a file is there as it was written; of an older run, whether it is there."""
    path = deps.round_folder(round) / name
    wanted = deps.facts.get(_fact(round, name))
    return path.is_file() and wanted in (None, _digest(path))


def _fact(round: int, name: str) -> str:
    return f"round.{round}.files.{name}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
