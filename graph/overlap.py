"""Training rows that overlap evaluation data: found before anything is trained, told or left out.

What is meant is data from elsewhere: `evaluation.data` and the rows of `evaluation.tasks`. A
hold-out that is split from the data itself is kept apart from its near-duplicates by its groups
(`curation/holdout.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..checks.decontamination import EvaluationIndex, Exchange, overlap_of
from ..checks.words import shortened
from ..core.config import RunConfig
from ..core.progress import Note
from ..core.records import Quarantined, Sample
from ..formats.exporting import export_row
from ..formats.forms import FORMS
from ..formats.quarantine import write_quarantine
from ..stores.samples import Version
from .samples import Chosen, Samples
from .task_rows import frozen_exchanges

OVERLAP = "overlap.jsonl"
"""Where the rows are listed that are trained on although they overlap, in a run folder."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Training rows, compared with evaluation data from elsewhere.

    Attributes:
        training: the rows to train on.
        overlapping: those that overlap, each with the words that it shares; left out of `training`
            where `evaluation.exclude_overlap` says so.
        is_compared: whether there was anything to compare with.
        is_excluded: whether they are left out.
    """

    training: Samples
    overlapping: list[Quarantined]
    is_compared: bool
    is_excluded: bool

    @property
    def excluded(self) -> list[Quarantined]:
        """The rows that are left out."""
        return self.overlapping if self.is_excluded else []

    def note(self) -> Note | None:
        """Tell of the rows; None where there are none."""
        if not self.overlapping:
            return None
        count, first = len(self.overlapping), self.overlapping[0]
        what = f"{count} row{' overlaps' if count == 1 else 's overlap'} evaluation data"
        where = f"the first at {first.source}: {first.reason}"
        if self.is_excluded:
            text = (
                f"{what} and {'is' if count == 1 else 'are'} not trained on, {where} (all of them"
                " in quarantine.jsonl; evaluation.exclude_overlap: false keeps them)"
            )
        else:
            text = (
                f"{what} and {'is' if count == 1 else 'are'} trained on all the same: the figures"
                f" tell memory too, not only learning; {where} (all of them in {OVERLAP})"
            )
        return Note(text)


def compare(
    training: Samples, evaluated: Iterable[Exchange], config: RunConfig, form: str
) -> Compared:
    """Find the training rows that overlap evaluation data from elsewhere.

    Args:
        training: the rows to train on.
        evaluated: prompts and answers of that data; empty where there is none.
        config: of the run.
        form: of the input, in which rows are listed.
    """
    index = EvaluationIndex.without_templates(evaluated)
    excludes = config.evaluation.exclude_overlap
    if not index.hashes:
        return Compared(training, [], False, excludes)
    found: dict[str, Quarantined] = {}
    for sample in training:
        shared = overlap_of(sample, index)
        if shared is not None:
            found[sample.id] = _listed(sample, shared, form)
    rows = list(found.values())
    if not (found and excludes):
        return Compared(training, rows, True, excludes)
    left = Chosen(training, found, len(training) - len(found), inside=False)
    return Compared(left, rows, True, excludes)


def exchanges(samples: Iterable[Sample]) -> Iterable[Exchange]:
    """Return prompt and answer of each row."""
    return ((sample.prompt, sample.answer) for sample in samples)


def write_overlap(found: Compared, folder: Path) -> None:
    """List the overlapping rows that are trained on; a list of an earlier attempt goes."""
    file = folder / OVERLAP
    if found.overlapping and not found.is_excluded:
        write_quarantine(found.overlapping, file)
    else:
        file.unlink(missing_ok=True)


def known_evaluation(folder: Path) -> EvaluationIndex:
    """Return what no proposal of a run may repeat: its hold-out, and the rows of its tasks."""
    held = EvaluationIndex.of(Version(folder / "holdout"))
    return held | EvaluationIndex.of_exchanges(frozen_exchanges(folder))


def _listed(sample: Sample, shared: str, form: str) -> Quarantined:
    reason = f'overlaps evaluation data: "{shortened(shared)}"'
    return Quarantined(sample.source, reason, export_row(sample, FORMS[form]))
