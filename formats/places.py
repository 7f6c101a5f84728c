"""Where data lies: a file, a folder of files, or a data set of the Hugging Face hub.

Only plain files are opened: a pipe or a device may never end. In a folder nothing that is named
like a data file is left out in silence.
"""

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError
from ..core.text import printable
from .reading import Unknown, file_rows, hub_rows
from .rows import RawRow

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
"""Endings of the data files in a folder; a folder also holds licences and the like."""

_SPLITS = "dataset_dict.json"
_STATE = "state.json"
_NOT_DATA = ("dataset_info.json", "dataset_infos.json", _STATE, _SPLITS)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file or data set; `name` is what messages call it."""

    name: str
    rows: Iterator[RawRow]


def tables(path: str, unknown: Unknown) -> tuple[list[Table], list[str]]:
    """Return the tables behind a path or data set name, and a folder's entries that are not read.

    `unknown` says why no importer knows a list of columns, None where one does.

    Raises:
        DataError: there is nothing to read under that name.
    """
    if not path.strip():
        raise DataError("`data.path` is empty; name a file, a folder or a data set")
    place = _place(path)
    kind = _kind(place)
    if kind == "file":
        return [_table(place, unknown)], []
    if kind == "folder":
        return _folder(place, unknown)
    if kind is not None:
        raise DataError(f"{printable(str(place))}: is {kind}, not a file; name a file or folder")
    if not _HUB_NAME.fullmatch(path) or named_like_data(path):
        raise DataError(f"{path!r}: no such file or folder; check `data.path`")
    return [Table(path, hub_rows(path))], []


def named_like_data(name: str) -> bool:
    """Return whether a name has the ending of a data file."""
    return name.lower().removesuffix(".gz").endswith(ENDINGS)


def _table(file: Path, unknown: Unknown) -> Table:
    return Table(printable(str(file)), file_rows(file, unknown))


def _place(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path!r}: there is no such home folder; check `data.path`") from error


def _kind(place: Path) -> str | None:
    """Return what lies at a place, None where nothing does.

    Raises:
        DataError: that can't be found out, as for a link to itself.
    """
    try:
        mode = place.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: NUL in the name
        return "a link to nothing" if place.is_symlink() else None
    except OSError as error:
        name = printable(str(place))
        name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
        raise DataError(f"{name}: can't be read ({error.strerror}); check `data.path`") from error
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "a pipe or device"


def _folder(folder: Path, unknown: Unknown) -> tuple[list[Table], list[str]]:
    name = printable(str(folder))
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{name}: can't be read ({error.strerror}); check its rights") from error
    saved = _saved(folder / _STATE)
    files = [
        entry
        for entry in entries
        if _is_data(entry.name) and (saved is None or entry.name in saved)
    ]
    if gone := sorted((saved or set()) - {entry.name for entry in files}):
        raise DataError(
            f"{name}: {printable(gone[0])} is missing, which {_STATE} names; restore it"
        )
    if not files:
        raise DataError(f"{name}: {_no_files(folder)}")
    for entry in files:
        if (kind := _kind(entry)) != "file":
            what = "a folder" if kind == "folder" else kind
            raise DataError(
                f"{printable(str(entry))}: is named like a data file, but is {what}; "
                "take it away, or name the files one at a time"
            )
    skipped = [entry.name for entry in entries if entry not in files]
    return [_table(file, unknown) for file in files], skipped


def _no_files(folder: Path) -> str:
    splits = _splits(folder / _SPLITS)
    if splits:
        return (
            f"holds a data set in parts ({printable(', '.join(splits))}); "
            f"name one of them, such as {printable(str(folder / splits[0]))}"
        )
    return (
        f"no data file in this folder ({', '.join(ENDINGS)}, also .gz); "
        "name a file, or the folder that holds the files directly"
    )


def _saved(state: Path) -> set[str] | None:
    """Return the files that make up a data set that `save_to_disk` wrote, None where it did not.

    Beside them may lie `cache-*.arrow`, what its `map` made of the same rows.
    """
    match _parsed(state):
        case {"_data_files": [*files]}:
            return {str(file["filename"]) for file in files if "filename" in file}
    return None


def _splits(names: Path) -> list[str]:
    match _parsed(names):
        case {"splits": [*splits]}:
            return [str(split) for split in splits]
    return []


def _parsed(file: Path) -> object:
    try:
        return json.loads(file.read_bytes()) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None


def _is_data(name: str) -> bool:
    return name not in _NOT_DATA and named_like_data(name)
