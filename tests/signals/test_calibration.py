import json
from dataclasses import replace

import numpy as np
import pytest

from middo.core.measures import Measured
from middo.signals.calibration import calibrate
from middo.signals.features import features, fit_scale
from middo.signals.quality import Calibration, calibration_from
from middo.signals.roc import auc, auc_resampled, draw_counts

Real = dict[str, Measured]
Controls = dict[str, dict[str, Measured]]

KINDS = ("other", "cut", "repeated", "shuffled", "echo", "reworded")


def sound(rng: np.random.Generator, tokens: int | None = None) -> Measured:
    """A measurement as a real answer has it: loss and scatter fall with its length."""
    tokens = tokens or int(np.exp(rng.normal(4.2, 0.6))) + 12
    scatter = rng.normal(size=6) * (0.2 + 1.5 / np.sqrt(tokens))
    prompt = 3.0 + scatter[4]
    return Measured(
        answer_tokens=tokens,
        prompt_tokens=30,
        loss=1.2 + 8 / tokens + scatter[0],
        end=0.5 + abs(scatter[1]),
        peak=3.0 + scatter[2],
        alone=2.2 + 8 / tokens + scatter[0] + scatter[3],
        opening=1.5 + scatter[3],
        copied=0.1,
        looped=0.0,
        prompt=prompt,
        reverse=prompt - 0.8 + scatter[5],
        ratings=tuple(float(r) for r in rng.normal(6, 1, size=6)),
        rating_mass=float(rng.uniform(0.1, 0.2)),
    )


