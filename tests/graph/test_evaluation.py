"""Hold-out figures and the gate that reads them: paired, honest, and calm where there is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from middo.agents.evaluator import Holdout, HoldoutRow
from middo.graph.deps import Deps
from middo.graph.evaluation import gate_rows, read_holdout, refresh_figures, write_holdout
from middo.graph.learning import gate_round
from middo.stores.runs import write_json
from tests.graph.folder import opened

NO_FIGURE = {"loss": None, "interval": None, "rows": 0}


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with opened(
        tmp_path, gate={"on_worse": "continue", "patience": 9, "seeds": 1}, rounds=9
    ) as found:
        yield found


def held(change: float = 0.0, rows: int = 30, unscored: int = 0) -> Holdout:
    """Return rows whose losses differ much from each other and little from round to round."""
    losses = np.random.default_rng(0).normal(2.0, 0.5, size=rows).round(4)
    return Holdout(
        tuple(
            HoldoutRow(f"h{i:02d}", round(float(loss) + change * (1 + i % 2), 4), 10 + i % 5)
            for i, loss in enumerate(losses)
        ),
        unscored,
    )


def evaluated(deps: Deps, *rounds: Holdout) -> None:
    for number, found in enumerate(rounds):
        write_holdout(deps, number, found, held(1.0) if number == 0 else None)
        refresh_figures(deps, number)


def gated(deps: Deps, number: int) -> tuple[Any, Any, str]:
    state = {"round": number, "source_round": number, "stop": ""}
    update, _ = gate_round(deps, state)  # type: ignore[arg-type]  # keys as in LoopState
    return update["source_round"], deps.facts.get(f"round.{number}.gate"), update["stop"]


def test_rows_come_back_as_they_were(deps: Deps) -> None:
    write_holdout(deps, 0, held(unscored=2), held(1.0))
    assert read_holdout(deps, 0) == held(unscored=2)
    assert read_holdout(deps, 0, "base") == held(1.0)


def test_figures_are_weighted_by_tokens(deps: Deps) -> None:
    rows = (HoldoutRow("a", 1.0, 30), HoldoutRow("b", 3.0, 10))
    write_holdout(deps, 0, Holdout(rows, 3), Holdout((), 5))
    figures = refresh_figures(deps, 0)
    assert figures["holdout_loss"] == 1.5
    assert (figures["rows"], figures["unscored"], figures["set_aside"]) == (2, 3, 0)
    assert figures["interval"] == [1.0, 3.0]
    assert deps.facts.get("round.0.evaluation") == figures
    assert deps.facts.get("base_holdout") == NO_FIGURE


def test_rows_that_are_set_aside_are_told_apart_and_not_gated_on(deps: Deps) -> None:
    evaluated(deps, held())
    before = deps.facts.get("round.0.evaluation")
    deps.facts.put("set_aside", ["h03", "h07", "gone"])
    after = refresh_figures(deps, 0)
    assert (after["rows"], after["set_aside"]) == (28, 2)
    assert after["all_rows"]["loss"] == before["holdout_loss"]
    assert after["holdout_loss"] != before["holdout_loss"]
    assert {row.id for row in gate_rows(deps, 0).rows}.isdisjoint({"h03", "h07"})
    assert deps.facts.get("base_holdout")["rows"] == 28


def test_without_a_single_row_there_is_no_figure_and_no_verdict(deps: Deps) -> None:
    empty = Holdout((), 4)
    write_holdout(deps, 0, empty, empty)
    write_holdout(deps, 1, empty, None)
    for number in (0, 1):
        figures = refresh_figures(deps, number)
        assert (figures["holdout_loss"], figures["interval"], figures["rows"]) == (None, None, 0)
        assert figures["all_rows"] == NO_FIGURE
    assert gated(deps, 0)[1] == {"verdict": "baseline", "difference": None, "best": 0}
    source, gate, stop = gated(deps, 1)
    assert gate == {"verdict": "undecided", "difference": None, "best": 0}
    assert (source, stop) == (1, "")


def test_all_rows_set_aside_is_undecided_too(deps: Deps) -> None:
    evaluated(deps, held(), held(-0.1))
    deps.facts.put("set_aside", [row.id for row in held().rows])
    for number in (0, 1):
        assert refresh_figures(deps, number)["holdout_loss"] is None
    gated(deps, 0)
    assert gated(deps, 1)[1]["verdict"] == "undecided"


def test_a_better_round_becomes_the_best(deps: Deps) -> None:
    evaluated(deps, held(), held(-0.1))
    gated(deps, 0)
    source, gate, stop = gated(deps, 1)
    assert (gate["verdict"], gate["best"], source, stop) == ("better", 1, 1, "")
    assert gate["difference"]["mean"] == pytest.approx(-0.15, abs=0.01)
    assert gate["difference"]["rows"] == 30


def test_after_a_rollback_the_best_round_is_diagnosed(deps: Deps) -> None:
    evaluated(deps, held(), held(-0.1), held(0.1), held(0.2), held(-0.2))
    sources = [gated(deps, number)[0] for number in range(5)]
    verdicts = [deps.facts.get(f"round.{k}.gate")["verdict"] for k in range(5)]
    assert verdicts == ["baseline", "better", "rolled_back", "rolled_back", "better"]
    assert sources == [0, 1, 1, 1, 4]
    assert [deps.facts.get(f"round.{k}.gate")["best"] for k in range(5)] == [0, 1, 1, 1, 4]


def test_rows_that_one_round_could_not_score_are_left_out_of_the_pairs(deps: Deps) -> None:
    partly = Holdout(held(-0.1).rows[:25], 5)
    evaluated(deps, held(), partly)
    gated(deps, 0)
    gate = gated(deps, 1)[1]
    assert gate["difference"]["rows"] == 25
    assert gate["verdict"] == "better"


def test_no_refinement_wanted_ends_after_the_baseline(tmp_path: Path) -> None:
    with opened(tmp_path / "run", rounds=0) as deps:
        evaluated(deps, held())
        source, gate, stop = gated(deps, 0)
    assert (source, gate["verdict"]) == (0, "baseline")
    assert stop == "all configured rounds are done"


def test_a_rollback_ends_the_run_by_default(tmp_path: Path) -> None:
    with opened(tmp_path / "run", gate={"seeds": 1}) as deps:
        evaluated(deps, held(), held(0.1))
        gated(deps, 0)
        _, gate, stop = gated(deps, 1)
    assert (gate["verdict"], gate["best"]) == ("rolled_back", 0)
    assert "rolled back" in stop


def seeded(deps: Deps, number: int, *found: Holdout) -> None:
    """Leave what trainings with further seeds came to, as a run that goes on finds it."""
    folder = deps.round_folder(number) / "seeds"
    folder.mkdir(parents=True)
    for place, one in enumerate(found, 1):
        write_json(folder / f"{place}.json", {"round": number, "tuned": one.as_dict()})


@pytest.mark.parametrize(
    ("looks", "others", "verdict"),
    [
        (-0.1, (-0.1, -0.12), "better"),
        (-0.1, (0.02, 0.05), "tie"),
        (0.1, (-0.05, 0.01), "tie"),
        (0.1, (0.1, 0.12), "rolled_back"),
    ],
)
def test_other_seeds_have_to_agree_before_a_round_counts(
    tmp_path: Path, looks: float, others: tuple[float, float], verdict: str
) -> None:
    with opened(tmp_path / "run") as deps:
        evaluated(deps, held(), held(looks))
        seeded(deps, 0, held(), held())
        seeded(deps, 1, *(held(change) for change in others))
        gated(deps, 0)
        _, gate, _ = gated(deps, 1)
    assert gate["verdict"] == verdict
    assert gate["difference"]["seeds"] == 3
    mean = (looks + sum(others)) / 3 * 1.5
    assert gate["difference"]["mean"] == pytest.approx(mean, abs=0.02)


def test_what_is_a_tie_already_is_not_asked_of_other_seeds(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as deps:
        evaluated(deps, held(), held())
        gated(deps, 0)
        _, gate, _ = gated(deps, 1)
        assert not (deps.round_folder(0) / "seeds").exists()
    assert (gate["verdict"], gate["difference"]["seeds"]) == ("tie", 1)
