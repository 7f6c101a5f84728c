"""Flags, thresholds that stay, axes that are off, and what the cautions say."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from middo.agents.diagnostician import Diagnosis, diagnose
from middo.agents.reference import (
    COMPLEXITY_COLUMNS,
    Reference,
    fit_reference,
    reference_from,
)
from middo.agents.signal_table import Signals, collect, table
from middo.core.config import SignalsConfig
from middo.core.measures import Measured
from middo.core.records import Axis, Flag, Message, Sample
from middo.signals.clusters import ClusterMap, Match
from middo.signals.density import Density
from middo.signals.quality import Calibration
from tests.agents.evidence import OFF, calibration, measured

COUNT = 40
HARD, WEAK, SPARSE = 3, 11, 25
CONFIG = SignalsConfig(share=0.05)
NONE: dict[Axis, frozenset[str]] = {axis: frozenset() for axis in Axis}


def name(number: int) -> str:
    return f"s{number:02d}"


def rows(changes: Mapping[int, Measured] | None = None) -> list[Measured]:
    """Return 40 usual rows under the tuned model: one hard, one weak, all else near the middle."""
    found = []
    for number in range(COUNT):
        loss = 1.0 + 0.1 * (number % 5) + (3.0 if number == HARD else 0.0)
        quality = 0.1 if number == WEAK else 0.8 + 0.01 * (number % 7)
        found.append(measured(loss, quality, embedding=(1.0, float(number))))
    for number, one in (changes or {}).items():
        found[number] = one
    return found


def signals(
    tuned: list[Measured] | None = None,
    base: list[Measured] | None = None,
    quality: Calibration | None = None,
) -> Signals:
    tuned = rows() if tuned is None else tuned
    # The base model finds other rows hard than the tuned one, except the row that is hard for both.
    turned = [replace(one, loss=one.loss + 0.1 * (i % 3)) for i, one in enumerate(tuned)]
    base = turned if base is None else base
    messages = (Message("user", "q"), Message("assistant", "a"))
    samples = [Sample(name(i), messages, f"x:{i}") for i in reversed(range(len(tuned)))]
    return collect(
        samples,
        {name(i): one for i, one in enumerate(base)},
        {name(i): one for i, one in enumerate(tuned)},
        quality or calibration(),
        [name(i) for i, one in enumerate(tuned) if one.embedding is not None],
        one_model=False,
    )


def density(found: Signals, sparse: float = 0.1) -> Density:
    values = [
        sparse if found.ids[at] == name(SPARSE) else 0.7 + 0.01 * (at % 4) for at in found.embedded
    ]
    return Density(np.array(values), [()] * len(values), [()] * len(values))


def look(
    found: Signals,
    near: Density | None,
    *,
    quality: Calibration | None = None,
    reference: Reference | None = None,
    config: SignalsConfig = CONFIG,
    **options: Any,
) -> Diagnosis:
    usual: dict[str, Any] = {
        "holdout_loss": 1.0,
        "suppressed": NONE,
        "clusters": None,
        "drift": None,
        "seed": 7,
        "number": 0,
    }
    reference = reference or fit_reference(found, near, config, 1.0)
    return diagnose(
        found, near, quality or calibration(), reference, config, **{**usual, **options}
    )


def flagged(found: Diagnosis) -> set[tuple[str, str]]:
    return {(flag.sample_id, str(flag.axis)) for flag in found.flags}


def test_each_axis_flags_its_own_row_and_says_why() -> None:
    one = signals()
    found = look(one, density(one))
    assert flagged(found) == {
        (name(HARD), "complexity"),
        (name(SPARSE), "diversity"),
        (name(WEAK), "quality"),
    }
    by_axis = {flag.axis: flag for flag in found.flags}
    assert by_axis[Axis.QUALITY].score == 0.1
    assert by_axis[Axis.QUALITY].threshold <= 0.5
    assert "(cut)" in by_axis[Axis.QUALITY].reason
    assert by_axis[Axis.DIVERSITY].score == 0.1
    assert by_axis[Axis.COMPLEXITY].score > by_axis[Axis.COMPLEXITY].threshold
    assert "under base and tuned model" in by_axis[Axis.COMPLEXITY].reason
    for report in found.axes.values():
        assert (report.on, report.flagged, report.suppressed) == (True, 1, 0)
    assert found.cautions[0].startswith("base and tuned losses correlate at 0.9")


def test_a_prompt_unlikely_for_its_length_is_complex_and_the_reason_says_so() -> None:
    ODD, SHORT = 5, 6
    odd = [replace(one, prompt=4.0 + 0.1 * (i % 5)) for i, one in enumerate(rows())]
    odd[ODD] = replace(odd[ODD], prompt=9.0)
    odd[HARD] = replace(odd[HARD], prompt=9.0)
    odd[SHORT] = replace(odd[SHORT], prompt=9.0, answer_tokens=7)
    found = look(signals(odd), None, config=SignalsConfig(share=0.05))
    reasons = {f.sample_id: f.reason for f in found.flags if f.axis is Axis.COMPLEXITY}
    assert reasons == {
        name(HARD): "loss unusually high under base and tuned model; prompt unusually unlikely for"
        " its length",
        name(ODD): "prompt unusually unlikely for its length",
    }
    assert found.complexity[ODD] > found.axes[Axis.COMPLEXITY].threshold
    assert found.complexity[SHORT] == -np.inf
    columns = table(signals(odd), found.complexity, None, {}, found.flags)
    assert (columns["loss_prompt"][ODD], columns["prompt_tokens"][ODD]) == (9.0, 8)


def test_a_sample_that_is_complex_for_its_prompt_alone_is_told_from_the_others() -> None:
    ODD, BOTH, SHIFT = 5, HARD, 0.0
    odd = [replace(one, prompt=4.0 + 0.1 * (i % 5)) for i, one in enumerate(rows())]
    odd[ODD] = replace(odd[ODD], prompt=9.0)
    odd[BOTH] = replace(odd[BOTH], prompt=9.0)
    found = look(signals(odd), None)
    columns = table(signals(odd), found.complexity, None, {}, found.flags)
    of = [{key: columns[key][i] for key in COMPLEXITY_COLUMNS} for i in range(COUNT)]
    alone = [name(i) for i in range(COUNT) if found.reference.prompt_alone(of[i], SHIFT)]
    assert alone == [name(ODD)]
    unscored = dict.fromkeys(COMPLEXITY_COLUMNS)
    assert not found.reference.prompt_alone(unscored, SHIFT)


def test_a_prompt_that_tool_turns_belong_to_is_not_judged() -> None:
    turns = (
        *(Message("user", "q"), Message("assistant", "call"), Message("tool", "result")),
        Message("assistant", "a"),
    )
    plain = (Message("user", "q"), Message("assistant", "a"))
    samples = [Sample("fixed", turns, "x:1"), Sample("free", plain, "x:2")]
    both = {one.id: measured(prompt=3.0) for one in samples}
    found = collect(samples, both, both, calibration(), [], one_model=True)
    assert found.ids == ["fixed", "free"]
    assert np.isnan(found.loss_prompt[0])
    assert found.loss_prompt[1] == 3.0


def test_what_only_one_model_finds_hard_is_not_flagged() -> None:
    base = [replace(one, loss=1.0 + 0.05 * (i % 4)) for i, one in enumerate(rows())]
    one = signals(base=base)
    found = look(one, density(one), config=SignalsConfig(share=0.05, k={Axis.COMPLEXITY: 3.0}))
    assert found.axes[Axis.COMPLEXITY].on
    assert found.axes[Axis.COMPLEXITY].flagged == 0


def test_thresholds_stay_so_that_flags_can_fall_to_zero() -> None:
    first = signals()
    near = density(first)
    before = look(first, near)
    plain = json.loads(json.dumps(before.reference.as_dict()))
    kept = reference_from(plain)
    assert kept == before.reference

    mended = signals(rows({HARD: measured(1.2), WEAK: measured(1.2, 0.85)}))
    mended_density = density(mended, sparse=0.5)
    after = look(mended, mended_density, reference=kept)
    assert after.flags == ()
    for axis, report in after.axes.items():
        assert report.threshold == before.axes[axis].threshold

    # Fitted anew, the bounds would follow the data, and somebody is always the last.
    assert flagged(look(mended, mended_density)) == {(name(SPARSE), "diversity")}


def test_losses_are_shifted_with_the_holdout() -> None:
    first = signals()
    before = look(first, density(first))
    tuned = [replace(one, loss=one.loss + 2.0) for one in rows()]
    base = [replace(one, loss=one.loss + 0.1 * (i % 3)) for i, one in enumerate(rows())]
    later = signals(tuned, base)
    shifted = look(later, density(later), reference=before.reference, holdout_loss=3.0)
    assert shifted.shift == 2.0
    assert shifted.complexity.tolist() == before.complexity.tolist()
    assert flagged(shifted) == flagged(before)
    unknown = look(later, density(later), reference=before.reference, holdout_loss=None)
    assert unknown.shift == 0.0


def test_a_sparse_sample_below_the_median_quality_is_no_seed() -> None:
    weaker = signals(rows({SPARSE: measured(1.2, 0.75, embedding=(1.0, 0.0))}))
    found = look(weaker, density(weaker))
    assert (name(SPARSE), "diversity") not in flagged(found)
    unknown = signals(rows({SPARSE: measured(1.2, None, embedding=(1.0, 0.0))}))
    assert (name(SPARSE), "diversity") in flagged(look(unknown, density(unknown)))
    blind = signals(quality=OFF)
    assert (name(SPARSE), "diversity") in flagged(look(blind, density(blind), quality=OFF))


def test_suppressed_samples_are_counted_and_not_flagged_on_that_axis() -> None:
    both = signals(rows({HARD: measured(4.0, 0.1)}))
    suppressed = {**NONE, Axis.QUALITY: frozenset({name(HARD)})}
    found = look(both, density(both), suppressed=suppressed)
    assert (name(HARD), "complexity") in flagged(found)
    assert (name(HARD), "quality") not in flagged(found)
    report = found.axes[Axis.QUALITY]
    assert (report.flagged, report.suppressed) == (1, 1)


def test_axes_that_can_not_be_trusted_are_off_and_say_so() -> None:
    few = signals([measured(1.0, 0.9, answer_tokens=5) for _ in range(COUNT)], quality=OFF)
    found = look(few, None, quality=OFF)
    assert found.flags == ()
    assert {axis: report.reason for axis, report in found.axes.items()} == {
        Axis.COMPLEXITY: "fewer than 8 scored rows have answers of 8 tokens",
        Axis.DIVERSITY: "too few samples with an embedding",
        Axis.QUALITY: OFF.reason,
    }
    for axis, report in found.axes.items():
        assert (report.on, report.k, report.threshold) == (False, None, None)
        assert f"{axis} is off: {report.reason}" in found.cautions


def test_an_axis_that_was_off_at_first_stays_off() -> None:
    blind = signals(quality=OFF)
    kept = look(blind, density(blind), quality=OFF).reference
    assert kept.quality is None
    later = signals()
    found = look(later, density(later), reference=kept)
    assert found.axes[Axis.QUALITY].reason == "the axis was off at the first diagnosis"


def test_axes_that_are_not_configured_are_off() -> None:
    one = signals()
    config = SignalsConfig(axes=[Axis.QUALITY], share=0.05)
    found = look(one, density(one), config=config)
    assert flagged(found) == {(name(WEAK), "quality")}
    assert found.axes[Axis.COMPLEXITY].reason == "not among signals.axes"


@pytest.mark.parametrize(
    "broken", [Measured(unscored="too_long"), Measured(unscored="not_finite"), measured(np.nan)]
)
def test_a_row_that_can_not_be_measured_disturbs_no_other(broken: Measured) -> None:
    usual = signals()
    before = look(usual, density(usual))
    # Row 0 is an ordinary one; without it the others keep their scores and flags.
    missing = signals(rows({0: replace(broken, embedding=None)}))
    after = look(missing, density(missing), reference=before.reference)
    assert flagged(after) == flagged(before)
    assert after.complexity[0] == -np.inf
    assert after.complexity[1:].tolist() == before.complexity[1:].tolist()
    fresh = look(missing, density(missing))
    assert flagged(fresh) == flagged(before)
    assert np.isfinite([fresh.reference.complexity_k.k]).all()
    columns = table(missing, after.complexity, density(missing), {}, after.flags)
    assert columns["id"][0] == name(0)
    for column in ("loss_tuned", "complexity", "density"):
        assert np.isnan(columns[column][0])
        assert np.isfinite(columns[column][1])
    assert list(columns["neighbours"][0]) == []
    assert columns["unscored"][0] == broken.unscored
    assert np.ma.getmaskarray(columns["answer_tokens"])[0] == (broken.unscored is not None)


def test_a_data_set_in_which_nothing_could_be_measured_is_not_flagged() -> None:
    none = signals([Measured(unscored="too_long")] * COUNT)
    found = look(none, None, holdout_loss=None)
    assert found.flags == ()
    assert f"{COUNT} samples unscored: too_long" in found.cautions
    assert reference_from(found.reference.as_dict()) == found.reference


def test_a_row_that_the_base_could_not_score_is_unscored_too() -> None:
    base = rows()
    base[2] = Measured(unscored="out_of_memory")
    one = signals(base=base)
    assert one.unscored[2] == "out_of_memory"
    assert look(one, density(one)).cautions[-1] == "1 samples unscored: out_of_memory"


def test_cautions_name_what_weakens_the_figures() -> None:
    weak = rows()
    for number in range(5):  # hard and weak at once
        weak[number] = replace(measured(4.0 + number / 10, 0.1), embedding=(1.0, 1.0))
    one = signals(weak)
    told = calibration(ratings={"mass": 0.5, "added": 0.0, "standard_error": 0.1, "kept": False})
    config = SignalsConfig(k={Axis.COMPLEXITY: 3.0, Axis.QUALITY: 1.0})
    found = look(
        one,
        density(one),
        quality=told,
        config=config,
        clusters=ClusterMap({}, (), "single", 0),
        drift=Match({}, 40, 0.6),
    )
    assert [c for c in found.cautions if not c.startswith("base and tuned")] == [
        "the model's own ratings tell nothing here and are not computed",
        "complexity and quality flag mostly the same samples (5 in common)",
        "60% of the samples changed their cluster since last time",
        "the data set is too small or too uniform for clusters",
    ]


def test_one_model_alone_is_said_in_the_report() -> None:
    messages = (Message("user", "q"), Message("assistant", "a"))
    samples = [Sample(name(i), messages, "x:1") for i in range(COUNT)]
    measured_once = {name(i): one for i, one in enumerate(rows())}
    one = collect(samples, measured_once, measured_once, calibration(), [], one_model=True)
    assert one.loss_tuned is None
    found = look(one, None, holdout_loss=None)
    assert found.axes[Axis.COMPLEXITY].reason.startswith("no tuned model")
    (flag,) = [flag for flag in found.flags if flag.axis is Axis.COMPLEXITY]
    assert flag.sample_id == name(HARD)
    assert flag.reason == "loss unusually high under base model"


def test_the_table_has_a_row_per_sample_in_order_of_id() -> None:
    one = signals()
    near = density(one)
    flags = [
        Flag(name(WEAK), Axis.QUALITY, 0.1, 0.5, ""),
        Flag(name(WEAK), Axis.COMPLEXITY, 3, 2, ""),
    ]
    found = table(one, np.zeros(COUNT), near, {name(WEAK): 4}, flags)
    assert found["id"] == [name(i) for i in range(COUNT)]
    weak = {column: values[WEAK] for column, values in found.items()}
    assert weak["source"] == f"x:{WEAK}"
    assert weak["flags"] == ["quality", "complexity"]
    assert weak["quality"] == 0.1
    assert weak["cluster"] == 4
    assert weak["density"] == near.values[WEAK]
    assert weak["loss_base"] == pytest.approx(weak["loss_tuned"] + 0.1 * (WEAK % 3))
    assert found["cluster"][0] is None


def test_only_rows_of_doubtful_quality_say_what_they_are_like() -> None:
    found = signals()
    assert found.likeness == {WEAK: "cut"}
    assert signals(quality=OFF).likeness == {}


def test_a_moved_k_moves_its_bound_by_what_was_fitted() -> None:
    one = signals()
    near = density(one)
    before = look(one, near)
    values = {
        Axis.COMPLEXITY: before.complexity,
        Axis.DIVERSITY: near.values,
        Axis.QUALITY: one.quality,
    }
    for axis in Axis:
        loose = before.reference.moved(axis, 0.5, values[axis])
        found = look(one, near, reference=reference_from(json.loads(json.dumps(loose.as_dict()))))
        assert found.axes[axis].k == 0.5
        assert found.axes[axis].threshold != before.axes[axis].threshold
        if axis is Axis.COMPLEXITY:
            assert found.axes[axis].flagged > before.axes[axis].flagged
        share = before.reference.share(axis, 0.5, values[axis])
        if axis is not Axis.DIVERSITY:  # where a sparse row of low quality is no seed
            assert share == pytest.approx(found.axes[axis].flagged / COUNT, abs=1e-4)
        for other in set(Axis) - {axis}:
            assert found.axes[other] == before.axes[other]
        assert loose.moved(axis, before.axes[axis].k or 0.0, values[axis]).share(
            axis, 4.0, values[axis]
        ) == before.reference.share(axis, 4.0, values[axis])


def test_an_axis_that_was_off_has_no_k_to_move() -> None:
    blind = signals(quality=OFF)
    kept = look(blind, density(blind), quality=OFF).reference
    with pytest.raises(ValueError, match="quality was off at the first diagnosis"):
        kept.moved(Axis.QUALITY, 1.0, blind.quality)


def selected(selection: str, **options: Any) -> tuple[Diagnosis, Diagnosis]:
    one = signals()
    config = SignalsConfig.model_validate({"share": 0.05, "selection": selection})
    return look(one, density(one)), look(one, density(one), config=config, **options)


def test_a_random_selection_is_as_large_and_another() -> None:
    usual, drawn = selected("random")
    assert [flag.axis for flag in drawn.flags] == [flag.axis for flag in usual.flags]
    assert flagged(drawn) != flagged(usual)
    assert drawn.beyond == usual.beyond == {name(HARD), name(SPARSE), name(WEAK)}
    assert drawn.cautions[0] == (
        "signals.selection is random: 3 samples are refined, drawn at random, in place of the 3"
        " that the signals flag"
    )
    assert drawn.cautions[1:] == usual.cautions
    assert selected("random")[1].flags == drawn.flags
    assert selected("random", seed=8)[1].flags != drawn.flags
    assert selected("random", number=1)[1].flags != drawn.flags
    for flag in drawn.flags:
        assert flag.reason == "drawn at random, whatever its score"
        assert flag.threshold == drawn.axes[flag.axis].threshold


def test_all_means_every_sample_that_can_be_refined() -> None:
    _, found = selected("all")
    assert len({flag.sample_id for flag in found.flags}) == COUNT
    assert {axis: report.flagged for axis, report in found.axes.items()} == {
        Axis.COMPLEXITY: COUNT,
        Axis.DIVERSITY: COUNT,
        Axis.QUALITY: COUNT,
    }
    assert len(found.beyond) == 3
    assert "40 samples are refined, all that can be, in place of the 3" in found.cautions[0]
    refused = {**NONE, Axis.QUALITY: frozenset({name(1)})}
    _, fewer = selected("all", suppressed=refused)
    assert fewer.axes[Axis.QUALITY].flagged == COUNT - 1
    assert (name(1), "quality") not in flagged(fewer)


def test_what_could_not_be_scored_is_neither_drawn_nor_among_all() -> None:
    broken = replace(rows()[0], unscored="too_long", loss=0.0)
    one = signals(rows({0: broken}))
    for selection in ("random", "all"):
        config = SignalsConfig.model_validate({"share": 0.05, "selection": selection})
        for seed in range(30):
            found = look(one, density(one), config=config, seed=seed)
            assert name(0) not in {flag.sample_id for flag in found.flags}
