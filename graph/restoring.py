"""Before a run goes on: is everything still there that it did, and as it was written?

A folder may have been copied, cleaned up or damaged since. What can be made again from the rest is
made again, with the same content; what only this run's own files can tell is asked for in one line.
Nothing is decided from a file that is not what was written: the ledger keeps the digests.
"""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.config import RunConfig, config_hash
from ..core.errors import ConfigError, DataError, MiddoError, ModelError, UsageError
from ..core.progress import Note
from ..stores.runs import RUN_JSON, read_run
from ..stores.samples import MANIFEST, Version
from ..training.weights import weights_digest
from .deps import Deps
from .diagnosing import diagnose_round
from .document import rounds
from .learning import evaluate_round, train_round
from .merging import merge_round
from .preparing import prepare
from .sealing import DIAGNOSIS, EVALUATION, is_sealed
from .state import LoopState
from .task_rows import freeze_tasks

DIAGNOSED = frozenset({"refine", "review", "merge"})
"""Nodes that read what the diagnosis of their round wrote."""


def refuse_other(deps: Deps, config: RunConfig) -> None:
    """Raise where a run can't go on: another configuration, lost work, or no GPU as it had.

    Raises:
        ConfigError: `config.yaml` was changed, or cut short, since the run began.
        MiddoError: `run.json` tells of work that the ledger does not have.
        UsageError: the run was begun on a GPU, and this machine has none.
    """
    if deps.facts.get("device") is not None:
        _ = deps.device  # raises where this machine has not what the run began on
    standing = deps.facts.get("config_hash")
    if standing not in (None, config_hash(config)):
        raise ConfigError(
            f"{deps.folder / 'config.yaml'}: is not the configuration that the run began with;"
            " restore it from a copy: with another one the data would not be the run's"
        )
    try:
        document = read_run(deps.folder)
    except UsageError:
        return  # composed again from the ledger
    lost = _lost(document, rounds(deps), deps.ledger.spent().calls)
    if lost:
        raise MiddoError(
            f"{deps.database.name}: lacks {lost}, of which {RUN_JSON} tells; restore it, with its"
            " -wal file, from a copy: what models answered is nowhere else, and a new run (--out)"
            " would ask and pay for it again"
        )


def _lost(document: dict[str, Any], kept: list[dict[str, Any]], calls: int) -> str:
    """Return what a document has and the ledger does not; empty where it has all of it."""
    told = document.get("rounds") or []
    for before in told:
        number = before["round"]
        after = kept[number] if number < len(kept) else {}
        for part in ("dataset", "training", "evaluation", "gate", "flagged", "kept"):
            if before.get(part) is not None and after.get(part) is None:
                return f"the {part} of round {number}"
    tokens = document.get("tokens")
    counted = tokens.get("calls") if isinstance(tokens, dict) else None
    if isinstance(counted, int) and counted > calls:
        return f"{counted - calls} of {counted} LLM calls"
    return ""


async def restore(deps: Deps, state: LoopState, node: str) -> None:
    """Make again what a run that goes on will read and what is missing or damaged.

    Args:
        deps: the open run.
        state: of its last checkpoint.
        node: where it goes on.

    Raises:
        DataError: a data set is damaged and can't be made again.
        ModelError: trained anew, a model has other weights.
    """
    number, source = state["round"], state["source_round"]
    best = _best(deps, number)
    if node == "prepare":
        return
    await _in_thread(deps, _restore_imported)
    for k in range(number + 1):
        if k in {number, source, best}:
            await _in_thread(deps, _restore_version, k)
            await _in_thread(deps, _restore_model, k)
        if _evaluated(deps, k) and not is_sealed(deps, deps.round_folder(k) / EVALUATION):
            await _in_thread(deps, _restore_version, k)
            await _in_thread(deps, _restore_model, k)
            _tell(deps, deps.round_folder(k) / EVALUATION)
            await asyncio.to_thread(evaluate_round, deps, _state(k, k))
    folder = deps.round_folder(number)
    if node in DIAGNOSED and not all(is_sealed(deps, folder / name) for name in DIAGNOSIS):
        _tell(deps, folder / "diagnosis.json", "signals and embeddings")
        await diagnose_round(deps, state)


async def _in_thread(deps: Deps, step: Callable[..., None], *values: int) -> None:
    with _as_it_was(deps):
        await asyncio.to_thread(step, deps, *values)


@contextmanager
def _as_it_was(deps: Deps) -> Iterator[None]:
    """Keep how far the run is, whatever an earlier node says of it when it runs again."""
    seen = deps.facts.get("rounds_seen")
    try:
        yield
    finally:
        if deps.facts.get("rounds_seen") != seen:
            deps.facts.put("rounds_seen", seen)


