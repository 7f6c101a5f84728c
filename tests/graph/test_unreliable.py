"""A provider that fails 30 % of its calls in every known way: nothing is lost, all accounted for.

Pauses are cut short; retries, repairs, the breaker and the ledger are the real ones.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from middo import run
from middo.providers import line
from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from tests.graph.unreliable import KINDS, TRIED
from tests.loop import config

pytestmark = pytest.mark.xdist_group("one finished run")
FATES = ("accepted", "rejected", "failed", "deferred")


def test_a_run_with_a_failing_provider_is_balanced_and_lists_each_failure(
    finished: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "LONGEST_PAUSE", 0.001)
    TRIED.clear()
    agents = {"rewriter": {"model": "import:tests.graph.unreliable:teacher"}}
    changes: dict[str, Any] = {"agents": agents, "signals": {"share": 0.3, "calibration": 24}}
    plain = config(finished.parent / "rows.jsonl", tiny_folder, **changes)

    document = run(plain, tmp_path / "run")

    assert document["status"] == "finished"
    failures: dict[str, str] = {}
    for before in document["rounds"][:-1]:
        assert before["flagged"]["samples"] == sum(before[fate] for fate in FATES)
        assert before["accepted"] == before["replaced"] + before["added"]
        assert before["failed"] == len(before["failures"])
        failures |= before["failures"]
    assert document["rounds"][0]["accepted"] > 0
    assert failures, "some failures are for good"
    assert all(len(reason) > 20 for reason in failures.values())
    database = read_database(tmp_path / "run" / "ledger.db")
    units = Ledger(database).units()
    database.close()
    lost = [unit for unit in units if unit.status == "failed"]
    assert {unit.sample_id for unit in lost} == set(failures)
    assert all(unit.error for unit in lost)
    assert len(units) == document["tokens"]["calls"]
    # The script has failed in every way, about three questions in ten, and most of them passed.
    assert {kind for kinds in TRIED.values() for kind in kinds} == {"fine", *KINDS}
    first = Counter(kinds[0] for kinds in TRIED.values())
    assert 0.15 < 1 - first["fine"] / first.total() < 0.5
    assert len(lost) < len(units) / 4
    exported = (tmp_path / "run" / "export" / "data.jsonl").read_text(encoding="utf-8")
    assert all(json.loads(row) for row in exported.splitlines())
