"""Recorded answers: what the models of an earlier run said, to be heard again without them.

A recording is looked up by what a question is about (role, sample, axes, attempt, prompt and its
version) and not by its text, so that it also serves where a neighbour or a remark reads otherwise.
It is a run's ledger (`replay:RUN`), or a file of JSON lines that `write_recording` made
(`replay:FILE.jsonl`); the shipped one for the demo's rows is `replay:demo`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..core.errors import DataError, MiddoError
from ..core.ids import canonical_json, hash_of_hashes, short_hash
from .database import read_database
from .ledger import Ledger, Unit
from .runs import write_text

DEMO = "demo"
DEMO_FILE = Path(__file__).with_name("demo_recording.jsonl")
LEDGER = "ledger.db"
FORM = 1
"""Version of the file's form; stands in its first line as `middo_recording`."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a call is about.

    Attributes:
        role: rewriter, critic or diagnostician.
        sample_id: the sample; empty where the call belongs to none.
        axes: every axis that flagged it, joined by `+`.
        attempt: number of the proposal, from 1.
        prompt: name of the prompt.
        prompt_version: its version.
    """

    role: str
    sample_id: str
    axes: str
    attempt: int
    prompt: str
    prompt_version: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer as it was given; `value` is None and `error` says why where none fitted."""

    model: str
    value: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class Recording:
    """Answers by question.

    Attributes:
        about: what the file says of itself (model, licence, date); empty for a ledger.
        digest: hash of all questions and answers, in no order.
    """

    about: dict[str, Any]
    answers: Mapping[Question, Recorded]
    digest: str

    def answer(self, question: Question) -> Recorded | None:
        """Return what was answered to a question, or None."""
        return self.answers.get(question)

    def versions(self) -> dict[str, set[int]]:
        """Return the versions of each prompt that was answered."""
        found: dict[str, set[int]] = {}
        for question in self.answers:
            found.setdefault(question.prompt, set()).add(question.prompt_version)
        return found


def recording_file(target: str) -> Path:
    """Return the file behind `replay:TARGET`; nothing is read.

    Raises:
        DataError: there is no such file, or the folder holds no ledger.
    """
    if target == DEMO:
        return DEMO_FILE
    path = Path(target).expanduser()
    path = path / LEDGER if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"replay:{target}: no recording at {path}; name a run folder, its ledger.db, a file of"
            f" recorded answers, or `{DEMO}`"
        )
    return path


def read_recording(target: str) -> Recording:
    """Read the answers behind `replay:TARGET`.

    Raises:
        DataError: there is nothing there, or it is no recording; the message names file and line.
    """
    path = recording_file(target)
    if path.suffix == ".jsonl":
        about, pairs = _from_lines(path)
    else:
        about, pairs = {}, _from_ledger(path)
    answers: dict[Question, Recorded] = {}
    for question, recorded in pairs:
        answers.setdefault(question, recorded)  # what was said first stands, as in the ledger
    digest = hash_of_hashes(short_hash([asdict(q), asdict(a)]) for q, a in answers.items())
    return Recording(about, answers, digest)


def write_recording(ledgers: Sequence[Path], to: Path, about: Mapping[str, Any]) -> int:
    """Write the answers in ledgers of runs as JSON lines, what they are on the first one.

    Failures are recorded too: a replay that heard nothing of them would go another way.

    Args:
        ledgers: `ledger.db` of one or more runs; what an earlier one answered stands.
        to: the file to write.
        about: model, licence, date and whatever a reader should know.

    Returns:
        The number of answers.
    """
    answers: dict[Question, Recorded] = {}
    for ledger in ledgers:
        for question, recorded in _from_ledger(ledger):
            answers.setdefault(question, recorded)
    lines = [canonical_json({"middo_recording": FORM, **about})]
    lines += sorted(canonical_json({**asdict(q), **asdict(a)}) for q, a in answers.items())
    write_text(to, "\n".join(lines) + "\n")
    return len(answers)


def _from_ledger(path: Path) -> list[tuple[Question, Recorded]]:
    try:
        database = read_database(path)
    except MiddoError as error:
        raise DataError(f"replay: {error}") from error
    try:
        return [_pair(unit) for unit in Ledger(database).units()]
    except MiddoError as error:
        raise DataError(
            f"replay: {path} is damaged or from an older version of Middo ({error.__cause__});"
            " `middo resume` of that run brings an older one up to date"
        ) from error
    finally:
        database.close()


def _pair(unit: Unit) -> tuple[Question, Recorded]:
    question = Question(
        unit.role, unit.sample_id, unit.axes, unit.attempt, unit.prompt, unit.prompt_version
    )
    return question, Recorded(unit.model, unit.value, unit.error)


def _from_lines(path: Path) -> tuple[dict[str, Any], list[tuple[Question, Recorded]]]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"replay: {path} can't be read ({error})") from error
    about = _about(lines[0])
    if about is None:
        raise DataError(f"{path}: not a recording of form {FORM}: its first line does not say so")
    pairs = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            pairs.append(_Line.model_validate_json(line).pair())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            problem = f"{where}: {first['msg']}" if where else first["msg"]
            raise DataError(f"{path}:{number}: no recorded answer ({problem})") from error
    return about, pairs


def _about(line: str) -> dict[str, Any] | None:
    try:
        about = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) and about.get("middo_recording") == FORM else None


class _Line(BaseModel):
    """A question with its answer; what else a line holds is of no use."""

    model_config = ConfigDict(strict=True)

    role: str
    sample_id: str
    axes: str
    attempt: int
    prompt: str
    prompt_version: int
    model: str
    value: dict[str, Any] | None
    error: str | None

    @field_validator("value")
    @classmethod
    def _is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        canonical_json(value)
        return value

    def pair(self) -> tuple[Question, Recorded]:
        question = {name: getattr(self, name) for name in Question.__dataclass_fields__}
        recorded = {name: getattr(self, name) for name in Recorded.__dataclass_fields__}
        return Question(**question), Recorded(**recorded)