def _restore_imported(deps: Deps) -> None:
    """Import hold-out and first data set again where they are not as they were."""
    freeze_tasks(deps)
    first = deps.facts.get("round.0.dataset", {}).get("sha256")
    broken = [
        (folder, problem)
        for folder, wanted in (
            (deps.round_folder(0) / "dataset", first),
            (deps.folder / "holdout", deps.facts.get("holdout")),
        )
        if (problem := _damage(deps, folder, wanted)) is not None
    ]
    if broken:
        folder, problem = broken[0]
        _tell(deps, folder, "from the imported file")
        with _replaced([folder for folder, _ in broken], f"{problem}; restore it from a copy"):
            prepare(deps, _state(0, 0))
            if (again := _damage(deps, deps.round_folder(0) / "dataset", first)) is not None:
                raise DataError(f"{again}: the imported file is not what it was")


def _restore_version(deps: Deps, number: int) -> None:
    """Merge a data set again where it is not as it was."""
    fact = deps.facts.get(f"round.{number}.dataset")
    folder = deps.round_folder(number) / "dataset"
    if number == 0 or fact is None:
        return
    problem = _damage(deps, folder, fact["sha256"])
    if problem is None:
        return
    before = number - 1
    source = deps.facts.get(f"round.{before}.diagnosis")["source_round"]
    _tell(deps, folder, "from the ledger's proposals")
    with _replaced([folder], f"{problem}; restore it from a copy"):
        _restore_version(deps, source)
        merge_round(deps, _state(before, source))


def _restore_model(deps: Deps, number: int) -> None:
    """Train a model again where its weights are not those that were measured."""
    name = f"round.{number}.training"
    fact = deps.facts.get(name)
    folder = deps.model_of(number)
    if fact is None or (weights_digest(folder) == fact["weights"] and _is_readable(folder)):
        return
    _tell(deps, folder, "trained anew")
    shutil.rmtree(folder, ignore_errors=True)
    train_round(deps, _state(number, number))
    if deps.weights_of(number) != fact["weights"]:
        deps.facts.put(name, fact)
        raise ModelError(
            f"{folder}: its weights are missing or damaged, and trained anew they are others;"
            " restore the folder from a copy"
        )


def _is_readable(model: Path) -> bool:
    """Return whether what says how to load a model is there; its weights are another matter."""
    try:
        for file in model.glob("*.json"):
            json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return any((model / name).is_file() for name in ("adapter_config.json", "config.json"))


def _damage(deps: Deps, folder: Path, sha256: str | None) -> str | None:
    """Return what is wrong with a data set that should have this hash, None for nothing.

    Every row is read. Without a hash, in runs of an older version, the manifest's own counts.
    """
    try:
        found = Version(folder)
        found.verify()
    except DataError as error:
        return str(error)
    if sha256 not in (None, found.sha256):
        return f"{folder}: holds another version than the run wrote"
    if not is_sealed(deps, folder / MANIFEST):
        return f"{folder / MANIFEST}: is not as the run wrote it"
    return None


@contextmanager
def _replaced(folders: list[Path], problem: str) -> Iterator[None]:
    """Set folders aside while they are made again; put them back where that fails.

    Raises:
        DataError: it failed; the message is the problem and why.
    """
    aside = [(folder, folder.with_name(f".{folder.name}.damaged")) for folder in folders]
    for folder, hidden in aside:
        shutil.rmtree(hidden, ignore_errors=True)
        if folder.exists():
            folder.rename(hidden)
    try:
        yield
    except BaseException as error:
        for folder, hidden in aside:
            if hidden.exists():
                shutil.rmtree(folder, ignore_errors=True)
                hidden.rename(folder)
        if isinstance(error, UsageError):
            raise DataError(f"{problem} (it can't be made again: {error})") from error
        raise
    for _, hidden in aside:
        shutil.rmtree(hidden, ignore_errors=True)


def _evaluated(deps: Deps, number: int) -> bool:
    return deps.facts.get(f"round.{number}.evaluation") is not None


def _best(deps: Deps, number: int) -> int:
    """Return the best round of the last gate that judged."""
    for k in range(number, -1, -1):
        if (gate := deps.facts.get(f"round.{k}.gate")) is not None:
            return int(gate["best"])
    return number


def _state(number: int, source: int) -> LoopState:
    return {"round": number, "source_round": source, "stop": ""}


def _tell(deps: Deps, path: Path, how: str = "") -> None:
    what = f"{path} is missing or damaged: made again"
    deps.report(Note(what + (f" ({how})" if how else "")))
