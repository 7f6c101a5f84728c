"""One proposal on a terminal: the sample, why it was flagged, a word diff, what the gates said."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from ..core.amounts import several
from ..core.records import Message
from ..inspection.diff import Piece, word_diff
from ..inspection.reviews import Waiting
from .output import clean, labelled, shortened

COLUMN = 10
_STYLES = {"same": "", "removed": "red strike", "added": "bold green"}
_MARKS = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
_SHOWN_BEFORE = 400


def show(console: Console, one: Waiting, place: str) -> None:
    """Print a proposal; `place` says which it is of how many."""
    console.rule(Text(f"{place}, {one.axis}", style="bold"), align="left")
    for line in _facts(one):
        console.print(Text(line))
    before, after = _texts(one.old), _texts(one.new)
    if one.adds:
        console.print(Text("\nThe sample, which stays", style="bold"))
        _print(console, ("Prompt", before[0], before[0]), ("Answer", before[1], before[1]))
        console.print(Text("\nNew beside it", style="bold"))
        _print(console, ("Prompt", after[0], after[0]), ("Answer", after[1], after[1]))
        return
    _print(console, ("Prompt", before[0], after[0]), ("Answer", before[1], after[1]))


def show_edit(console: Console, old: tuple[str, str], new: tuple[str, str]) -> None:
    """Print what an edit changes in a proposal."""
    _print(console, ("Prompt", old[0], new[0]), ("Answer", old[1], new[1]))


def brief(one: Waiting, width: int = 60) -> str:
    """Return the beginning of a proposal's answer, on one line."""
    return shortened(one.new[-1].content, width)


def visible(text: str) -> str:
    """Return untrusted text in its lines, without anything that could steer a terminal."""
    lines = text.replace("\r\n", "\n").split("\n")
    indents = [line[: len(line) - len(line.lstrip(" "))] for line in lines]
    return "\n".join(indent + clean(line) for indent, line in zip(indents, lines, strict=True))


def _facts(one: Waiting) -> Iterator[str]:
    yield f"{'Sample':<{COLUMN}}{clean(one.sample_id)}  {clean(one.source)}"
    yield from _labelled("Flagged", one.flagged)
    yield from _labelled("Gates", one.gates)
    earlier = len(one.old) - 2
    if earlier > 0:
        told = " / ".join(f"{message.role}: {message.content}" for message in one.old[:earlier])
        text = f"{several(earlier, 'turn')} before: {shortened(told, _SHOWN_BEFORE)}"
        yield from labelled("History", text, COLUMN)


def _labelled(label: str, texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield from labelled(label if number == 0 else "", text, COLUMN)


def _texts(messages: Sequence[Message]) -> tuple[str, str]:
    asked = next(m.content for m in reversed(messages[:-1]) if m.role == "user")
    return asked, messages[-1].content


def _print(console: Console, *parts: tuple[str, str, str]) -> None:
    for label, old, new in parts:
        console.print()
        console.print(Text(label + (" (unchanged)" if old == new else ""), style="bold"))
        console.print(diff_text(word_diff(visible(old), visible(new)), console))


def diff_text(pieces: Sequence[Piece], console: Console) -> Text:
    """Return a diff in colours, or with `[-removed-]` and `{+added+}` where there are none."""
    plain = console.no_color or console.color_system is None
    text = Text(overflow="fold")
    for piece in pieces:
        left, right = _MARKS[piece.kind] if plain else ("", "")
        text.append(left + piece.text + right, style=_STYLES[piece.kind])
    return text
