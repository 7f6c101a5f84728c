"""Decide on proposals one after the other; each decision is stored at once."""

from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.text import Text

from ..core.amounts import several
from ..core.errors import UsageError
from ..graph.deciding import Review, Said, repeated
from ..inspection.reviews import Waiting
from .output import labelled
from .proposal import COLUMN, show, show_edit

KEYS = (
    "a accept   r reject   e edit   s skip   b back   "
    "A accept the rest   R reject the rest   q quit"
)


class Person(Protocol):
    """Who decides; `keyboard.Keyboard` is the one at the terminal."""

    def key(self) -> str:
        """Return the next key."""
        ...

    def line(self, question: str) -> str:
        """Return a line of text."""
        ...

    def edit(self, prompt: str, answer: str) -> tuple[str, str]:
        """Return both texts as they were edited."""
        ...


class Conversation:
    """A person goes through the proposals that wait."""

    def __init__(self, console: Console, person: Person, review: Review) -> None:
        """Talk on `console`; decisions go to `review`."""
        self._console = console
        self._person = person
        self._review = review

    def go_through(self, waiting: Sequence[Waiting]) -> None:
        """Show every proposal and ask, until all are decided or the person has enough."""
        place = 0
        while place < len(waiting):
            one = waiting[place]
            show(self._console, one, f"{place + 1} of {len(waiting)}")
            self._console.print()
            step = self._asked(one, waiting[place:])
            if step is None:
                return
            place = max(place + step, 0)

    def _asked(self, one: Waiting, rest: Sequence[Waiting]) -> int | None:
        """Ask until there is an answer; returns how far to go on, None to stop."""
        while True:
            match self._key(KEYS):
                case "a":
                    return self._say(Said(one.sample_id, "accept"))
                case "r":
                    why = self._person.line("why (Enter for no reason): ")
                    return self._say(Said(one.sample_id, "reject", why))
                case "e":
                    if self._edit(one):
                        return 1
                case "s":
                    return 1
                case "b":
                    return -1
                case "A" | "R" as key:
                    if self._all("accept" if key == "A" else "reject", rest):
                        return None
                case "q" | "\x04":
                    return None

    def _key(self, choices: str) -> str:
        self._console.print(Text(choices, style="dim"))
        return self._person.key()

    def _say(self, said: Said) -> int:
        self._review.decide([said])
        self._console.print(Text(f"{said.decision}: {said.sample_id}\n", style="bold"))
        return 1

    def _all(self, decision: str, rest: Sequence[Waiting]) -> bool:
        undecided = set(self._review.undecided())
        names = [one.sample_id for one in rest if one.sample_id in undecided]
        text = f"{decision} {several(len(names), 'proposal')} without looking? y yes, any other no"
        if self._key(text) != "y":
            return False
        if decision == "accept":
            self._review.decide([Said(name, "accept") for name in names])
            return True
        why = self._person.line("why (Enter for no reason): ")
        self._review.decide([Said(name, "reject", why) for name in names])
        return True

    def _edit(self, one: Waiting) -> bool:
        """Let the person edit until the text is kept or given up; returns whether it is kept."""
        proposed = text = self._review.proposed(one.sample_id)
        while True:
            try:
                text = self._person.edit(*text)
            except UsageError as error:
                self._console.print(Text(str(error), style="bold"))
                return False
            if text == proposed or not all(part.strip() for part in text):
                problem = "nothing was changed" if text == proposed else "a text is empty"
                self._console.print(Text(f"{problem}; the proposal is as it was", style="bold"))
                return False
            show_edit(self._console, proposed, text)
            self._console.print()
            may_stay = self._show_remarks(one, text)
            keep = "k keep this edit   " if may_stay else ""
            match self._key(f"{keep}e edit again   any other: give it up"):
                case "k" if may_stay:
                    why = self._person.line("why (Enter for no reason): ")
                    return bool(self._say(Said(one.sample_id, "edit", why, *text)))
                case "e":
                    continue
            return False

    def _show_remarks(self, one: Waiting, text: tuple[str, str]) -> bool:
        """Show what the checks say of an edit; returns whether it may be kept."""
        refused = [v for v in self._review.remarks(one.sample_id, *text) if not v.passed]
        if not refused:
            self._console.print(Text("The checks have no objection."))
        for verdict in refused:
            line = f"{verdict.name}: {verdict.reason}"
            self._console.print(Text("\n".join(labelled("Remark", line, COLUMN))))
        if repeated(refused) is not None:
            self._console.print(Text("What repeats evaluation data can't be kept."))
            return False
        if refused:
            self._console.print(Text("Your word counts: keep the edit if it is right."))
        return True
