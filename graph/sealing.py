"""Digests of the files that later nodes decide from: a changed file is noticed before it is read.

Parquet and JSON files can be damaged and still be readable. What a node wrote is noted in the
ledger when it is on the disk; a run that goes on compares.
"""

import hashlib
from pathlib import Path

from .deps import Deps

EVALUATION = "evaluation.json"
DIAGNOSIS = ("signals.parquet", "embeddings.parquet", "diagnosis.json")


def seal(deps: Deps, *paths: Path) -> None:
    """Note the digests of files of the run."""
    for path in paths:
        deps.facts.put(_fact(deps, path), _digest(path))


def sealed_digest(deps: Deps, path: Path) -> str | None:
    """Return the digest that was noted of a file, None where none was."""
    found: str | None = deps.facts.get(_fact(deps, path))
    return found


def is_sealed(deps: Deps, path: Path) -> bool:
    """Return whether a file is there as it was written; of an older run, whether it is there."""
    return path.is_file() and deps.facts.get(_fact(deps, path)) in (None, _digest(path))


def _fact(deps: Deps, path: Path) -> str:
    return f"files.{path.relative_to(deps.folder).as_posix()}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
