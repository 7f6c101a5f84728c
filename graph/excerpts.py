"""Beginnings of prompts and answers: a diagnosis is read without its data set at hand."""

from collections.abc import Iterable
from typing import Any

from ..core.records import Axis, Sample

CHARACTERS = 160
WORST = 5


def beginning(text: str) -> str:
    """Return the first 160 characters of a text on one line."""
    return " ".join(text[: 10 * CHARACTERS].split())[:CHARACTERS]


def with_excerpts(document: dict[str, Any], samples: Iterable[Sample]) -> dict[str, Any]:
    """Return a diagnosis with `worst`, and with the prompt of every cluster's medoid.

    `worst` holds the up to 5 worst flags of each axis, the worst first, with `source`, `prompt` and
    `answer` of their samples.

    Args:
        document: of `diagnosis.json`, with its `flags` and `clusters`.
        samples: of the data set, streamed once.
    """
    flags = [flag for axis in Axis for flag in _worst(document["flags"], axis)]
    clusters = document["clusters"]
    medoids = [one["medoid"] for one in clusters["clusters"]] if clusters else []
    names = {*medoids, *(flag["id"] for flag in flags)}
    found = {sample.id: sample for sample in samples if sample.id in names}
    if clusters:
        shown = [
            {**one, "prompt": beginning(found[one["medoid"]].prompt)}
            for one in clusters["clusters"]
        ]
        clusters = {**clusters, "clusters": shown}
    worst = [_row(flag, found[flag["id"]]) for flag in flags]
    return {**document, "clusters": clusters, "worst": worst}


def _worst(flags: Iterable[dict[str, Any]], axis: Axis) -> list[dict[str, Any]]:
    of_axis = sorted(
        (flag for flag in flags if flag["axis"] == axis),
        key=lambda flag: (flag["score"], flag["id"]),
        # Hard answers score high; lonely prompts and broken answers score low.
        reverse=axis is Axis.COMPLEXITY,
    )
    return of_axis[:WORST]


def _row(flag: dict[str, Any], sample: Sample) -> dict[str, Any]:
    return {
        **flag,
        "source": sample.source,
        "prompt": beginning(sample.prompt),
        "answer": beginning(sample.answer),
    }
