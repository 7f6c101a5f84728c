"""What became of a sample, in one line."""

from collections.abc import Mapping, Sequence
from typing import Any

from .life import RoundOfLife
from .lines import Line


def ending(
    sample_id: str, line: Line, rounds: Sequence[RoundOfLife], document: Mapping[str, Any]
) -> str:
    """Return one line: what the rounds made of the line, and what the export holds of it."""
    told = [_step(one) for one in rounds if one.fate is not None]
    waiting = [one for one in rounds if one.fate is None and _flagged(one)]
    if waiting:
        told.append(f"flagged in round {waiting[-1].round}, not settled yet")
    diagnosed = [one for one in rounds if one.readings or one.unscored]
    if not told:
        told.append(_calm(diagnosed))
    if line.beside is not None:
        told.insert(0, f"added in round {min(line.at) - 1} beside {line.beside}")
    return "; ".join([*told, *_now(sample_id, line, document)])


def _flagged(one: RoundOfLife) -> bool:
    return any(reading.flagged for reading in one.readings)


def _step(one: RoundOfLife) -> str:
    axis = f" for {one.axis}" if one.axis else ""
    where = f"round {one.round}"
    if one.fate == "accepted":
        last = one.attempts[-1] if one.attempts else None
        by = ", edited by a person" if one.words and one.words[-1].decision == "edit" else ""
        if last is not None and last.adds:
            return f"inspired a new sample{axis} in {where}{by}"
        return f"rewritten{axis} in {where}{by}"
    if one.fate == "rejected" and one.words and one.words[-1].decision == "reject":
        return f"flagged{axis} in {where}, a person kept the original"
    if one.fate == "rejected":
        tried = len(one.attempts)
        which = {1: "its proposal was", 2: "both proposals were"}.get(
            tried, f"all {tried} proposals were"
        )
        return f"flagged{axis} in {where}, {which} refused"
    if one.fate == "failed":
        return f"flagged{axis} in {where}, no usable answer came"
    return f"flagged{axis} in {where}, put off: {one.reason}"


def _calm(diagnosed: Sequence[RoundOfLife]) -> str:
    if not diagnosed:
        return "not diagnosed yet"
    if all(one.unscored for one in diagnosed):
        return f"never scored: {diagnosed[-1].unscored}"
    times = len(diagnosed)
    return "never flagged" + (f" in {times} rounds" if times > 1 else "")


def _now(sample_id: str, line: Line, document: Mapping[str, Any]) -> list[str]:
    """Say what the export holds, or where the line stands while there is none."""
    gates = {entry["round"]: entry.get("gate") for entry in document.get("rounds") or []}
    best = document.get("best_round")
    first = line.at[min(line.at)]
    if best is None or not document.get("export"):
        last = max((k for k in line.at if gates.get(k) != "rolled_back"), default=min(line.at))
        return [f"{line.at[last]} stands in the data of round {last}"]
    held = line.at.get(int(best))
    where = f"the export is the data of round {best}"
    if held is None:
        return [f"{where}, which does not hold it"]
    if held != first:
        return [f"{where} and holds the rewritten {held}"]
    if any(name != first for name in line.at.values()):
        where += ", which came before that,"
    return [f"{where} and holds it as it was {'added' if line.beside else 'imported'}"]
