"""Versions of a data set: folders of Parquet shards with a manifest, written once, never changed.

A version is written under a temporary name beside its own, synced, and renamed, so a folder under
its final name is complete. The manifest is written last and holds the hash of the sorted row
hashes: two versions with the same rows have the same hash, whatever the order.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from ..core.disk import writing
from ..core.errors import DataError
from ..core.ids import hash_of_hashes
from ..core.records import Sample, row_hash, sample_from

MANIFEST = "manifest.json"
SHARD_ROWS = 10_000
GROUP_ROWS = 1_000
"""Rows written and read at a time: what a reader holds in memory."""

_TURN = pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("messages", pa.list_(_TURN)),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("parent_id", pa.string()),
        ("round", pa.int32()),
        ("meta", pa.string()),  # JSON: fields differ from row to row
    ]
)


class Shard(BaseModel):
    """A Parquet file of a version and its number of rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    rows: int


class Manifest(BaseModel):
    """What a version is: its rows, their hash, the version it came from, and how it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    sha256: str
    parent: str | None
    made_by: dict[str, Any]
    shards: list[Shard]


class Version:
    """A written version. Iterating streams its samples in the order they were written."""

    def __init__(self, folder: Path) -> None:
        """Open a version.

        Raises:
            DataError: the folder holds no valid manifest, or a shard is missing.
        """
        self.folder = folder
        self.manifest = read_manifest(folder)
        for shard in self.manifest.shards:
            if not (folder / shard.file).is_file():
                raise DataError(f"{folder}: the shard {shard.file!r} is missing; make it again")

    @property
    def rows(self) -> int:
        """Number of samples."""
        return self.manifest.rows

    @property
    def sha256(self) -> str:
        """Hash of the sorted row hashes."""
        return self.manifest.sha256

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.manifest.rows

    def __iter__(self) -> Iterator[Sample]:
        """Yield every sample, holding at most one row group in memory."""
        for batch in self._batches(None):
            yield from (_sample(row) for row in batch.to_pylist())

    def ids(self) -> list[str]:
        """Return the ids in the order of the samples; only that column is read."""
        return [name for batch in self._batches(["id"]) for name in batch["id"].to_pylist()]

    def lines(self) -> list[tuple[str, str, str | None, int]]:
        """Return id, origin, parent and round of each sample, in their order; no text is read."""
        names = ["id", "origin", "parent_id", "round"]
        found: list[tuple[str, str, str | None, int]] = []
        for batch in self._batches(names):
            found += zip(*(batch[name].to_pylist() for name in names), strict=True)
        return found

    def take(self, ids: Iterable[str]) -> dict[str, Sample]:
        """Return the samples with these ids, in the order asked for.

        Raises:
            DataError: an id that the version doesn't have.
        """
        wanted = list(dict.fromkeys(ids))
        values = pa.array(wanted, pa.string())
        found: dict[str, Sample] = {}
        for batch in self._batches(None):
            if len(found) == len(wanted):
                break
            rows = batch.filter(pc.is_in(batch["id"], value_set=values)).to_pylist()
            found |= {row["id"]: _sample(row) for row in rows}
        missing = next((name for name in wanted if name not in found), None)
        if missing is not None:
            raise DataError(f"{self.folder}: no sample {missing!r} in this version")
        return {name: found[name] for name in wanted}

    def verify(self) -> None:
        """Read every row and compare the hash with the manifest's.

        Raises:
            DataError: the rows are not those that were written.
        """
        if hash_of_hashes(row_hash(sample) for sample in self) != self.sha256:
            raise DataError(
                f"{self.folder}: the rows don't have the manifest's hash; make it again"
            )

    def _batches(self, columns: list[str] | None) -> Iterator[Any]:
        for shard in self.manifest.shards:
            rows = 0
            try:
                with pq.ParquetFile(self.folder / shard.file) as file:
                    for batch in file.iter_batches(batch_size=GROUP_ROWS, columns=columns):
                        rows += batch.num_rows
                        yield batch
            except (OSError, pa.ArrowException) as error:
                reason = str(error).partition("\n")[0]
                raise DataError(
                    f"{self.folder / shard.file}: broken shard ({reason}); make the version again"
                ) from error
            if rows != shard.rows:
                raise DataError(
                    f"{self.folder / shard.file}: {rows} rows where the manifest says "
                    f"{shard.rows}; make the version again"
                )


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a version.

    Raises:
        DataError: there is none, or it is no valid one.
    """
    file = folder / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DataError(
            f"{folder}: no data version here: {MANIFEST} can't be read ({error.strerror}); "
            "name a folder that Middo wrote"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise DataError(f"{file}: not a valid manifest ({place}: {first['msg']})") from error


def write_version(
    folder: Path,
    samples: Iterable[Sample],
    *,
    parent: str | None,
    made_by: dict[str, Any],
    shard_rows: int = SHARD_ROWS,
) -> Manifest:
    """Write samples as a new version and return its manifest.

    The samples are streamed; only their hashes and ids are held. A version that is there already
    and has the same rows and the same parent is left as it is, and its manifest returned. One
    process writes a folder at a time: the run's lock sees to that.

    Args:
        folder: where the version will be; its parents are made.
        samples: the rows, each with an id of its own.
        parent: hash of the version it was made from; None for an imported one.
        made_by: how it was made, as JSON types.
        shard_rows: rows per Parquet file.

    Raises:
        DataError: another version or something else is there, an id twice, or a text that UTF-8
            can't hold.
        StorageError: the disk refuses it.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            part.mkdir()
            shards, digest = _write_shards(part, samples, shard_rows)
            rows = sum(shard.rows for shard in shards)
            manifest = Manifest(
                rows=rows, sha256=digest, parent=parent, made_by=made_by, shards=shards
            )
            if _is_there(folder, manifest):
                return read_manifest(folder)
            with (part / MANIFEST).open("w", encoding="utf-8") as file:
                file.write(manifest.model_dump_json(indent=1) + "\n")
            _sync(part / MANIFEST)
            _sync(part)
            os.rename(part, folder)
            _sync(folder.parent)
            return manifest
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_there(folder: Path, manifest: Manifest) -> bool:
    """Return whether the same version is there; an empty folder counts as nothing."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    there = read_manifest(folder)
    if (there.sha256, there.parent) != (manifest.sha256, manifest.parent):
        raise DataError(
            f"{folder}: holds another version (sha256 {there.sha256[:12]}, not "
            f"{manifest.sha256[:12]}); versions are never overwritten, choose another folder"
        )
    return True


def _write_shards(
    folder: Path, samples: Iterable[Sample], shard_rows: int
) -> tuple[list[Shard], str]:
    shards: list[Shard] = []
    hashes: list[str] = []
    seen: set[str] = set()
    rows = iter(samples)
    while shard := list(islice(rows, shard_rows)):
        for sample in shard:
            if sample.id in seen:
                raise DataError(f"{sample.source}: the id {sample.id!r} stands twice in a version")
            seen.add(sample.id)
        hashes += [row_hash(sample) for sample in shard]
        file = f"part-{len(shards):05d}.parquet"
        pq.write_table(_table(shard), folder / file, row_group_size=GROUP_ROWS, compression="zstd")
        _sync(folder / file)
        shards.append(Shard(file=file, rows=len(shard)))
    return shards, hash_of_hashes(hashes)


def _table(samples: Sequence[Sample]) -> Any:
    rows = []
    for sample in samples:
        meta = json.dumps(sample.meta, ensure_ascii=False, allow_nan=False)
        rows.append(sample.as_dict() | {"meta": meta})
    try:
        return pa.Table.from_pylist(rows, schema=SCHEMA)
    except UnicodeEncodeError as error:
        raise DataError(
            f"{samples[0].source} or a sample after it holds a lone surrogate, which Parquet can't "
            "hold; remove it"
        ) from error


def _sample(row: dict[str, Any]) -> Sample:
    return sample_from(row | {"meta": json.loads(row["meta"])})


def _sync(path: Path) -> None:
    """Wait until a file or a folder's entries are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
