"""Losses outlive their run; a cache that is of no use costs one line and no run."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from middo.core.measures import Measured
from middo.stores import shared as module
from middo.stores.shared import SharedScores, shared_scores_file

LOSSES = {"a": Measured(answer_tokens=3, loss=0.5), "b": Measured(unscored="too_long")}


def opened(file: Path) -> tuple[SharedScores, list[str]]:
    told: list[str] = []
    return SharedScores(file, told.append), told


def test_a_later_run_finds_the_losses_of_an_earlier_one(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "scores.db"
    first, told = opened(file)
    assert first.known("base", LOSSES) == {}
    first.add("base", LOSSES)
    first.close()
    second, more = opened(file)
    assert second.known("base", ["a", "b", "c"]) == LOSSES
    assert second.known("base of another dtype", ["a"]) == {}
    second.close()
    assert told == more == []


def test_what_a_number_means_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, _ = opened(tmp_path / "scores.db")
    cache.add("base", LOSSES)
    monkeypatch.setattr(module, "MEANING", module.MEANING + 1)
    assert cache.known("base", ["a"]) == {}
    cache.close()


def test_a_broken_file_is_said_once_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "scores.db"
    file.write_bytes(b"no database" * 100)
    cache, told = opened(file)
    assert cache.known("base", ["a"]) == {}
    cache.add("base", LOSSES)
    assert cache.known("base", ["a"]) == {}
    assert len(told) == 1
    assert told[0].startswith(f"{file}: the cache of base-model losses can't be used (")
    assert file.read_bytes().startswith(b"no database")


def test_a_folder_that_can_not_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file", encoding="utf-8")
    cache, told = opened(tmp_path / "home" / "middo" / "scores.db")
    cache.add("base", LOSSES)
    assert cache.known("base", ["a"]) == {}
    assert len(told) == 1


def test_a_row_that_is_no_measurement_ends_the_use_of_the_cache(tmp_path: Path) -> None:
    file = tmp_path / "scores.db"
    cache, told = opened(file)
    cache.add("base", LOSSES)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE scores SET measured = '{\"loss\": ' WHERE item = 'a'")
    connection.commit()
    connection.close()
    assert cache.known("base", ["b"]) == {"b": LOSSES["b"]}
    assert cache.known("base", ["a", "b"]) == {}
    assert cache.known("base", ["b"]) == {}
    assert len(told) == 1


def test_several_processes_fill_one_file(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    started = [
        processes.Process(target=fill, args=(tmp_path / "scores.db", number)) for number in range(3)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    cache, told = opened(tmp_path / "scores.db")
    names = [f"{number}-{i}" for number in range(3) for i in range(20)]
    assert list(cache.known("base", names)) == sorted(names)
    assert told == []
    cache.close()


def fill(file: Path, number: int) -> None:
    cache, told = opened(file)
    for i in range(20):
        cache.add("base", {f"{number}-{i}": Measured(loss=float(i))})
    cache.close()
    assert told == []


def test_the_file_lies_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path))
    assert shared_scores_file() == tmp_path / "scores.db"
    monkeypatch.delenv("MIDDO_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert shared_scores_file() == tmp_path / "home" / ".cache" / "middo" / "scores.db"
