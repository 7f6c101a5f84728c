"""Lines of styled text for a terminal of 80 columns, or plain ones where no colour is wanted."""

from io import StringIO

from rich.console import Console
from rich.text import Text

from ..inspection.diff import Piece, word_diff
from .output import clean, clean_lines

WIDTH = 80
KEPT = 160
"""Characters of an unchanged stretch that are shown beside a change."""
MOST = 2_000
"""Characters of a text, or of one change, that are shown."""
REMOVED, ADDED = "red strike", "green"


class Sheet:
    """Lines under way; all text that comes in is cleaned here or by the caller's `clean`."""

    def __init__(self, *, colour: bool) -> None:
        """Begin an empty sheet."""
        self.colour = colour
        self._lines: list[Text] = []
        self._console = Console(
            file=StringIO(),
            width=WIDTH,
            color_system="standard" if colour else None,
            force_terminal=colour,
            legacy_windows=False,
            highlight=False,
        )

    def blank(self) -> None:
        """Add an empty line, unless the last one is."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text())

    def title(self, text: object) -> None:
        """Add a headline."""
        self.blank()
        self._lines.append(Text(clean(text), style="bold"))

    def line(self, text: object, *, indent: int = 0, hanging: int = 0, style: str = "") -> None:
        """Add one cleaned line, wrapped; what follows the first goes `hanging` farther in."""
        self.wrapped(Text(clean(text), style=style), indent=indent, hanging=hanging)

    def line_as_is(self, line: str, *, indent: int, style: str = "") -> None:
        """Add one line of figures that is aligned already: its spaces stay as they are."""
        self._lines.append(Text(" " * indent + clean_lines(line), style=style))

    def labelled(
        self, label: str, text: object, *, column: int, indent: int = 0, style: str = ""
    ) -> None:
        """Add a text wrapped beside its label."""
        body = Text(clean(text), style=style).wrap(self._console, WIDTH - indent - column)
        for number, part in enumerate(body or [Text()]):
            start = Text(" " * indent)
            start.append((label if number == 0 else "").ljust(column), style="dim")
            start.append_text(part)
            start.rstrip()
            self._lines.append(start)

    def block(self, text: str, *, indent: int) -> None:
        """Add an untrusted text with its own lines, the middle left out where it is long."""
        self.wrapped(Text(_shortened(clean_lines(text), MOST)), indent=indent)

    def diff(self, old: str, new: str, *, indent: int) -> None:
        """Add what changed, word by word: in colours, else as `[-old-]{+new+}`."""
        before, after = clean_lines(old), clean_lines(new)
        if before == after:
            same = "unchanged" if old == new else "only characters that can't be seen differ"
            self.line(f"({same})", indent=indent, style="dim")
            return
        pieces = word_diff(before, after)
        text = Text()
        for place, piece in enumerate(pieces):
            self._append(text, piece, first=place == 0, last=place == len(pieces) - 1)
        self.wrapped(text, indent=indent)

    def wrapped(self, text: Text, *, indent: int, hanging: int = 0) -> None:
        """Add styled text, wrapped; nothing in it is cleaned any more."""
        first = True
        for part in text.wrap(self._console, WIDTH - indent - hanging):
            start = Text(" " * (indent if first else indent + hanging))
            start.append_text(part)
            start.rstrip()
            self._lines.append(start)
            first = False

    def text(self) -> str:
        """Return everything, as it is to be printed."""
        while self._lines and not self._lines[-1].plain:
            self._lines.pop()
        if not self.colour:
            return "\n".join(line.plain for line in self._lines)
        with self._console.capture() as capture:
            for line in self._lines:
                self._console.print(line, soft_wrap=True, markup=False, emoji=False)
        return capture.get().rstrip("\n")

    def _append(self, text: Text, piece: Piece, *, first: bool, last: bool) -> None:
        if piece.kind == "same":
            text.append(_stretch(piece.text, first=first, last=last))
            return
        shown = _shortened(piece.text, MOST)
        if not self.colour:
            text.append(f"[-{shown}-]" if piece.kind == "removed" else f"{{+{shown}+}}")
            return
        style = REMOVED if piece.kind == "removed" else ADDED
        # A space has no colour of its own.
        text.append(shown, style=style if shown.strip() else f"{style} reverse")


def _stretch(text: str, *, first: bool, last: bool) -> str:
    """Return an unchanged stretch, of a long one what is near a change."""
    head, tail = (0 if first else KEPT), (0 if last else KEPT)
    left_out = len(text) - head - tail
    if left_out < KEPT:
        return text
    ending = text[len(text) - tail :] if tail else ""
    return f"{text[:head]} [... {left_out:,} characters as before ...] {ending}".strip(" ")


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [... {len(text) - most:,} characters more ...] {text[-half:]}"
