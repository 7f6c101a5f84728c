"""One proposal as text: what it changes, and what every gate said of it with its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.amounts import several
from ..core.records import Message
from ..core.trace import Call
from ..inspection.figures import aligned, count, duration
from ..inspection.life import Attempt, Gate
from .output import clean
from .styled import Sheet

_LABEL = 10
_BOUNDS = (("_at_least", "at least"), ("_at_most", "at most"), ("_above", "above"))
_MOST_ITEMS = 6


def add_attempt(
    sheet: Sheet, attempt: Attempt, original: Sequence[Message], *, indent: int
) -> None:
    """Add a proposal beside the conversation that it was made for."""
    sheet.blank()
    verdict = attempt.verdict or "under way"
    name = f", {attempt.proposal_id}" if attempt.proposal_id else ""
    sheet.line(f"Proposal {attempt.number}{name}: {verdict}", indent=indent, style="bold")
    inner = indent + 2
    if attempt.messages and attempt.adds:
        _added(sheet, attempt.messages, indent=inner)
    elif attempt.messages:
        add_changes(sheet, original, attempt.messages, indent=inner)
    elif attempt.verdict:
        sheet.line("no proposal came of it", indent=inner)
    _checks(sheet, [gate for gate in attempt.gates if gate.node == "checks"], indent=inner)
    for gate in attempt.gates:
        if gate.node == "critique":
            _critique(sheet, gate, indent=inner)
        elif gate.node == "proof":
            _proof(sheet, gate, indent=inner)
    if attempt.verdict == "failed" or (attempt.reason and not _named(attempt)):
        sheet.labelled("Reason", attempt.reason, column=_LABEL, indent=inner)
    if attempt.calls:
        sheet.labelled("Calls", spent(attempt.calls), column=_LABEL, indent=inner)


def spent(calls: Sequence[Call]) -> str:
    """Return what calls took: how many, tokens, price, time, and who answered."""
    parts = [several(len(calls), "call")]
    replayed = sum(call.source == "replayed" for call in calls)
    if replayed:
        parts[0] += " (all replayed)" if replayed == len(calls) else f" ({replayed} replayed)"
    failed = sum(call.status == "failed" for call in calls)
    if failed:
        parts.append(f"{failed} without a usable answer")
    read = [call.prompt_tokens for call in calls]
    written = [call.completion_tokens for call in calls]
    used = sum(value or 0 for value in (*read, *written))
    if all(value is None for value in (*read, *written)):
        parts.append("tokens unknown")
    elif used or replayed < len(calls):
        both = f"{count(sum(v or 0 for v in read))} tokens read, "
        both += f"{count(sum(v or 0 for v in written))} written"
        unknown = sum(a is None or b is None for a, b in zip(read, written, strict=True))
        parts.append(both + (f" ({unknown} calls unknown)" if unknown else ""))
    prices = [call.usd for call in calls]
    if all(value is None for value in prices):
        parts.append("price unknown")
    elif any(prices) or replayed < len(calls):
        unpriced = sum(value is None for value in prices)
        total = f"{sum(value or 0.0 for value in prices):.4f} USD"
        parts.append(total + (f" ({unpriced} calls of unknown price)" if unpriced else ""))
    if replayed < len(calls):
        parts.append(duration(sum(call.seconds for call in calls)))
    models = dict.fromkeys(clean(call.model) for call in calls)
    return ", ".join(parts) + "; " + ", ".join(models)


def add_changes(
    sheet: Sheet, original: Sequence[Message], changed: Sequence[Message], *, indent: int
) -> None:
    """Add a conversation as a word diff against another one."""
    if len(changed) != len(original):
        before = "\n".join(message.content for message in original)
        after = "\n".join(message.content for message in changed)
        sheet.diff(before, after, indent=indent + 2)
        return
    for old, new in zip(original, changed, strict=True):
        sheet.line(new.name or new.role, indent=indent, style="dim")
        sheet.diff(old.content, new.content, indent=indent + 2)


def _added(sheet: Sheet, messages: Sequence[Message], *, indent: int) -> None:
    sheet.line("a new sample beside it:", indent=indent)
    for message in messages:
        sheet.line(message.name or message.role, indent=indent, style="dim")
        sheet.block(message.content, indent=indent + 2)


def _checks(sheet: Sheet, gates: Sequence[Gate], *, indent: int) -> None:
    if not gates:
        return
    for gate in gates:
        if not gate.passed:
            text = f"{gate.gate.replace('_', ' ')} refused"
            figures = _figures(gate.numbers)
            text += f" ({figures})" if figures else ""
            text += f": {gate.reason}" if gate.reason else ""
            sheet.labelled("Check", text, column=_LABEL, indent=indent)
    passed = [gate for gate in gates if gate.passed]
    every = len(passed) == len(gates)
    text = f"all {len(passed)} passed" if every else f"{len(passed)} of {len(gates)} passed"
    sheet.labelled("Checks", text, column=_LABEL, indent=indent)
    if passed:
        listed = "; ".join(map(_passed, passed))
        sheet.labelled("", listed, column=_LABEL, indent=indent, style="dim")


def _passed(gate: Gate) -> str:
    """Return a passed check with what it measured, where it looked for something and found it."""
    numbers = gate.numbers
    first = next(iter(numbers.values()), None)
    if numbers.get("applies") is False:
        figures = "does not apply"
    elif numbers == {"unchanged": True}:
        figures = "prompt unchanged"
    elif len(numbers) == 1 and (first is False or first == []):
        figures = "no" if first is False else "none"
    else:
        figures = _figures({key: value for key, value in numbers.items() if value is not False})
    text = gate.gate.replace("_", " ") + (f" ({figures})" if figures else "")
    return text + (f": {gate.reason}" if gate.reason else "")


def _critique(sheet: Sheet, gate: Gate, *, indent: int) -> None:
    numbers = gate.numbers
    text = "accepts" if gate.passed else f"refuses ({clean(numbers.get('verdict') or 'reject')})"
    said = gate.reason
    text += f": {said}" if said else ""
    sheet.labelled("Critic", text, column=_LABEL, indent=indent)
    dropped = numbers.get("dropped") or []
    if dropped:
        sheet.labelled(
            "", f"says dropped on purpose: {_items(dropped)}", column=_LABEL, indent=indent
        )


def _proof(sheet: Sheet, gate: Gate, *, indent: int) -> None:
    head = f"{gate.gate.removeprefix('proof.')}: " + ("passed" if gate.passed else "refused")
    head += f": {gate.reason}" if gate.reason else ""
    sheet.labelled("Proof", head, column=_LABEL, indent=indent)
    rows = _held(gate.numbers)
    for line in aligned(rows, [False, True, False]) if rows else []:
        sheet.line_as_is(line, indent=indent + _LABEL)
    if gate.numbers.get("offset") and gate.numbers.get("loss") is not None:
        text = f"loss: {_number(gate.numbers['loss'])} as measured, less what memory is worth"
        text += f" ({_number(gate.numbers['offset'])})"
        sheet.line(text, indent=indent + _LABEL)


def _held(numbers: Mapping[str, Any]) -> list[list[str]]:
    """Return name, value and bounds of what a proof measured, the bounds in words."""
    rows = []
    for name, value in numbers.items():
        if name in ("loss", "offset", "density") or name.startswith("original_"):
            continue
        if any(name.endswith(ending) for ending, _ in _BOUNDS):
            continue
        base = "loss" if name == "loss_compared" else name
        bounds = [
            _bound(words, value, numbers[base + ending])
            for ending, words in _BOUNDS
            if base + ending in numbers
        ]
        if name == "density_with" and numbers.get("density") is not None:
            bounds.append(_bound("above", value, numbers["density"]) + ", as it is without it")
        text = ", ".join(bounds)
        original = numbers.get(f"original_{base}")
        if original is not None:
            text += f"; it was {_number(original)}"
        label = {"density_with": "density", "nearest": "nearest other"}.get(name, base)
        rows.append([label.replace("_", " "), _number(value), text])
    return rows


def _bound(words: str, value: Any, bound: Any) -> str:
    """Return a bound in words, with a mark where the value misses it."""
    text = f"{words} {_number(bound)}"
    if not isinstance(value, int | float) or not isinstance(bound, int | float):
        return text
    held = {"at least": value >= bound, "at most": value <= bound, "above": value > bound}
    return text if held[words] else f"{text} (missed)"


def _figures(numbers: Mapping[str, Any]) -> str:
    """Return what a check measured, a band of bounds last."""
    parts = []
    for name, value in numbers.items():
        if name in ("low", "high") or value in ([], None, ""):
            continue
        shown = _items(value) if isinstance(value, list) else _number(value)
        parts.append(f"{clean(name).replace('_', ' ')} {shown}")
    low, high = numbers.get("low"), numbers.get("high")
    if low is not None and high is not None:
        parts.append(f"allowed {_number(low)} to {_number(high)}")
    elif low is not None or high is not None:
        bound = f"at least {_number(low)}" if low is not None else f"at most {_number(high)}"
        parts.append(bound)
    return ", ".join(parts)


def _items(values: Sequence[Any]) -> str:
    shown = ", ".join(clean(value) for value in values[:_MOST_ITEMS])
    return shown + (f" and {len(values) - _MOST_ITEMS} more" if len(values) > _MOST_ITEMS else "")


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else clean(value)


def _named(attempt: Attempt) -> bool:
    """Return whether the gates already say why the attempt ended as it did."""
    return any(not gate.passed for gate in attempt.gates)
