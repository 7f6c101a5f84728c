"""Calibrate quality on the run's own rows: break real answers on purpose, score, fit.

Calibration comes first in a diagnosis: signals that earn no weight here are not computed for the
other rows. The ratings, the dearest of them, must pass an earlier question still: where the model
hardly answers in ratings on the first rows, they are asked of no other row and of no control.
"""

from collections.abc import Iterable, Mapping
from itertools import chain

from ..core.measures import Ask, Item, Measured
from ..core.records import Sample, sample_id
from ..signals.calibration import FEWEST_ROWS, LITTLE_MASS, calibrate, mean_mass
from ..signals.controls import KINDS, build_controls, choose_calibration_rows, words
from ..signals.quality import Calibration
from .measuring import Advance, Measuring

RATED_ROWS = 16
"""Rows, the first ones chosen, that tell whether the model answers in ratings at all."""
UNRATED: frozenset[Ask] = frozenset({"embedding", "prompt", "alone"})
RATED: frozenset[Ask] = UNRATED | {"answer_ratings"}
ROW_ASKS: tuple[frozenset[Ask], ...] = (RATED, UNRATED)
"""What real rows are measured with. The diagnosis takes them over, unless it wants all ratings.
Controls are measured with the same but what is of the prompt: their prompts are those of the
rows."""
OF_PROMPT: frozenset[Ask] = frozenset({"embedding", "prompt"})
"""What the diagnosis reads of every row's prompt, whatever the calibration earned."""
SPARE = 2
"""Rows drawn per row wanted, as some turn out too long for the model."""


def calibrate_quality(
    measuring: Measuring,
    stage: str,
    train: Iterable[Sample],
    holdout: Iterable[Sample],
    *,
    rows: int,
    seed: int,
    advance: Advance = lambda done, total, eta: None,
) -> Calibration:
    """Return the quality axis for this model on this data.

    Args:
        measuring: the model whose signals are calibrated.
        stage: name of the work, unique within the run.
        train: rows that the model was trained on, streamed twice.
        holdout: rows that it wasn't; half of the calibration rows come from here.
        rows: calibration rows wanted; 0 turns the axis off.
        seed: of the run.
        advance: told of the progress.

    Raises:
        Interrupted: the run was asked to stop.
    """
    if rows == 0:
        return Calibration(False, "signals.calibration is 0", 0)
    by_id = calibration_rows(measuring, train, holdout, rows=rows, seed=seed)
    chosen = list(by_id)
    if len(chosen) < FEWEST_ROWS:
        reason = f"only {len(chosen)} of {FEWEST_ROWS} rows needed can be calibrated on"
        return Calibration(False, reason, len(chosen))
    controls = build_controls([(i, by_id[i].prompt, by_id[i].answer) for i in chosen], seed)
    keys = {}
    items = {}
    for control in controls:
        sample = by_id[control.row_id]
        messages = sample.with_exchange(sample.prompt, control.answer)
        key = keys[control.kind, control.row_id] = sample_id(messages)
        items[key] = Item(key, messages)
    originals = [Item(name, by_id[name].messages) for name in chosen]
    total = len(originals) + len(items)

    def told(before: int) -> Advance:
        return lambda done, _, eta: advance(before + done, total, eta)

    asks = _asks(measuring.measure(f"{stage}.rated", originals[:RATED_ROWS], RATED, told(0)))
    measured = measuring.measure(f"{stage}.rows", originals, asks, told(0), wider=ROW_ASKS)
    of_controls = measuring.measure(
        f"{stage}.controls", list(items.values()), asks - OF_PROMPT, told(len(originals))
    )
    real = {name: measured[name] for name in chosen if measured[name].unscored is None}
    broken: dict[str, dict[str, Measured]] = {
        kind: {
            row: of_controls[key]
            for (of, row), key in keys.items()
            if of == kind and row in real and of_controls[key].unscored is None
        }
        for kind in KINDS
    }
    return calibrate(real, broken, seed)


def calibration_rows(
    measuring: Measuring,
    train: Iterable[Sample],
    holdout: Iterable[Sample],
    *,
    rows: int,
    seed: int,
) -> dict[str, Sample]:
    """Return the rows to calibrate on by id, sorted; the arguments are `calibrate_quality`'s."""
    by_id = _candidates(train, holdout, SPARE * rows, seed)

    def fits(name: str) -> bool:
        item = Item(name, by_id[name].messages)
        return measuring.scorer.count_tokens([item], RATED) != [0]

    held = {sample.id for sample in holdout}
    lengths = [(name, words(sample.answer)) for name, sample in by_id.items()]
    chosen = choose_calibration_rows(
        [(name, length) for name, length in lengths if name not in held],
        [(name, length) for name, length in lengths if name in held],
        rows,
        seed,
        fits,
    )
    return {name: by_id[name] for name in chosen}


def _asks(first: Mapping[str, Measured]) -> frozenset[Ask]:
    """Return what to measure the other rows with, by what the first ones' ratings are worth."""
    mass = mean_mass(first.values())
    return UNRATED if mass is not None and mass < LITTLE_MASS else RATED


def _candidates(
    train: Iterable[Sample], holdout: Iterable[Sample], count: int, seed: int
) -> dict[str, Sample]:
    """Return rows to choose from by id; only these are held in memory."""
    wanted = frozenset(
        choose_calibration_rows(
            [(sample.id, words(sample.answer)) for sample in train],
            [(sample.id, words(sample.answer)) for sample in holdout],
            count,
            seed,
        )
    )
    return {sample.id: sample for sample in chain(train, holdout) if sample.id in wanted}
