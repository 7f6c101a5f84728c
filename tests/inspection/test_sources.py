"""Which index is read: the run's own, or one in the cache that can't be stale."""

import os
import time
from pathlib import Path

import pytest

from middo.core.errors import MiddoError
from middo.core.records import Axis
from middo.inspection.record import open_record
from middo.inspection.sources import MOST_CACHED
from middo.stores.index import INDEX_DB
from middo.stores.lock import run_lock

from .folder import Folder, numbered

SAMPLES = numbered(5)
IDS = [one.id for one in SAMPLES]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "indexes"


def finished(path: Path, *, indexed: bool) -> Folder:
    folder = Folder(path, indexed=indexed)
    folder.dataset(0, SAMPLES)
    folder.diagnosis(
        0,
        {"quality": {IDS[0]: 0.1}},
        [(IDS[0], Axis.QUALITY, "broken")],
        vectors={name: (n, n * n, 1) for n, name in enumerate(IDS)},
    )
    return folder


def listing(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        # SQLite's own, beside a file that is open.
        if not path.name.endswith(("-shm", "-wal")) and path.is_file()
    }


def test_a_run_without_an_index_is_not_written_to(tmp_path: Path, cache: Path) -> None:
    folder = finished(tmp_path / "run", indexed=False)
    before = listing(folder.path)
    with open_record(folder.path) as record:
        assert record.index.ids() == sorted(IDS)
        assert record.index.places(0).ids == sorted(IDS)
        assert record.index.versions().keys() == {0} == record.index.diagnoses().keys()
    assert listing(folder.path) == before
    assert len(list(cache.iterdir())) == 1


def test_what_is_in_the_cache_is_used_again(tmp_path: Path, cache: Path) -> None:
    folder = finished(tmp_path / "run", indexed=False)
    for _ in range(2):
        with open_record(folder.path) as record:
            assert record.index.ids()
        (only,) = cache.iterdir()
        os.utime(only, (1, 1))
    assert only.stat().st_mtime == 1


def test_the_index_of_the_run_is_read_where_it_is_whole(tmp_path: Path, cache: Path) -> None:
    folder = finished(tmp_path / "run", indexed=True)
    with open_record(folder.path) as record:
        assert record.index.ids() == sorted(IDS)
    assert not cache.exists()


def test_both_have_the_same_places(tmp_path: Path, cache: Path) -> None:
    own, made = (finished(tmp_path / str(n), indexed=n == 1) for n in (1, 2))
    with open_record(own.path) as one, open_record(made.path) as other:
        assert one.index.places(0).xy.tolist() == other.index.places(0).xy.tolist()


def test_an_incomplete_index_is_replaced_by_one_of_the_readers(tmp_path: Path, cache: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    folder.indexed = False
    folder.dataset(1, SAMPLES[1:])
    with open_record(folder.path) as record:
        assert record.index.versions().keys() == {0, 1}
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("ago", [3600, -3600])  # -3600: the clock was set back since
def test_a_living_run_gets_time_to_index(tmp_path: Path, cache: Path, ago: int) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    with run_lock(folder.path), open_record(folder.path) as record:
        folder.indexed = False
        folder.dataset(1, SAMPLES[1:])
        assert record.index.versions().keys() == {0}
        assert not cache.exists()
        manifest = folder.path / "rounds" / "1" / "dataset" / "manifest.json"
        earlier = time.time() - ago
        for path in (manifest, folder.path / "rounds" / "0" / "dataset" / "manifest.json"):
            os.utime(path, (earlier, earlier))
        assert record.index.versions().keys() == {0, 1}


def test_a_changed_run_gets_a_new_index_and_the_old_one_goes(tmp_path: Path, cache: Path) -> None:
    folder = finished(tmp_path / "run", indexed=False)
    with open_record(folder.path) as record:
        assert record.index.versions().keys() == {0}
        folder.dataset(1, SAMPLES[1:])
        assert record.index.versions().keys() == {0, 1}
        assert len(list(cache.iterdir())) == 1
        folder.diagnosis(0, {"quality": {IDS[0]: 0.2, IDS[1]: 0.3}}, vectors={})
        assert record.index.places(0).ids == []


def test_indexes_of_runs_that_are_gone_go_in_their_turn(tmp_path: Path, cache: Path) -> None:
    folder = finished(tmp_path / "run", indexed=False)
    cache.mkdir(parents=True)
    others = [cache / f"{n:016x}-{n:016x}.db" for n in range(MOST_CACHED + 2)]
    for age, other in enumerate(reversed(others)):
        other.write_bytes(b"of a run that is gone")
        other.with_name(other.name + "-wal").write_bytes(b"")
        os.utime(other, (1_000_000 - age, 1_000_000 - age))
    with open_record(folder.path) as record:
        assert record.index.ids() == sorted(IDS)
    left = {path.name for path in cache.glob("*.db")}
    assert left > {other.name for other in others[3:]} and len(left) == MOST_CACHED
    assert len(list(cache.glob("*.db-wal"))) == MOST_CACHED - 1


def test_a_damaged_index_is_made_anew(tmp_path: Path, cache: Path) -> None:
    folder = finished(tmp_path / "run", indexed=True)
    (folder.path / INDEX_DB).write_bytes(b"\0" * 5000)
    with open_record(folder.path) as record:
        assert record.index.ids() == sorted(IDS)


def test_a_cache_that_can_not_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(tmp_path / "run", indexed=False)
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("MIDDO_CACHE", str(blocked))
    with open_record(folder.path) as record, pytest.raises(MiddoError, match="MIDDO_CACHE"):
        _ = record.index
