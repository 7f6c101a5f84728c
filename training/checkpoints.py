"""What a training leaves on disk: checkpoints while it goes on, a record when it is finished.

A process that is killed while it writes leaves a folder `checkpoint-N` that transformers would take
for the newest and then fail on. So completeness is decided here, from the files themselves and
without torch. The record `training.json` is written last: a model folder without it is unfinished.
"""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

RECORD = "training.json"
UNFINISHED = "unfinished"
"""Folder inside the output for what only an unfinished training needs."""

_STATE = "trainer_state.json"
_TORCH_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
_HEADER_BYTES = 8


def newest_complete(folder: Path) -> Path | None:
    """Return the complete checkpoint with the most steps, None where there is none."""
    complete = [path for path in _checkpoints(folder) if is_complete(path)]
    return max(complete, key=_step, default=None)


def discard_incomplete(folder: Path) -> list[Path]:
    """Delete half-written checkpoints, which would count as the newest ones; return them."""
    broken = [path for path in _checkpoints(folder) if not is_complete(path)]
    for path in broken:
        shutil.rmtree(path)
    return broken


def is_complete(checkpoint: Path) -> bool:
    """Return whether every file that resuming needs is there and whole."""
    try:
        state = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
        if state["global_step"] != _step(checkpoint):
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    weights = weight_files(checkpoint)
    return (
        bool(weights)
        and all(_whole_safetensors(file) for file in weights)
        and all(_whole_torch_file(checkpoint / name) for name in _TORCH_FILES)
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model or adapter folder, sorted by name."""
    return sorted(folder.glob("*.safetensors"))


def read_record(output: Path) -> dict[str, Any] | None:
    """Return the record of a finished training, None where it isn't finished."""
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and weight_files(output) else None


def write_record(output: Path, record: dict[str, Any]) -> None:
    """Declare a training finished, after all other files of the folder are on disk."""
    for file in sorted(output.iterdir()):
        if file.is_file():
            _sync(file)
    write_json(output / RECORD, record)


def write_json(file: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    draft = file.with_name(f".{file.name}.tmp")
    draft.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _sync(draft)
    draft.replace(file)
    _sync(file.parent)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if _step(path) >= 0]


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1


def _whole_safetensors(file: Path) -> bool:
    """Return whether the file is as long as its header says (8 bytes, header, tensors)."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(_HEADER_BYTES), "little")
            if length > file.stat().st_size:
                return False
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(ends) and file.stat().st_size == _HEADER_BYTES + length + max(ends)


def _whole_torch_file(file: Path) -> bool:
    """Return whether the zip archive that torch writes has its directory, which comes last."""
    try:
        with zipfile.ZipFile(file) as archive:
            return bool(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
