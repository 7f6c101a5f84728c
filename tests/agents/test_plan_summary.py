"""What a model that plans gets to read."""

from dataclasses import replace
from typing import Any

from middo.agents.diagnostician import AxisReport, Diagnosis
from middo.agents.plan_summary import LastRound, summarise
from middo.core.records import Axis, Flag
from middo.prompts.loader import load
from tests.agents.evidence import OFF, calibration

C, D, Q = Axis.COMPLEXITY, Axis.DIVERSITY, Axis.QUALITY


def diagnosis(**changes: Any) -> Diagnosis:
    plain: dict[str, Any] = {
        "flags": tuple(Flag(f"id{i}", C if i < 70 else Q, 9.0, 1.0, "r") for i in range(150)),
        "beyond": frozenset({"a"}),
        "axes": {
            C: AxisReport(True, "", 1.5, 1.5, 70, 12),
            D: AxisReport(False, "too few samples with an embedding", None, None, 0, 0),
            Q: AxisReport(True, "", 1.2, 0.3812, 90, 0),
        },
        "cautions": ("diversity is off: too few samples with an embedding",),
        "complexity": None,
        "reference": None,
        "shift": 0.0,
    }
    return Diagnosis(**{**plain, **changes})


CURVES = {
    C: [(0.5, 0.28), (1.5, 0.0912), (2.5, 0.0366), (4.0, 0.01)],
    Q: [(0.5, 0.2), (1.5, 0.0751), (2.5, 0.0249), (4.0, 0.0001)],
}


def summary(found: Diagnosis | None = None, **changes: Any) -> str:
    kinds = calibration().kinds
    shuffled = replace(kinds[0], kind="shuffled", auc=0.8)
    usual: dict[str, Any] = {
        "rows": 900,
        "max_samples": 60,
        "fixed": (),
        "drift": None,
        "last": LastRound(
            {C: {"accepted": 4, "rejected": 20}, Q: {"accepted": 25, "rejected": 5}}, "better"
        ),
    }
    quality = changes.pop("calibration", calibration(kinds=(*kinds, shuffled)))
    return summarise(found or diagnosis(), quality, CURVES, **{**usual, **changes})


def test_the_example_of_the_prompt_is_such_a_summary() -> None:
    _, example, _, _ = load("plan").messages
    assert f"\n{summary()}\n" in example[1]


def test_the_first_round_has_no_last_one() -> None:
    assert "last round" not in summary(last=None)


def test_the_gate_is_told_in_words() -> None:
    assert summary(last=LastRound({}, "rolled_back")).endswith("on the hold-out: rolled back")


def test_where_the_budget_holds_all_flags_it_says_so() -> None:
    assert "All flagged samples can be refined." in summary(max_samples=None)
    assert "All flagged samples can be refined." in summary(max_samples=150)
    assert "At most 149 can be refined." in summary(max_samples=149)


def test_a_fixed_k_comes_without_a_choice() -> None:
    text = summary(fixed={C: 1.5})
    assert "12 left out since their rewrites were refused before, k is fixed" in text
    assert "complexity: k 0.50" not in text
    assert "quality: k 0.50" in text


def test_kinds_that_do_not_count_and_drift_are_told() -> None:
    (kind,) = calibration().kinds
    text = summary(
        calibration=calibration(kinds=(replace(kind, counts=False), replace(kind, auc=0.7))),
        drift=0.126,
    )
    assert "from true ones: cut no, cut hardly" in text
    assert "drift: 0.13 of the samples changed their cluster" in text
    assert "broken answers" not in summary(calibration=OFF)
