"""Read decisions on proposals from JSON Lines, for scripts and for other people's tools.

    {"sample": "3f2a…", "decision": "accept"}
    {"sample": "81bc…", "decision": "reject", "reason": "the year is wrong"}
    {"sample": "a07d…", "decision": "edit", "answer": "In 1969."}
    {"all": "accept"}                         what no other line names and nobody has decided

A file is read as a whole before anything of it counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ..core.errors import DataError
from ..core.text import printable

_LONGEST = 60


class Line(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sample: str | None = None
    all: Literal["accept", "reject"] | None = None
    decision: Literal["accept", "reject", "edit"] | None = None
    prompt: str | None = None
    answer: str | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _fits(self) -> "Line":
        if (self.sample is None) == (self.all is None):
            raise ValueError('expected "sample" with its "decision", or "all"')
        if self.sample is not None and (not self.sample or self.decision is None):
            raise ValueError('expected "sample": an id, and "decision": accept, reject or edit')
        if self.all is not None and self.decision is not None:
            raise ValueError('"all" is the decision itself; leave "decision" out')
        texts = [text for text in (self.prompt, self.answer) if text is not None]
        if self.decision == "edit" and not texts:
            raise ValueError('an edit needs "prompt", "answer" or both')
        if self.decision != "edit" and texts:
            raise ValueError('"prompt" and "answer" belong to "decision": "edit"')
        if any(not text.strip() for text in texts):
            raise ValueError("an edited text is empty; reject the proposal to keep the original")
        return self


@dataclass(frozen=True, slots=True)
class Decided:
    """One line as it was read.

    Attributes:
        place: file and line, for errors.
        sample: an id or the beginning of one; None where the line is about all that are left.
        decision: what to do.
        prompt: the edited prompt; None keeps the proposal's, as `answer`.
        answer: the edited answer.
        reason: in the person's words; may be empty.
    """

    place: str
    sample: str | None
    decision: Literal["accept", "reject", "edit"]
    prompt: str | None = None
    answer: str | None = None
    reason: str = ""


def read_decisions(lines: Iterable[bytes], name: str) -> list[Decided]:
    """Return the decisions of a file in its order; blank lines are skipped.

    Args:
        lines: the file.
        name: what it is called in errors.

    Raises:
        DataError: a line that is not valid, two about all the rest, or none at all.
    """
    found: list[Decided] = []
    rest: str | None = None
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        place = f"{name}:{number}"
        line = _parsed(raw, place)
        if line.sample is None:
            if rest is not None:
                raise DataError(f'{place}: "all" stands in {rest} already; keep one of them')
            rest = place
        decision = line.all or line.decision
        assert decision is not None  # the model has seen to it
        found.append(
            Decided(place, line.sample, decision, line.prompt, line.answer, line.reason.strip())
        )
    if not found:
        raise DataError(f"{name}: holds no decision; `middo review RUN --json` shows what waits")
    return found


def _parsed(raw: bytes, place: str) -> Line:
    try:
        return Line.model_validate_json(raw)
    except ValidationError as error:
        raise DataError(f"{place}: {_problem(error.errors(include_url=False)[0])}") from error


def _problem(found: ErrorDetails) -> str:
    key = printable(".".join(str(step) for step in found["loc"]))
    match found["type"]:
        case "json_invalid" | "model_type":
            return f"is no JSON object ({_cut(found['input'])})"
        case "extra_forbidden":
            return f"{key}: unknown key; expected one of {', '.join(Line.model_fields)}"
        case "value_error":
            return str(found["ctx"]["error"])
    words = found["msg"][0].lower() + found["msg"][1:]
    return f"{key}: {_cut(found['input'])} is not valid: {words}"


def _cut(value: Any) -> str:
    text = (
        printable(value.decode("utf-8", "replace").strip())
        if isinstance(value, bytes)
        else repr(value)
    )
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
