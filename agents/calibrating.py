"""Calibrate quality on the run's own rows: break real answers on purpose, score, fit.

Calibration comes first in a diagnosis: signals that earn no weight here are not computed for the
other rows.
"""

from collections.abc import Sequence

from ..core.measures import Ask, Item, Measured
from ..core.records import Sample, sample_id
from ..signals.calibration import FEWEST_ROWS, calibrate
from ..signals.controls import KINDS, build_controls, choose_calibration_rows, words
from ..signals.quality import Calibration
from .measuring import Advance, Measuring

ASKS: frozenset[Ask] = frozenset({"alone", "reverse", "ratings"})


def calibrate_quality(
    measuring: Measuring,
    stage: str,
    train: Sequence[Sample],
    holdout: Sequence[Sample],
    *,
    rows: int,
    seed: int,
    advance: Advance = lambda done, total, eta: None,
) -> Calibration:
    """Return the quality axis for this model on this data.

    Args:
        measuring: the model whose signals are calibrated.
        stage: name of the work, unique within the run.
        train: rows that the model was trained on.
        holdout: rows that it wasn't; half of the calibration rows come from here.
        rows: calibration rows wanted; 0 turns the axis off.
        seed: of the run.
        advance: told of the progress.

    Raises:
        Interrupted: the run was asked to stop.
    """
    if rows == 0:
        return Calibration(False, "signals.calibration is 0", 0)
    by_id = {sample.id: sample for sample in (*train, *holdout)}
    chosen = choose_calibration_rows(
        [(sample.id, words(sample.answer)) for sample in train],
        [(sample.id, words(sample.answer)) for sample in holdout],
        rows,
        seed,
    )
    if len(chosen) < FEWEST_ROWS:
        reason = f"only {len(chosen)} of {FEWEST_ROWS} rows needed can be calibrated on"
        return Calibration(False, reason, len(chosen))
    controls = build_controls([(i, by_id[i].prompt, by_id[i].answer) for i in chosen], seed)
    items = [Item(name, by_id[name].messages) for name in chosen]
    keys = {}
    for control in controls:
        sample = by_id[control.row_id]
        messages = sample.with_exchange(sample.prompt, control.answer)
        keys[control.kind, control.row_id] = sample_id(messages)
        items.append(Item(sample_id(messages), messages))
    measured = measuring.measure(stage, items, ASKS, advance)
    real = {name: measured[name] for name in chosen if measured[name].unscored is None}
    broken: dict[str, dict[str, Measured]] = {
        kind: {
            row: measured[key]
            for (of, row), key in keys.items()
            if of == kind and row in real and measured[key].unscored is None
        }
        for kind in KINDS
    }
    return calibrate(real, broken, seed)
