"""A record: cheap to open, fresh on every question, whole for every thread."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from middo.core.errors import ConfigError, DataError, MiddoError, UsageError
from middo.core.records import Axis
from middo.inspection.lives import life
from middo.inspection.record import open_record
from middo.inspection.samples import Query
from middo.inspection.table import page
from middo.stores.lock import run_lock
from middo.stores.runs import write_run

from .folder import Folder, numbered

SAMPLES = numbered(30)
IDS = sorted(one.id for one in SAMPLES)


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        open_record(tmp_path / "nothing")
    write_run(tmp_path, {"run": "x", "status": "finished"})
    with pytest.raises(UsageError, match=r"no ledger\.db"):
        open_record(tmp_path)


def test_a_run_under_way_that_has_no_ledger_yet_is_to_be_waited_for(tmp_path: Path) -> None:
    write_run(tmp_path, {"run": "x", "status": "running", "rounds": []})
    with run_lock(tmp_path), pytest.raises(UsageError, match="only just begun; try again"):
        open_record(tmp_path)
    with pytest.raises(UsageError, match=r"ended before .* `middo resume "):
        open_record(tmp_path)


def test_a_run_that_has_just_begun_has_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    with open_record(folder.path) as record:
        assert (record.name, record.rounds(), record.traces, record.holdout()) == (
            *("run", [], None, None),
        )
        assert record.diagnosis(0) is None and record.signals(0) is None
        assert record.index.ids() == []
        with pytest.raises(DataError):
            record.version(0)


def test_figures_are_fresh_and_files_read_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    with open_record(folder.path) as record:
        folder.dataset(0, SAMPLES)
        assert record.rounds() == [0]
        folder.diagnosis(0, {"quality": {IDS[0]: 0.25}}, [(IDS[0], Axis.QUALITY, "broken")])
        signals = record.signals(0)
        assert signals is not None and signals is record.signals(0)
        assert signals["id"].tolist() == IDS
        assert signals["quality"][0] == 0.25 and np.isnan(signals["quality"][1:]).all()
        assert signals["flags"].tolist()[:2] == [("quality",), ()]
        assert signals["unscored"].tolist() == [None] * 30
        folder.diagnosis(0, {"quality": {IDS[0]: 0.5}})
        again = record.signals(0)
        assert again is not None and again["quality"][0] == 0.5
        document = record.document()
        folder.finish(best=0)
        assert (document["best_round"], record.document()["best_round"]) == (None, 0)
        assert record.config().rounds == 3


def test_an_empty_table_has_columns(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [])
    folder.diagnosis(0, {"quality": {}})
    with open_record(folder.path) as record:
        signals = record.signals(0)
        assert signals is not None and len(signals["quality"]) == len(signals["flags"]) == 0
        assert page(record, Query(0)).total == 0


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    folder.diagnosis(0, {"quality": {}})
    (folder.path / "rounds" / "0" / "signals.parquet").write_bytes(b"PAR1 no more")
    (folder.path / "rounds" / "0" / "diagnosis.json").write_text("{", encoding="utf-8")
    with open_record(folder.path) as record:
        with pytest.raises(DataError, match="not a readable Parquet file"):
            record.signals(0)
        with pytest.raises(MiddoError, match="not readable JSON"):
            record.diagnosis(0)


def test_a_configuration_of_another_version_hides_nothing_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", indexed=False)
    folder.dataset(0, SAMPLES)
    (folder.path / "config.yaml").write_text("novelty: 1\n", encoding="utf-8")
    with open_record(folder.path) as record:
        assert record.index.ids() == IDS
        with pytest.raises(ConfigError, match="novelty"):
            record.config()


def test_threads_share_a_record(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    folder.diagnosis(0, {"quality": {name: n / 30 for n, name in enumerate(IDS)}})

    by_text = {one.prompt: one.id for one in SAMPLES}

    def look(number: int) -> tuple[list[str], str]:
        prompt = f"Question {number % 30} about apples"
        found = page(record, Query(0, text=prompt)).rows
        exact = [row.sample_id for row in found if row.prompt == prompt]
        return exact, life(record, by_text[prompt]).sample_id

    with open_record(folder.path) as record, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(look, range(120)))
    expected = [by_text[f"Question {number % 30} about apples"] for number in range(120)]
    assert answers == [([name], name) for name in expected]


def test_while_an_index_is_made_the_rest_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that comes through a pipe keeps the index waiting for its seed."""
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path / "cache"))
    folder = Folder(tmp_path / "run", indexed=False)
    folder.dataset(0, SAMPLES)
    folder.diagnosis(0, {"quality": {IDS[0]: 0.25}})
    config = folder.path / "config.yaml"
    text = config.read_bytes()
    config.unlink()
    os.mkfifo(config)
    with open_record(folder.path) as record, ThreadPoolExecutor(2) as pool:
        made = pool.submit(lambda: record.index.ids())
        pipe = os.open(config, os.O_WRONLY)  # waits until the other thread reads
        try:
            diagnosis = pool.submit(lambda: (record.fates(0), record.diagnosis(0)))
            assert diagnosis.result(timeout=5)[1] is not None
            assert not made.done()
        finally:
            os.write(pipe, text)
            os.close(pipe)
        assert made.result(timeout=30) == IDS
