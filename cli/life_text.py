"""A sample's life as text for a terminal: what was measured, proposed, said and decided."""

from collections.abc import Sequence

from ..core.amounts import several
from ..core.records import Message
from ..inspection.figures import aligned
from ..inspection.life import Life, Reading, RoundOfLife
from ..inspection.reviews import edited
from ..inspection.sentences import word_line
from .output import shortened
from .proposal_text import add_attempt, add_changes, spent
from .styled import WIDTH, Sheet

_LABEL = 10
_INDENT = 2
_MEASURES = (
    ("loss_base", "base loss"),
    ("loss_tuned", "tuned loss"),
    ("answer_tokens", "answer tokens"),
    ("loss_prompt", "prompt loss"),
    ("gain", "gain"),
    ("recoverability", "recoverability"),
)


def life_text(life: Life, *, colour: bool) -> str:
    """Return the life of a sample for people, at most 80 columns wide."""
    sheet = Sheet(colour=colour)
    _head(sheet, life)
    shown: tuple[Message, ...] = ()
    for one in life.rounds:
        _round(sheet, one, shown)
        shown = one.messages
    calls = [call for one in life.rounds for call in one.calls]
    sheet.blank()
    if calls:
        sheet.labelled("Calls", spent(calls), column=_LABEL)
    sheet.labelled("Ending", life.ending, column=_LABEL)
    return sheet.text()


def _head(sheet: Sheet, life: Life) -> None:
    sheet.labelled("Sample", f"{life.sample_id}, {_origin(life)}", column=_LABEL)
    sheet.labelled("Source", life.source, column=_LABEL)
    if len(life.lineage) > 1:
        sheet.labelled("Line", " -> ".join(life.lineage), column=_LABEL)
    if life.made:
        sheet.labelled("Beside it", ", ".join(life.made) + " (added)", column=_LABEL)


def _origin(life: Life) -> str:
    if life.origin == "rewritten":
        return "rewritten by Middo"
    if life.origin == "added":
        return f"added by Middo beside {life.beside or 'another'}"
    return "as it was imported"


def _round(sheet: Sheet, one: RoundOfLife, shown: tuple[Message, ...]) -> None:
    sheet.title(f"Round {one.round}")
    if one.note:
        sheet.line(one.note, indent=_INDENT)
    if one.messages == shown:
        same = f"{one.sample_id}, as in the round before"
        sheet.line(same, indent=_INDENT)
    else:
        sheet.line(one.sample_id, indent=_INDENT)
        _conversation(sheet, one.messages)
    _measured(sheet, one)
    if one.neighbours:
        sheet.blank()
        sheet.line("Nearest neighbours", indent=_INDENT)
        for near in one.neighbours:
            value = "      " if near.similarity is None else f"{near.similarity:.4f}"
            start = f"{value}  {near.sample_id}  "
            room = WIDTH - 2 * _INDENT - len(start)
            sheet.line_as_is(start + shortened(near.prompt, room), indent=2 * _INDENT)
    _refined(sheet, one)


def _conversation(sheet: Sheet, messages: Sequence[Message]) -> None:
    for message in messages:
        sheet.line(message.name or message.role, indent=2 * _INDENT, style="dim")
        sheet.block(message.content, indent=3 * _INDENT)


def _measured(sheet: Sheet, one: RoundOfLife) -> None:
    if one.unscored:
        sheet.blank()
        sheet.line(f"not scored: {one.unscored}", indent=_INDENT)
        return
    if not one.readings:
        sheet.line("not diagnosed", indent=_INDENT)
        return
    sheet.blank()
    rows = [["axis", "score", "flagged if", "rank", "", ""]]
    rows += [_reading(reading) for reading in one.readings]
    lines = aligned(rows, [False, True, True, True, False, False])
    for number, (line, reading) in enumerate(zip(lines, [None, *one.readings], strict=True)):
        style = "bold" if reading is not None and reading.flagged else "dim" if not number else ""
        sheet.line_as_is(line, indent=_INDENT, style=style)
    for reading in one.readings:
        if reading.reason:
            sheet.line(f"{reading.axis}: {reading.reason}", indent=_INDENT, hanging=2)
    figures = [
        f"{name} {one.values[key]:.0f}"
        if key == "answer_tokens"
        else f"{name} {one.values[key]:.4f}"
        for key, name in _MEASURES
        if key in one.values
    ]
    if one.cluster is not None:
        figures.insert(0, "in no cluster" if one.cluster < 0 else f"in cluster {one.cluster}")
    ratings = [
        f"{key.removeprefix('rating_').replace('_', ' ')} {value:.2f}"
        for key, value in one.values.items()
        if key.startswith("rating_")
    ]
    sheet.line("; ".join(figures), indent=_INDENT, hanging=2)
    if ratings:
        sheet.line("its own ratings, 1 to 5: " + ", ".join(ratings), indent=_INDENT, hanging=2)


def _reading(reading: Reading) -> list[str]:
    score = "-" if reading.score is None else f"{reading.score:.4f}"
    if not reading.on or reading.threshold is None:
        return [str(reading.axis), score, "off", "", "", ""]
    side = "above" if reading.flags_high else "below"
    rank = "-" if reading.rank is None else f"{reading.rank:,} of {reading.of:,}"
    flagged = "FLAGGED" if reading.flagged else ""
    return [str(reading.axis), score, f"{side} {reading.threshold:.4f}", rank, flagged, ""]


def _refined(sheet: Sheet, one: RoundOfLife) -> None:
    flagged = any(reading.flagged for reading in one.readings)
    if one.fate is None and not one.attempts:
        if flagged:
            sheet.blank()
            sheet.line("flagged; its refinement has not begun", indent=_INDENT)
        return
    sheet.blank()
    what = f"Refined for {one.axis}" if one.axis else "Refined"
    fate = one.fate or "under way"
    tried = several(len(one.attempts), "proposal") if one.attempts else "no proposal was made"
    sheet.line(f"{what}: {fate}, {tried}", indent=_INDENT, style="bold")
    if one.fate == "deferred" and one.reason:
        sheet.line(f"put off: {one.reason}", indent=_INDENT, hanging=2)
    for attempt in one.attempts:
        add_attempt(sheet, attempt, one.messages, indent=2 * _INDENT)
    _reviewed(sheet, one)


def _reviewed(sheet: Sheet, one: RoundOfLife) -> None:
    if one.words:
        sheet.blank()
    for word in one.words:
        sheet.labelled("Review", word_line(word), column=_LABEL, indent=_INDENT)
    proposed = one.attempts[-1].messages if one.words and one.attempts else ()
    text = edited(one.words[-1], proposed) if proposed else ()
    if text:
        sheet.line("The edit, against the proposal", indent=2 * _INDENT)
        add_changes(sheet, proposed, text, indent=2 * _INDENT)
