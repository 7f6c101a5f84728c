"""What a diagnosis leaves for the proofs, and whom it leaves alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from middo.agents.diagnostician import Diagnosis, diagnose
from middo.agents.evaluator import Holdout, HoldoutRow
from middo.agents.reference import fit_reference
from middo.agents.signal_table import Signals, collect
from middo.core.config import SignalsConfig
from middo.core.measures import Measured
from middo.core.records import Axis, Fate, Message, Sample
from middo.graph.deps import Deps
from middo.graph.diagnosing import _proof_figures
from middo.graph.evaluation import write_holdout
from middo.graph.planning import _suppressed
from middo.stores.ledger import Outcome
from tests.agents.evidence import calibration, measured
from tests.graph.folder import opened

COUNT = 20


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with opened(tmp_path) as found:
        yield found


def found_in(tuned: list[Measured], k: float) -> tuple[Signals, Diagnosis]:
    """Diagnose complexity alone, with base losses half a nat above the tuned ones."""
    messages = (Message("user", "q"), Message("assistant", "a"))
    samples = [Sample(f"s{i:02d}", messages, "x:1") for i in range(len(tuned))]
    base = [replace(one, loss=one.loss + 0.5) for one in tuned]
    signals = collect(
        samples,
        {sample.id: one for sample, one in zip(samples, base, strict=True)},
        {sample.id: one for sample, one in zip(samples, tuned, strict=True)},
        calibration(),
        [],
        one_model=False,
    )
    config = SignalsConfig(axes=[Axis.COMPLEXITY], k={Axis.COMPLEXITY: k})
    found = diagnose(
        signals,
        None,
        calibration(),
        fit_reference(signals, None, config, None),
        config,
        holdout_loss=None,
        suppressed={axis: frozenset() for axis in Axis},
        clusters=None,
        drift=None,
        seed=7,
        number=0,
    )
    return signals, found


def held(loss: float, rows: int = 5) -> Holdout:
    return Holdout(tuple(HoldoutRow(f"h{i}", loss, 10) for i in range(rows)), 0)


def figures(deps: Deps, tuned: list[Measured], k: float, rows: int = 5) -> Any:
    write_holdout(deps, 0, held(1.4, rows), held(1.7, rows))
    signals, found = found_in(tuned, k)
    return _proof_figures(deps, 0, signals, calibration(), found), found


LOSSES = [measured(1.0 + 0.1 * i, 0.8) for i in range(COUNT)]


def test_the_unflagged_rows_are_the_measure(deps: Deps) -> None:
    plain, found = figures(deps, LOSSES, 1.0)
    assert 0 < len(found.flags) < COUNT
    calm = [1.0 + 0.1 * i for i in range(COUNT - len(found.flags))]
    assert plain["terms"]["loss_floor"] == pytest.approx(np.percentile(calm, 10), abs=1e-4)
    assert plain["terms"]["quality_median"] == 0.8
    # Training lowered its own rows by 0.5, unseen ones by 0.3.
    assert plain["terms"]["offset"] == pytest.approx(0.2)
    assert plain["holdout_rows"] == 5


def test_where_every_row_is_flagged_all_of_them_are_the_measure(deps: Deps) -> None:
    plain, found = figures(deps, LOSSES, -99.0)
    assert len(found.flags) == COUNT
    assert plain["terms"]["loss_floor"] == pytest.approx(1.19)


def test_without_a_holdout_there_is_no_offset(deps: Deps) -> None:
    plain, _ = figures(deps, LOSSES, 1.0, rows=0)
    assert plain["terms"]["offset"] == 0.0
    assert plain["holdout_rows"] == 0


def test_where_nothing_could_be_scored_there_is_nothing_to_prove(deps: Deps) -> None:
    plain, found = figures(deps, [Measured(unscored="too_long")] * COUNT, 1.0)
    assert plain is None
    assert found.flags == ()


def test_unscored_rows_change_no_figure(deps: Deps) -> None:
    before, _ = figures(deps, LOSSES, 1.0)
    after, _ = figures(deps, [*LOSSES, Measured(unscored="not_finite")], 1.0)
    assert after == before


async def refined(deps: Deps, round: int, fates: dict[str, Fate], gate: str) -> None:
    """Note how a round's samples ended after the merge, and the gate of what came of it."""
    for name, fate in fates.items():
        await deps.ledger.add_outcome(Outcome(round, name, Axis.QUALITY, fate, "", []))
    deps.facts.put(f"round.{round}.fates", {name: [fate, ""] for name, fate in fates.items()})
    deps.facts.put(f"round.{round + 1}.gate", {"verdict": gate})


async def test_refused_samples_are_left_alone_and_others_are_not(deps: Deps) -> None:
    await refined(
        deps,
        0,
        {"a": "accepted", "b": "rejected", "c": "failed", "d": "deferred"},
        "tie",
    )
    assert _suppressed(deps, 0)[Axis.QUALITY] == frozenset()
    found = _suppressed(deps, 1)
    assert found[Axis.QUALITY] == {"b"}
    assert found[Axis.COMPLEXITY] == found[Axis.DIVERSITY] == frozenset()


async def test_what_was_accepted_and_rolled_back_is_left_alone(deps: Deps) -> None:
    await refined(deps, 0, {"a": "accepted", "b": "rejected"}, "better")
    await refined(deps, 1, {"c": "accepted", "d": "deferred"}, "rolled_back")
    assert _suppressed(deps, 2)[Axis.QUALITY] == {"b", "c"}


async def test_what_merging_refused_counts_as_refused(deps: Deps) -> None:
    await deps.ledger.add_outcome(Outcome(0, "a", Axis.DIVERSITY, "accepted", "", []))
    deps.facts.put("round.0.fates", {"a": ["rejected", "an exact copy"]})
    deps.facts.put("round.1.gate", {"verdict": "tie"})
    assert _suppressed(deps, 1)[Axis.DIVERSITY] == {"a"}