def broken(kind: str, measured: Measured) -> Measured:
    """The same answer, broken: what that does to the signals of a small model."""
    assert measured.end is not None and measured.peak is not None
    assert measured.alone is not None and measured.prompt is not None
    if kind == "other":
        return replace(
            measured, loss=measured.alone - 0.1, opening=0.1, reverse=measured.prompt - 0.05
        )
    if kind == "cut":
        return replace(measured, answer_tokens=measured.answer_tokens // 3, end=measured.end + 4.0)
    if kind == "repeated":
        return replace(measured, loss=0.3, alone=1.1, looped=0.8)
    if kind == "reworded":
        return replace(measured, peak=measured.peak + 4.0)
    if kind == "shuffled":
        return replace(measured, loss=measured.loss + 3.0, alone=measured.alone + 3.0)
    return replace(
        measured,
        answer_tokens=15,
        loss=0.4,
        alone=1.6,
        reverse=measured.prompt,
        end=1.5,
        copied=1.0,
    )


def data_set(
    rows: int = 64, seed: int = 0
) -> tuple[dict[str, Measured], dict[str, dict[str, Measured]]]:
    rng = np.random.default_rng(seed)
    real = {f"row{i:03d}": sound(rng) for i in range(rows)}
    controls = {
        kind: {name: broken(kind, measured) for name, measured in real.items()} for kind in KINDS
    }
    return real, controls


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(*data_set(), seed=7)


def test_auc_is_the_share_of_pairs_with_ties_as_half() -> None:
    assert auc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == 0.875
    assert auc(np.array([0.0, 1.0]), np.array([np.nan, 2.0])) == 1.0


def test_the_bootstrap_draws_a_row_together_with_its_control() -> None:
    real, control = np.array([0.0, 1.0, 5.0]), np.array([2.0, np.nan, 3.0])
    drawn = auc_resampled(real, control, np.array([[1.0, 1, 1], [2, 0, 1], [0, 3, 0]]))
    # Row 0 twice: its real answer and its control count twice, in both sums.
    assert drawn == pytest.approx([4 / 6, 6 / 9, 0.5])
    counts = draw_counts(40, np.random.default_rng(0))
    assert counts.sum(axis=1).tolist() == [40.0] * 1000


def test_a_length_trend_of_sound_answers_is_taken_out() -> None:
    lengths = np.linspace(2, 6, 50)
    scale = fit_scale((3 - 0.5 * lengths)[:, None], lengths, [])
    # Two answers as they usually are at their lengths, and one that is 1 above that.
    values = np.array([[3 - 0.5 * 2.5], [3 - 0.5 * 5.5], [3 - 0.5 * 5.5 + 1]])
    unit = np.asarray(scale.scales)
    usual, other, above = (scale.apply(values, np.array([2.5, 5.5, 5.5])) * unit)[:, 0]
    assert usual == pytest.approx(0.0, abs=0.05)
    assert other == pytest.approx(0.0, abs=0.05)
    assert above == pytest.approx(1.0, abs=0.05)
    # Below the real lengths the trend stops: length 0 is treated as length 2.
    at_two, at_zero = scale.apply(np.ones((2, 1)), np.array([2.0, 0.0]))[:, 0]
    assert at_two == at_zero


def test_quality_ranks_unseen_broken_answers_below_sound_ones(calibration: Calibration) -> None:
    real, controls = data_set(rows=200, seed=1)
    assert calibration.on
    assert {kind.kind for kind in calibration.kinds if kind.counts} == set(KINDS)
    quality = np.array([calibration.probability(measured) for measured in real.values()])
    assert np.mean(quality < 0.5) < 0.15
    for kind in KINDS:
        found = np.array([calibration.probability(m) for m in controls[kind].values()])
        assert np.mean(found < 0.5) > 0.8, kind
        assert auc(-quality, -found) > 0.9, kind


def test_the_likeness_names_the_kind_of_damage(calibration: Calibration) -> None:
    _, controls = data_set(rows=50, seed=2)
    for kind in ("cut", "shuffled"):
        named = [calibration.likeness(measured) for measured in controls[kind].values()]
        assert named.count(kind) > 40


def test_a_merely_shorter_sound_answer_is_not_broken(calibration: Calibration) -> None:
    rng = np.random.default_rng(3)
    short = [sound(rng, 14) for _ in range(200)]
    usual = [sound(rng, 90) for _ in range(200)]
    cut = [replace(broken("cut", sound(rng, 42)), answer_tokens=14) for _ in range(200)]

    def middle(measured: list[Measured]) -> float:
        return float(np.median([calibration.probability(one) or 0.0 for one in measured]))

    assert middle(short) > 0.5
    assert middle(usual) - middle(short) < 0.25
    assert middle(cut) < 0.1


def test_an_answer_of_a_few_tokens_has_no_quality(calibration: Calibration) -> None:
    answer = sound(np.random.default_rng(4), 40)
    assert calibration.probability(replace(answer, answer_tokens=8)) is not None
    assert calibration.probability(replace(answer, answer_tokens=7)) is None
    assert calibration.likeness(replace(answer, answer_tokens=7)) is None


def test_useless_ratings_are_not_asked_for(calibration: Calibration) -> None:
    assert calibration.ratings is not None
    assert calibration.ratings["kept"] is False
    assert calibration.asks == {"alone"}
    assert calibration.signals == ("loss", "end", "peak", "copied", "looped", "gain", "opening")


def test_ratings_that_tell_more_are_kept() -> None:
    real, controls = data_set()
    swapped = {
        name: replace(real[name], ratings=(2.0, 6.0, 6.0, 1.0, 2.0, 6.0), loss=real[name].loss)
        for name in real
    }
    found = calibrate(real, {**controls, "other": swapped}, seed=7)
    assert found.ratings is not None
    assert found.ratings["kept"] is True
    assert found.asks == {"alone", "ratings"}
    assert len(found.signals) == 11


def test_the_calibration_repeats_itself_and_survives_json(calibration: Calibration) -> None:
    real, controls = data_set()
    shuffled = dict(sorted(real.items(), reverse=True))
    assert calibrate(shuffled, controls, seed=7) == calibration
    rebuilt = calibration_from(json.loads(json.dumps(calibration.as_dict())))
    assert rebuilt == calibration
    assert rebuilt.probability(real["row000"]) == calibration.probability(real["row000"])


def test_the_report_holds_every_signal_alone_and_honest_intervals(
    calibration: Calibration,
) -> None:
    cut = next(kind for kind in calibration.kinds if kind.kind == "cut")
    assert cut.alone["end"] < 0.05
    assert cut.alone["loss"] == pytest.approx(0.5, abs=0.05)
    assert cut.alone["log_length"] > 0.8
    for kind in calibration.kinds:
        assert kind.low <= kind.auc <= kind.high


def test_the_margin_is_twice_the_standard_error_and_shrinks_with_more_rows(
    calibration: Calibration,
) -> None:
    assert calibration.standard_error is not None
    assert calibration.margin == pytest.approx(2 * calibration.standard_error, abs=1e-4)
    assert 0.001 < calibration.standard_error < 0.2
    few = calibrate(*data_set(rows=24), seed=7)
    many = calibrate(*data_set(rows=200), seed=7)
    assert few.standard_error is not None and many.standard_error is not None
    assert few.standard_error > many.standard_error


def test_controls_that_nothing_tells_from_real_rows_turn_the_axis_off() -> None:
    rng = np.random.default_rng(5)
    real = {f"row{i:03d}": sound(rng) for i in range(64)}
    found = calibrate(real, {kind: {n: sound(rng) for n in real} for kind in KINDS}, seed=7)
    assert not found.on
    assert "no kind" in found.reason
    assert found.asks == frozenset()
    assert found.probability(real["row000"]) is None
    assert found.margin is None
    assert len(found.kinds) == 6
    assert calibration_from(json.loads(json.dumps(found.as_dict()))) == found


def test_a_kind_that_is_not_found_does_not_count_but_the_others_do() -> None:
    real, controls = data_set()
    rng = np.random.default_rng(6)
    controls["other"] = {name: sound(rng) for name in real}
    found = calibrate(real, controls, seed=7)
    assert found.on
    assert [kind.kind for kind in found.kinds if not kind.counts] == ["other"]


@pytest.mark.parametrize("rows", [0, 23])
def test_too_few_rows_turn_the_axis_off(rows: int) -> None:
    found = calibrate(*data_set(rows=rows), seed=7)
    assert not found.on
    assert "24" in found.reason
    assert calibration_from(json.loads(json.dumps(found.as_dict()))) == found


def test_rows_that_cannot_be_measured_are_left_out() -> None:
    real, controls = data_set(rows=30)
    clean = calibrate(real, controls, seed=7)
    real["zz"] = Measured(unscored="too_long")
    real["zy"] = replace(real["row000"], loss=float("nan"))
    assert calibrate(real, controls, seed=7) == clean
    assert clean.probability(real["zz"]) is None
    assert clean.probability(replace(real["row000"], alone=None)) is None


def test_a_missing_control_leaves_its_row_to_the_other_kinds() -> None:
    real, controls = data_set(rows=40)
    controls["echo"] = {n: m for n, m in controls["echo"].items() if n > "row009"}
    controls["cut"] = {"row000": controls["cut"]["row000"]}
    found = {kind.kind: kind for kind in calibrate(real, controls, seed=7).kinds}
    assert found["echo"].rows == 30
    assert found["other"].rows == 40
    assert "cut" not in found


def test_signals_are_read_by_name() -> None:
    measured = sound(np.random.default_rng(0))
    values = features(measured, ("gain", "end", "rating_answer_clarity"))
    assert measured.ratings is not None
    assert values == pytest.approx([measured.gain, measured.end, measured.ratings[3]])
    assert (
        features(replace(measured, ratings=None), ("rating_mass", "rating_answer_clarity")) is None
    )
    assert features(replace(measured, end=None), ("end",)) is None
    assert features(replace(measured, end=None), ("loss",)) is not None


def test_a_template_without_an_end_token_costs_one_signal_and_not_the_axis() -> None:
    real, controls = data_set(rows=40)
    real = {name: replace(measured, end=None, ratings=None) for name, measured in real.items()}
    controls = {
        kind: {name: replace(measured, end=None, ratings=None) for name, measured in found.items()}
        for kind, found in controls.items()
    }
    found = calibrate(real, controls, seed=7)
    assert found.on
    assert found.signals == ("loss", "peak", "copied", "looped", "gain", "opening")
    assert found.probability(real["row000"]) is not None
