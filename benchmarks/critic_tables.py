"""The tables of the gates' benchmark, for the terminal and for `docs/results.md`."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import Table, table

GATES = ("all checks", "critic", "proof", "chain")
TITLES = {
    "groups": "Accepted, with the share's 95 % interval (of `sound` all should be, of `bad` none)",
    "checks": "Accepted by each check that refuses any",
    "bounds": "Accepted by the similarity check with other lower bounds",
    "kinds": "Bad proposals accepted, by what is wrong with them",
    "reasons": "Why the proof refuses",
}


def report(document: Mapping[str, Any]) -> str:
    """Return the tables as text."""
    proof = "" if document["proof"] else "; no --run: nothing was proved"
    blocks = [f"critic {document['model']}, seed {document['seed']}{proof}"]
    for name, (headers, rows) in critic_tables(document).items():
        if rows:
            blocks.append(f"{TITLES[name]}\n{table(rows, headers)}")
    without = sum(one["critic_without_answer"] for one in document["groups"])
    if without:
        blocks.append(f"{without} times the critic gave no usable answer: counted as refused")
    return "\n\n".join(blocks)


def critic_tables(document: Mapping[str, Any]) -> dict[str, Table]:
    """Return every table by its name; gates that were asked nothing have no column."""
    groups, kinds = document["groups"], document["kinds"]
    asked = [gate for gate in GATES if any(accepted(one["gates"].get(gate)) for one in groups)]
    checks = dict.fromkeys(
        name
        for one in groups
        for name, found in one.get("checks", {}).items()
        if found["accepted"] < found["asked"]
    )
    banded = [(f"{one['data']}, {one['side']}", one.get("bounds")) for one in groups]
    banded += [(f"{one['data']}, {one['kind']}", one.get("bounds")) for one in kinds]
    banded = [(name, bounds) for name, bounds in banded if bounds]
    lows = list(banded[0][1]) if banded else []
    return {
        "groups": (
            ["data", "side", *asked],
            [[one["data"], one["side"], *_cells(one["gates"], asked)] for one in groups],
        ),
        "checks": (
            ["check", *(f"{one['data']}, {one['side']}" for one in groups)],
            [[name, *(accepted(one["checks"].get(name)) for one in groups)] for name in checks],
        ),
        "bounds": (
            ["lower bound", *(name for name, _ in banded)],
            [[low, *(accepted(bounds[low]) for _, bounds in banded)] for low in lows],
        ),
        "kinds": (
            ["data", "what is wrong", *asked],
            [[one["data"], one["kind"], *_cells(one["gates"], asked)] for one in kinds],
        ),
        "reasons": (
            ["data", "side", "the proof refuses because", "times"],
            [
                [one["data"], one["side"], reason, count]
                for one in groups
                for reason, count in one.get("proof_reasons", {}).items()
            ],
        ),
    }


def accepted(found: Mapping[str, Any] | None) -> str | None:
    """Return how many were accepted, with the interval of the share; None where none was asked."""
    if not found or not found["asked"]:
        return None
    return f"{found['accepted']} of {found['asked']} ({found['low']:.2f}–{found['high']:.2f})"


def _cells(gates: Mapping[str, Any], asked: Sequence[str]) -> list[str | None]:
    return [accepted(gates.get(gate)) for gate in asked]
