"""The figures and tables of `detection.py`, from the lines of its `signals.jsonl`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.damage import BUILT, SEEDED
from benchmarks.machine import table
from benchmarks.ranking import Area, areas, mean_area
from middo.agents.signal_table import floats

AXES = ("complexity", "diversity", "quality")
OTHERS = ("answer", "prompt", "random", "length", "form", "base loss", "ratings", "ifd")
JUDGES = (*AXES, *OTHERS)
SHARES = (0.01, 0.02, 0.04, 0.08, 0.16)
"""Of the rows, ranked worst by a judge: what `signals.share` is chosen from."""


def judged(lines: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Return the areas of every judge and kind, and what was flagged, from the rows' lines."""
    clean, by_kind, fits = _grouped(lines)
    found = {judge: of_judge(lines, judge, seed) for judge in JUDGES}
    return {
        "counts": {
            "clean": len(clean),
            **{kind: len(rows) for kind, rows in by_kind.items()},
        },
        "held_against": {kind: int(fits[kind].sum()) for kind in by_kind},
        "not_scored": {
            judge: sum(line["scores"][judge] is None for line in lines) for judge in JUDGES
        },
        **{
            figure: {judge: of[figure] for judge, of in found.items()}
            for figure in ("areas", "means", "worst")
        },
        "flagged": {
            name: {
                **{axis: sum(axis in line["flags"] for line in rows) for axis in AXES},
                "any": sum(bool(line["flags"]) for line in rows),
                "rows": len(rows),
            }
            for name, rows in {**by_kind, "clean": clean}.items()
        },
    }


def of_judge(lines: Sequence[Mapping[str, Any]], judge: str, seed: int) -> dict[str, Any]:
    """Return a judge's areas by kind, their means over kinds built and not, and its worst rows."""
    clean, by_kind, fits = _grouped(lines)
    scores = {
        kind: floats([line["scores"][judge] for line in rows]) for kind, rows in by_kind.items()
    }
    sound = floats([line["scores"][judge] for line in clean])
    found, drawn = areas(sound, scores, fits, seed)
    groups = {
        "built": [kind for kind in by_kind if kind in BUILT],
        "not built": [kind for kind in by_kind if kind not in BUILT],
    }
    means = {name: mean_area(kinds, found, drawn) for name, kinds in groups.items()}
    return {
        "areas": {kind: area.as_dict() for kind, area in found.items()},
        "means": {name: None if mean is None else mean.as_dict() for name, mean in means.items()},
        "worst": worst(lines, judge),
    }


def _grouped(
    lines: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], dict[str, list[Mapping[str, Any]]], dict[str, Any]]:
    """Return the clean lines, those of each kind, and per kind which clean ones it could meet."""
    clean = [line for line in lines if not line["kind"]]
    by_kind = {kind: [line for line in lines if line["kind"] == kind] for kind in SEEDED}
    fits = {kind: np.array([kind in line["fits"] for line in clean]) for kind in by_kind}
    by_kind = {kind: rows for kind, rows in by_kind.items() if rows and fits[kind].any()}
    return clean, by_kind, {kind: fits[kind] for kind in by_kind}


def worst(lines: Sequence[Mapping[str, Any]], judge: str) -> dict[str, list[int]]:
    """Return share -> [damaged rows, all rows] among the rows that a judge ranks worst."""
    scores = floats([line["scores"][judge] for line in lines])
    order = np.argsort(-scores, kind="stable")
    damaged = np.array([bool(line["kind"]) for line in lines])[order]
    counts = {share: max(round(share * len(lines)), 1) for share in SHARES}
    return {str(share): [int(damaged[:n].sum()), n] for share, n in counts.items()}


def report(document: Mapping[str, Any]) -> str:
    """Return the tables as text."""
    kinds = [kind for kind in document["counts"] if kind != "clean"]
    counts = document["counts"]
    blocks = [
        f"{counts['clean']} clean rows, damaged: "
        + ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
        + f"; {document['model']}, seed {document['seed']}"
    ]
    groups = [
        ("built", "Kinds in whose likeness the calibration builds controls"),
        ("not built", "Kinds that the calibration never builds"),
    ]
    for name, title in groups:
        inside = [kind for kind in kinds if (kind in BUILT) == (name == "built")]
        if inside:
            rows = [
                [judge, *(_told(document["areas"][judge][kind]) for kind in inside),
                 _told(document["means"][judge][name])]
                for judge in JUDGES
            ]  # fmt: skip
            heading = f"{title}: area under the ROC curve with 95 % interval"
            blocks.append(f"{heading}\n{table(rows, ['judge', *inside, 'mean'])}")
    at_chance = {
        axis: [kind for kind in kinds if document["areas"][axis][kind]["low"] <= 0.5]
        for axis in AXES
    }
    blocks.append(
        "Kinds on which an axis does not beat chance (interval not above 0.5): "
        + "; ".join(f"{axis}: {', '.join(found) or 'none'}" for axis, found in at_chance.items())
    )
    flagged = [
        [name, one["rows"], *(_share(one[axis], one["rows"]) for axis in (*AXES, "any"))]
        for name, one in document["flagged"].items()
    ]
    blocks.append("Flagged rows\n" + table(flagged, ["rows that are", "rows", *AXES, "any axis"]))
    ranked = [
        [judge, *(_share(*document["worst"][judge][str(share)]) for share in SHARES)]
        for judge in JUDGES
    ]
    total = sum(counts.values())
    blocks.append(
        f"Damaged rows among those ranked worst ({(total - counts['clean']) / total:.0%} of all are"
        " damaged)\n" + table(ranked, ["judge", *(f"worst {share:.0%}" for share in SHARES)])
    )
    missing = {judge: count for judge, count in document["not_scored"].items() if count}
    if missing:
        told = ", ".join(f"{judge} {count}" for judge, count in missing.items())
        blocks.append(f"Rows that a judge could not score (ranked best): {told}")
    return "\n\n".join(blocks)


def _told(area: Mapping[str, float] | None) -> str | None:
    return None if area is None else str(Area(**area))


def _share(count: int, rows: int) -> str:
    return f"{count} ({count / rows:.0%})"
