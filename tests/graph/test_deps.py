"""The models of a run: base and tuned, one set of weights in memory at a time."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from middo.core.measures import Item
from middo.core.records import Message
from middo.graph.deps import Deps, open_run
from middo.training.scorer import Scorer
from middo.training.weights import merge_adapter, weights_digest
from tests.loop import config

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

ROWS = [
    Item("one", (Message("user", "How many apples?"), Message("assistant", "There are 7."))),
    Item("two", (Message("user", "Name a city."), Message("assistant", "Paris, on the Seine."))),
]


@pytest.fixture
def deps(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deps]:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path / "cache"))
    opened = open_run(tmp_path / "run", config(tmp_path / "rows.jsonl", tiny_folder))
    yield opened
    opened.close()


@pytest.fixture
def adapter(finished: Path) -> Path:
    return finished / "rounds" / "0" / "model"


@pytest.fixture
def merged(tiny_folder: Path, adapter: Path, tmp_path: Path) -> Path:
    merge_adapter(tiny_folder, adapter, tmp_path / "merged")
    return tmp_path / "merged"


def test_an_adapter_is_merged_into_the_loaded_base(
    deps: Deps, adapter: Path, merged: Path, tiny_folder: Path
) -> None:
    with deps.comparing_of(adapter) as models:
        on_base = models.base.measure("base", ROWS)
        weights = models.base.scorer
        tuned = models.tuned
        on_tuned = tuned.measure("tuned", ROWS)
        assert models.tuned is tuned
        with pytest.raises(ValueError, match="went into a tuned model"):
            weights.score(ROWS, frozenset())
    assert list(on_base.values()) == Scorer(tiny_folder, max_length=256, dtype=deps.dtype).score(
        ROWS
    )
    assert list(on_tuned.values()) == Scorer(merged, max_length=256, dtype=deps.dtype).score(ROWS)
    assert on_base != on_tuned
    with pytest.raises(ValueError, match="closed"):
        tuned.scorer.score(ROWS, frozenset())


def test_a_model_with_all_its_weights_takes_the_place_of_the_base(deps: Deps, merged: Path) -> None:
    with deps.comparing_of(merged, weights_digest(merged)) as models:
        base = models.base.scorer
        on_tuned = models.tuned.measure("tuned", ROWS)
        with pytest.raises(ValueError, match="closed"):
            base.score(ROWS, frozenset())
    assert list(on_tuned.values()) == Scorer(merged, max_length=256, dtype=deps.dtype).score(ROWS)


def test_a_rounds_model_is_found_by_its_number(deps: Deps, adapter: Path) -> None:
    deps.model_of(3).parent.mkdir(parents=True)
    deps.model_of(3).symlink_to(adapter)
    weights = json.loads((adapter / "training.json").read_text(encoding="utf-8"))["weights"]
    deps.facts.put("round.3.training", {"weights": weights})
    with deps.comparing(3) as models:
        on_base = models.base.measure("base", ROWS)
        on_tuned = models.tuned.measure("tuned", ROWS)
    with deps.measuring(None) as base, deps.measuring(3) as tuned:
        assert base.measure("base", ROWS) == on_base
        assert tuned.measure("tuned", ROWS) == on_tuned


def test_only_base_losses_are_shared_with_other_runs(deps: Deps, adapter: Path) -> None:
    with deps.comparing_of(adapter) as models:
        on_base = models.base.measure("base", ROWS)
        models.tuned.measure("tuned", ROWS)
    other = open_run(deps.folder.with_name("other"), deps.config)
    try:
        with other.measuring(None) as base, other.measuring_of(adapter) as tuned:
            assert base.measure("base", ROWS) == on_base
            assert base.scorer.work.passes == 0  # type: ignore[attr-defined]  # the real scorer
            tuned.measure("tuned", ROWS)
            assert tuned.scorer.work.passes == 1  # type: ignore[attr-defined]
    finally:
        other.close()


@pytest.mark.parametrize("hours", [-30, 30])
def test_the_time_used_is_no_matter_of_the_clock(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    settings = config(tmp_path / "rows.jsonl", tiny_folder, budget={"max_hours": 1.0})
    true = time.time
    for session in range(3):
        monkeypatch.setattr(time, "time", lambda at=session: true() + at * hours * 3600)
        opened = open_run(tmp_path / "run", settings)
        before = opened.seconds_used()
        monkeypatch.setattr(time, "time", lambda at=session: true() + (at + 0.5) * hours * 3600)
        assert 0 <= before <= opened.seconds_used() < 60
        opened.spending.check_time()
        opened.keep_seconds()
        opened.close()
