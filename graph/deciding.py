"""Take a person's decisions on the proposals of a paused run.

Whoever decides owns the run folder meanwhile, as a run would. A word is durable once it is said;
`resume` then finds it. Nothing here needs LangGraph or a model.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..checks.context import CheckContext
from ..checks.decontamination import EvaluationIndex
from ..checks.suite import cheap_checks
from ..core.config import RunConfig
from ..core.errors import DataError, MiddoError, UsageError
from ..core.prefixes import beginning, near, some
from ..core.records import Axis, Proposal, Sample, Verdict, message_from
from ..formats.configuration import load_kept
from ..formats.decisions import Decided
from ..prompts.loader import examples, sentences
from ..stores.database import Database, open_database, read_database
from ..stores.facts import Facts
from ..stores.ledger import Ledger
from ..stores.lock import run_lock
from ..stores.reviews import Decision, Reviews, Tally, Word, review_fact
from ..stores.runs import read_run, write_run
from ..stores.samples import Version
from ..stores.tables import read_signals
from .overlap import known_evaluation


@dataclass(frozen=True, slots=True)
class Said:
    """One decision on one proposal; an edit has both texts in full, `place` is file and line."""

    sample_id: str
    decision: Decision
    reason: str = ""
    prompt: str | None = None
    answer: str | None = None
    place: str = ""


@contextmanager
def open_review(folder: Path, reviewer: str) -> Iterator["Review"]:
    """Own a run folder while a person decides.

    Args:
        folder: the run folder.
        reviewer: who decides; goes on the record.

    Raises:
        UsageError: no run folder, or nothing in it is open for review.
        RunLocked: a run, or another reviewer, is at work in it.
    """
    document, path = read_run(folder), folder / "ledger.db"
    if not path.is_file() or _waiting(path) is None:
        raise _nothing_open(folder, document)
    with run_lock(folder):
        if (number := _waiting(path)) is None:
            raise _nothing_open(folder, document)
        database = open_database(path)
        try:
            yield Review(folder, database, number, reviewer)
        finally:
            database.close()


def _waiting(path: Path) -> int | None:
    """Return the round whose review is open; the ledger of an older version stays as it is."""
    database = read_database(path)
    try:
        return Reviews(database).open_round()
    finally:
        database.close()


def _nothing_open(folder: Path, document: dict[str, Any]) -> UsageError:
    return UsageError(
        f"{folder}: nothing waits for review: the run is {document.get('status')};"
        " a run pauses for it before merge where `review` is true"
    )


def repeated(verdicts: Iterable[Verdict]) -> str | None:
    """Return the evaluation text that an edit repeats, in short; None where it may be kept.

    Nobody's word lets that in: what a run measures itself by is never trained on.
    """
    for verdict in verdicts:
        if verdict.name == "decontamination" and not verdict.passed:
            return str(verdict.numbers["first"])
    return None


class Review:
    """The open review of one round."""

    def __init__(self, folder: Path, database: Database, number: int, reviewer: str) -> None:
        """Use an open database of a folder that this process owns."""
        self.round = number
        self._folder = folder
        self._database = database
        self._reviewer = reviewer
        self._reviews = Reviews(database)
        self._outcomes = {
            outcome.sample_id: outcome
            for outcome in Ledger(database).outcomes(number)
            if outcome.fate == "accepted"
        }

    @property
    def tally(self) -> Tally:
        """How far the review is."""
        return self._reviews.tally(self.round)

    def undecided(self) -> list[str]:
        """Return the samples whose proposals wait, in order of id."""
        standing = self._reviews.standing(self.round)
        return [name for name in self._outcomes if name not in standing]

    def words(self) -> list[Word]:
        """Return every word on this round's proposals, the earliest first."""
        return self._reviews.words(self.round)

    def decide(self, said: Sequence[Said]) -> list[Word]:
        """Write decisions; all of them are durable on return, or none is there.

        Raises:
            DataError: an edit repeats evaluation data.
        """
        words = [self._word(one) for one in said]
        self._reviews.add(words)
        plain = self.tally.as_dict(open=True)
        Facts(self._database).put(review_fact(self.round), plain)
        document = read_run(self._folder)
        for entry in document.get("rounds", []):
            if entry["round"] == self.round:
                entry["review"] = plain
        write_run(self._folder, document)
        return words

    def planned(self, lines: Sequence[Decided]) -> list[Said]:
        """Return what the lines of a file decide, in order of sample id.

        Raises:
            DataError: an id that is unknown, not unique or named twice, or an edit of nothing.
        """
        said: dict[str, Said] = {}
        places: dict[str, str] = {}
        for line in lines:
            if line.sample is None:
                continue
            name = self._resolved(line.sample, line.place)
            if name in said:
                raise DataError(
                    f"{line.place}: sample {name} is decided in {places[name]} already;"
                    " keep one of them"
                )
            places[name] = line.place
            said[name] = self._said(name, line)
        for line in lines:
            if line.sample is None:
                left = [name for name in self.undecided() if name not in said]
                said |= {name: Said(name, line.decision, line.reason) for name in left}
        return [said[name] for name in sorted(said)]

    def remarks(self, sample_id: str, prompt: str, answer: str) -> list[Verdict]:
        """Return what the checks that look at texts alone say of an edited proposal."""
        outcome = self._outcomes[sample_id]
        row = outcome.proposals[-1]
        parent = self._version.take([sample_id])[sample_id]
        proposed = Sample("", tuple(message_from(plain) for plain in row["messages"]), "")
        messages = proposed.with_exchange(prompt, answer)
        proposal = Proposal(parent, outcome.axis, row["attempt"], messages, row["adds"])
        return cheap_checks(proposal, self._context(sample_id))

    def proposed(self, sample_id: str) -> tuple[str, str]:
        """Return prompt and answer of a proposal."""
        row = self._outcomes[sample_id].proposals[-1]
        sample = Sample("", tuple(message_from(plain) for plain in row["messages"]), "")
        return sample.prompt, sample.answer

    def _said(self, name: str, line: Decided) -> Said:
        if line.decision != "edit":
            return Said(name, line.decision, line.reason)
        prompt, answer = self.proposed(name)
        edited = (
            prompt if line.prompt is None else line.prompt,
            answer if line.answer is None else line.answer,
        )
        if edited == (prompt, answer):
            raise DataError(f'{line.place}: the edit of {name} changes nothing; say "accept"')
        return Said(name, "edit", line.reason, *edited, line.place)

    def _word(self, one: Said) -> Word:
        checks: list[dict[str, Any]] = []
        if one.decision == "edit":
            verdicts = self.remarks(one.sample_id, one.prompt or "", one.answer or "")
            if (held := repeated(verdicts)) is not None:
                raise DataError(
                    f"{one.place}{': ' if one.place else ''}the edit of {one.sample_id} repeats"
                    f" evaluation data, which is never trained on: {held!r}; write something of"
                    " your own"
                )
            checks = [verdict.as_dict() for verdict in verdicts]
        return Word(
            round=self.round,
            sample_id=one.sample_id,
            proposal_id=self._outcomes[one.sample_id].proposals[-1]["id"],
            decision=one.decision,
            prompt=one.prompt,
            answer=one.answer,
            reason=" ".join(one.reason.split()),
            reviewer=self._reviewer,
            at=time.time(),
            checks=checks,
        )

    def _resolved(self, text: str, place: str) -> str:
        found = beginning(text, self._outcomes)
        if len(found) == 1:
            return found[0]
        if found:
            problem = f"several samples begin so: {some(found)}; give more digits"
        else:
            like = near(text, self._outcomes)
            hint = f"; near it: {some(like)}" if like else ""
            problem = f"no proposal under review in round {self.round} begins so{hint}"
        raise DataError(f"{place}: {text!r}: {problem}; `middo review RUN --json` lists them")

    # --- what the checks are held against; read once, when the first edit needs it ---

    @cached_property
    def _config(self) -> RunConfig:
        return load_kept(self._folder / "config.yaml")

    @cached_property
    def _diagnosis(self) -> dict[str, Any]:
        path = self._folder / "rounds" / str(self.round) / "diagnosis.json"
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    @cached_property
    def _version(self) -> Version:
        source = Facts(self._database).get(f"round.{self.round}.diagnosis")["source_round"]
        return Version(self._folder / "rounds" / str(source) / "dataset")

    @cached_property
    def _evaluation(self) -> EvaluationIndex:
        return known_evaluation(self._folder)

    @cached_property
    def _neighbours(self) -> dict[str, list[str]]:
        path = self._folder / "rounds" / str(self.round) / "signals.parquet"
        rows = read_signals(path, ids=self._outcomes, columns=("id", "neighbours"))
        return {row["id"]: row["neighbours"] or [] for row in rows}

    def _context(self, sample_id: str) -> CheckContext:
        near = self._version.take(self._neighbours.get(sample_id, []))
        flags = [flag for flag in self._diagnosis["flags"] if flag["id"] == sample_id]
        return CheckContext(
            similarity=self._config.checks.similarity,
            length_ratio=self._config.checks.length_ratio,
            embed=_no_embeddings,
            flagged=frozenset(Axis(flag["axis"]) for flag in flags),
            decontamination=self._evaluation,
            neighbours=tuple(sample.prompt for sample in near.values()),
            instructions=(*examples(), *sentences()),
        )


def _no_embeddings(texts: list[str]) -> Any:
    raise MiddoError("an edit is checked without embeddings")
