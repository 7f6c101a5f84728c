"""The viewer's benchmark on a small run: every page answers, and every figure is there."""

from pathlib import Path

import pytest

from benchmarks.run_folder import make_run
from benchmarks.viewer import FILES, ORDERS, measure


def test_every_page_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.viewer.REPEATS", 2)
    monkeypatch.setattr("benchmarks.viewer.STARTS", 1)
    make_run(tmp_path / "run", "demo", 150, 12)
    document = measure(tmp_path / "run")
    assert (document["rows"], document["refined"]) == (142, 12)
    assert 0 < document["first_byte"]["median"] == document["first_byte"]["all"][0]
    found = document["pages"]
    assert {"Run", "Round", "Compare", "Sample, refined", "Samples, last page"} <= set(found)
    assert sum(name.startswith("Samples by ") for name in found) == len(ORDERS)
    assert sum(name.startswith("File ") for name in found) == len(FILES)
    for times in found.values():
        assert 0 < times["median"] <= times["p95"] and times["bytes"] > 0
