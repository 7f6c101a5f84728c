"""A version is complete or not there, is never overwritten, and streams what was written."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from middo.core.errors import DataError
from middo.core.ids import hash_of_hashes
from middo.core.records import Message, Sample, row_hash, sample_id
from middo.stores.samples import Manifest, Version, read_manifest, write_version


def _sample(number: int) -> Sample:
    messages = (
        Message("system", "Be short. \u2028 é 🙂"),
        Message("user", f"What is {number}?"),
        Message("assistant", "{}", "function_call"),
        Message("tool", "", "observation"),
        Message("assistant", f"It is {number}.\r\n\0"),
    )
    meta = (
        {"z": [1, {"b": None, "a": 0.1}], "a": "é", "_middo": {"form": "x"}} if number % 2 else {}
    )
    return Sample(sample_id(messages), messages, f"a.jsonl:{number}", meta=meta)


SAMPLES = [
    *(_sample(number) for number in range(1, 25)),
    replace(_sample(25), origin="rewritten", parent_id="abc", round=2),
]


def _write(folder: Path, samples: list[Sample], parent: str | None = None) -> Manifest:
    made_by = {"round": 0, "node": "prepare"}
    return write_version(folder, iter(samples), parent=parent, made_by=made_by, shard_rows=10)


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    manifest = _write(tmp_path / "rounds" / "0" / "dataset", SAMPLES, parent="p")
    version = Version(tmp_path / "rounds" / "0" / "dataset")

    assert list(version) == SAMPLES
    assert list(list(version)[0].meta) == ["z", "a", "_middo"]
    assert version.ids() == [sample.id for sample in SAMPLES]
    assert version.rows == len(version) == 25
    assert version.sha256 == hash_of_hashes(row_hash(sample) for sample in SAMPLES)
    assert [shard.rows for shard in manifest.shards] == [10, 10, 5]
    assert version.manifest == manifest
    version.verify()


def test_the_manifest_has_the_documented_keys(tmp_path: Path) -> None:
    _write(tmp_path / "v", SAMPLES, parent="p")
    plain = json.loads((tmp_path / "v" / "manifest.json").read_text(encoding="utf-8"))
    assert list(plain) == ["rows", "sha256", "parent", "made_by", "shards"]
    assert plain["made_by"] == {"round": 0, "node": "prepare"} and plain["parent"] == "p"
    assert plain["shards"][0] == {"file": "part-00000.parquet", "rows": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v"]


def test_the_hash_is_that_of_the_rows_whatever_their_order(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", SAMPLES)
    assert _write(tmp_path / "b", SAMPLES[::-1]).sha256 == first.sha256
    changed = [replace(SAMPLES[0], meta={"x": 1}), *SAMPLES[1:]]
    assert _write(tmp_path / "c", changed).sha256 != first.sha256


def test_take_gives_samples_of_every_shard_in_the_order_asked_for(tmp_path: Path) -> None:
    _write(tmp_path / "v", SAMPLES)
    version = Version(tmp_path / "v")
    wanted = [SAMPLES[24], SAMPLES[3], SAMPLES[12]]
    taken = version.take([sample.id for sample in wanted])
    assert list(taken.values()) == wanted
    assert list(taken) == [sample.id for sample in wanted]
    assert version.take([]) == {}
    with pytest.raises(DataError, match="no sample 'nobody' in this version"):
        version.take([SAMPLES[0].id, "nobody"])


def test_the_same_version_again_changes_nothing(tmp_path: Path) -> None:
    first = _write(tmp_path / "v", SAMPLES)
    before = (tmp_path / "v" / "manifest.json").stat().st_mtime_ns
    assert _write(tmp_path / "v", SAMPLES) == first
    assert (tmp_path / "v" / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("parent", [None, "other"])
def test_another_version_under_the_same_path_is_refused(tmp_path: Path, parent: str | None) -> None:
    _write(tmp_path / "v", SAMPLES)
    samples = SAMPLES if parent else SAMPLES[1:]
    with pytest.raises(DataError, match="holds another version .* never overwritten"):
        _write(tmp_path / "v", samples, parent)
    assert list(Version(tmp_path / "v")) == SAMPLES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v"]


def test_a_failure_leaves_nothing_and_a_killed_write_is_cleared_away(tmp_path: Path) -> None:
    def failing() -> Iterator[Sample]:
        yield from SAMPLES
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_version(tmp_path / "v", failing(), parent=None, made_by={})
    assert not list(tmp_path.iterdir())

    killed = tmp_path / ".v.part"
    killed.mkdir()
    (killed / "part-00007.parquet").write_text("half")
    _write(tmp_path / "v", SAMPLES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v"]
    assert not (tmp_path / "v" / "part-00007.parquet").exists()


def test_a_folder_without_a_valid_manifest_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data version here"):
        Version(tmp_path / "missing")
    _write(tmp_path / "v", SAMPLES)
    manifest = tmp_path / "v" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    for broken in (text[:40], "{}", text.replace('"rows": 25', '"rows": "many"')):
        manifest.write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match=r"manifest.json: not a valid manifest \(") as caught:
            Version(tmp_path / "v")
        assert "\n" not in str(caught.value)
    manifest.unlink()
    with pytest.raises(DataError, match="no data version here"):
        read_manifest(tmp_path / "v")
    with pytest.raises(DataError, match="no data version here"):  # nor is it written over
        _write(tmp_path / "v", SAMPLES)


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "v", SAMPLES)
    version = Version(tmp_path / "v")
    shard = tmp_path / "v" / "part-00001.parquet"
    other = tmp_path / "v" / "part-00002.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="part-00001.parquet: broken shard"):
        list(version)
    shard.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match="part-00001.parquet: 5 rows where the manifest says 10"):
        version.ids()
    shard.unlink()
    with pytest.raises(DataError, match="the shard 'part-00001.parquet' is missing"):
        Version(tmp_path / "v")


def test_verify_notices_rows_that_were_changed(tmp_path: Path) -> None:
    _write(tmp_path / "v", SAMPLES)
    shard = tmp_path / "v" / "part-00002.parquet"
    table = pq.read_table(shard)
    rows = table.to_pylist()
    rows[0]["source"] = "elsewhere:1"
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), shard)
    with pytest.raises(DataError, match="don't have the manifest's hash"):
        Version(tmp_path / "v").verify()


def test_ids_are_unique_and_texts_are_utf8(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stands twice in a version"):
        _write(tmp_path / "v", [SAMPLES[0], SAMPLES[0]])
    broken = replace(SAMPLES[0], messages=(*SAMPLES[0].messages, Message("user", "\ud800")))
    with pytest.raises(DataError, match="a lone surrogate, which Parquet can't hold"):
        _write(tmp_path / "v", [broken])
    assert not list(tmp_path.iterdir())


def test_an_empty_version_is_a_version(tmp_path: Path) -> None:
    _write(tmp_path / "v", [])
    version = Version(tmp_path / "v")
    assert list(version) == [] and version.ids() == [] and version.rows == 0
