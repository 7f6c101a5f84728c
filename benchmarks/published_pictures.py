"""The pictures of `docs/results.md`, from the documents that the benchmarks wrote."""

from collections.abc import Iterator, Mapping
from typing import Any

from middo.viewer.charts.forest import Apart, difference_unit, forest
from middo.viewer.charts.marks import Series

Document = Mapping[str, Any]
JUDGES = {
    "quality": Series("first", "circle", "quality"),
    "complexity": Series("second", "diamond", "complexity"),
    "ratings": Series("third", "square", "the model's own ratings"),
}
SIDES = {
    "sound": Series("first", "circle", "sound proposals"),
    "bad": Series("second", "diamond", "bad proposals"),
}

NO_LLM = "no LLM"
CRITICS = {"none": NO_LLM}
NOT_DRAWN = frozenset({"gates-bound", "similarity"})
"""Documents of gates that Middo does not have, and of one check alone."""


def pictures(documents: Mapping[str, Document]) -> dict[str, str]:
    """Return every picture as SVG by its name.

    Detection is drawn for its first seed. Gates are drawn together where their documents' names,
    `GROUP-CRITIC`, begin alike.
    """
    detections = [one for one in documents.values() if one["benchmark"] == "detection"]
    found: dict[str, str] = {}
    if detections:
        found["detection"] = _detection(min(detections, key=lambda one: int(one["seed"])))
    critics: dict[str, dict[str, Document]] = {}
    for name, document in documents.items():
        if document["benchmark"] == "repair":
            found[name] = _repair(document)
        if document["benchmark"] == "critic" and name not in NOT_DRAWN:
            group, _, critic = name.partition("-")
            critics.setdefault(group, {})[CRITICS.get(critic, critic)] = document
    return found | {group: _gates(of_critic) for group, of_critic in critics.items()}


def _detection(document: Document) -> str:
    areas = [
        Apart(kind, judge, one["auc"], one["low"], one["high"], "")
        for kind in document["counts"]
        if kind != "clean"
        for judge in JUDGES
        for one in [document["areas"][judge][kind]]
    ]
    return str(
        forest(
            f"Damage ranked above clean rows, seed {document['seed']}",
            areas,
            "area under the ROC curve (0.5 is chance)",
            series=JUDGES,
            against=0.5,
            what="Areas under the ROC curve with 95% intervals, above 0.5 is better",
            figures=_share,
        )
    )


def _gates(documents: Mapping[str, Document]) -> str:
    found = [
        (group["data"], critic, group)
        for critic, document in documents.items()
        for group in document["groups"]
    ]
    shares = [
        Apart(f"{data}, {critic}", *one)
        for data, critic, group in sorted(found, key=lambda one: (one[0], one[1] != NO_LLM))
        for one in _chain(group)
    ]
    return str(
        forest(
            "Proposals that the whole chain accepts",
            shares,
            "share accepted",
            series=SIDES,
            against=None,
            what="Shares accepted with 95% intervals; more is better of sound ones, less of bad",
            figures=_share,
        )
    )  # fmt: skip


def _chain(group: Mapping[str, Any]) -> Iterator[tuple[str, float, float, float, str]]:
    one = group["gates"]["chain"]
    if one["asked"]:
        yield group["side"], one["accepted"] / one["asked"], one["low"], one["high"], ""


def _repair(document: Document) -> str:
    apart = [
        Apart(
            f"{one['arm']} \N{MINUS SIGN} {one['against']}",
            *("last", found["mean"], found["low"], found["high"], found["says"]),
        )
        for one in document["differences"]
        for found in [one["difference"]]
    ]
    seeds = len(document["seeds"])
    return str(
        forest(
            f"Hold-out loss after repair, {seeds} {'seed' if seeds == 1 else 'seeds'}",
            apart,
            difference_unit(seeds),
        )
    )


def _share(one: Apart) -> str:
    return f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]"
