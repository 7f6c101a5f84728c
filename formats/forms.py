"""The forms that rows come in. The first one whose columns a row has is its form.

To add a form: write `fits`, `read` and `write`, and name it here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..core.records import Sample
from . import flat, turns
from .rows import Layout, Parsed, Row


@dataclass(frozen=True, slots=True)
class Form:
    """A form: `needs` names its columns; `read` raises BadRow, `write` CannotHold."""

    name: str
    needs: str
    fits: Callable[[Row], bool]
    read: Callable[[Row], Parsed]
    write: Callable[[Sample, Layout], Row]


def _turns(name: str, needs: str, style: turns.Style) -> Form:
    return Form(
        name,
        needs,
        partial(turns.fits, style),
        partial(turns.read, style),
        partial(turns.write, style),
    )


def _flat(name: str, needs: str, columns: flat.Columns) -> Form:
    return Form(
        name,
        needs,
        partial(flat.fits, columns),
        partial(flat.read, columns),
        partial(flat.write, columns),
    )


FORMS = {
    form.name: form
    for form in (
        _turns("sharegpt", "conversations", turns.SHAREGPT),
        _turns("messages", "messages", turns.MESSAGES),
        _flat("alpaca", "instruction, output", flat.ALPACA),
        _flat("prompt", "prompt, completion or response", flat.PROMPT),
        _flat("question", "question, answer or response", flat.QUESTION),
    )
}
"""Forms by name, in the order of detection: lists of turns say more than single columns."""
