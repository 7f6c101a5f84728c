"""The picture of a diagnosis: what was looked at, each axis, clusters, calibration, worst rows.

It is drawn from `diagnosis.json` and `signals.parquet` alone, as plain text for 80 columns.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.amounts import several
from ..inspection.axis import VIEWS, View
from ..inspection.calibrated import Kind, kinds, ratings
from ..inspection.figures import DASH, aligned, count, percent
from .axis import INDENT, WIDTH, Rows, axis_section, times
from .output import clean, labelled, shortened, wrapped

Document = Mapping[str, Any]
COLUMNS = (*(view.column for view in VIEWS), "answer_tokens", "unscored")
"""What the picture reads of `signals.parquet`."""
MOST_CLUSTERS = 10
_LABEL = 12
_PROMPT_CELLS = 45


def picture(document: Document, rows: Rows, folder: Path) -> str:
    """Return a diagnosis as text for people.

    Args:
        document: of `diagnosis.json`.
        rows: of `signals.parquet`.
        folder: that holds both.
    """
    sections = [
        _head(document, rows, folder),
        *(axis_section(view, document, rows) for view in VIEWS),
        _clusters(document["clusters"]),
        _calibration(document["calibration"]),
        _cautions(document["cautions"]),
        _worst(document["worst"], document["axes"]),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def _head(document: Document, rows: Rows, folder: Path) -> list[str]:
    reasons = Counter(row["unscored"] for row in rows if row["unscored"])
    scored = f"{count(len(rows) - reasons.total())} scored"
    if reasons:
        scored += f", {count(reasons.total())} not ({times(reasons)})"
    flags = ", ".join(
        f"{count(document['flagged'][view.name])} {view.name}"
        for view in VIEWS
        if document["axes"][view.name]["on"]
    )
    flagged = several(document["flagged"]["samples"], "row")
    return [
        *labelled("Data", _data(document), _LABEL),
        *labelled("Rows", f"{count(document['rows'])} looked at: {scored}", _LABEL),
        *labelled("Model", document["model"], _LABEL),
        *labelled(
            "Adapter", document["adapter"] or "none: the base model alone was measured", _LABEL
        ),
        *labelled("Flagged", f"{flagged}: {flags or 'every axis is off'}", _LABEL),
        *labelled(
            "Files", f"{folder}: diagnosis.json, signals.parquet, embeddings.parquet", _LABEL
        ),
    ]


def _data(document: Document) -> str:
    parts = [f"{document['data']}: {several(document['imported'], 'row')}"]
    if document["quarantined"]:
        parts.append(f"{count(document['quarantined'])} quarantined (quarantine.jsonl)")
    if document["not_selected"]:
        parts.append(f"{count(document['not_selected'])} left out by data.limit")
    return ", ".join(parts)


def _clusters(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["Clusters: none, too few rows have an embedding"]
    clusters = found["clusters"]
    total = sum(one["size"] for one in clusters) + found["noise"]
    shown = clusters[:MOST_CLUSTERS]
    table = [["cluster", "rows", "share", "density", "its most typical prompt"]]
    table += [
        [
            str(one["label"]),
            count(one["size"]),
            percent(one["size"] / total),
            DASH if one["density"] is None else f"{one['density']:.4f}",
            shortened(one["prompt"], _PROMPT_CELLS),
        ]
        for one in shown
    ]
    lines = aligned(table, [True, True, True, True, False])
    rest = clusters[MOST_CLUSTERS:]
    if rest:
        rows = sum(one["size"] for one in rest)
        lines.append(f"… and {several(len(rest), 'smaller cluster')} with {several(rows, 'row')}")
    if found["noise"]:
        share = percent(found["noise"] / total)
        lines.append(f"{several(found['noise'], 'row')} ({share}) in no cluster")
    title = f"Clusters of similar prompts ({clean(found['method'])})"
    return [title, "", *(INDENT + line for line in lines)]


def _calibration(found: Mapping[str, Any]) -> list[str]:
    title = "Calibration of quality"
    if not found["kinds"]:
        return wrapped(f"{title}: none, {clean(found['reason'])}", hanging=INDENT)
    lines = wrapped(
        f"{several(found['rows'], 'true answer')} of this data set were broken on purpose in each "
        "of these ways. The area under the ROC curve says how well the broken ones are told from "
        "the true ones: 0.5 is guessing, 1 is perfect. A way counts where the interval lies above "
        "0.6."
    )
    table = [["broken by", "answers", "area", "95% interval", "counts", "best signal, alone"]]
    table += [_kind(kind) for kind in kinds(found)]
    lines += ["", *aligned(table, [False, True, True, False, False, False]), ""]
    used = ", ".join(found["signals"]) if found["on"] else "none, since no way counts"
    lines += wrapped(f"Signals used: {used}", hanging=INDENT)
    if told := ratings(found["ratings"]):
        lines += wrapped(told, hanging=INDENT)
    return [title, *(INDENT + line if line else "" for line in lines)]


def _kind(kind: Kind) -> list[str]:
    return [
        clean(kind.name),
        count(kind.rows),
        f"{kind.auc:.3f}",
        f"{kind.low:.3f} to {kind.high:.3f}",
        "yes" if kind.counts else "no",
        f"{clean(kind.best)} {kind.best_auc:.2f}",
    ]


def _cautions(cautions: Sequence[str]) -> list[str]:
    if not cautions:
        return []
    lines = [line for text in cautions for line in wrapped(f"- {clean(text)}", hanging="  ")]
    return ["Cautions", *(INDENT + line for line in lines)]


def _worst(worst: Rows, axes: Document) -> list[str]:
    """Return the worst rows of each axis; a reason that they share is said once."""
    lines: list[str] = []
    for view in VIEWS:
        found = [row for row in worst if row["axis"] == view.name]
        if not found:
            continue
        reasons = {row["reason"] for row in found}
        title = f"{_title(view, found, axes[view.name]['flagged'])}"
        if len(reasons) == 1:
            title += f": {found[0]['reason']}"
        lines += ["", *(INDENT + line for line in wrapped(title, hanging=INDENT))]
        scores = [f"{row['score']:.4f}" for row in found]
        left = max(map(len, scores))
        for score, row in zip(scores, found, strict=True):
            start = f"{INDENT}{score:>{left}}  "
            gap, room = " " * len(start), WIDTH - len(start)
            lines.append(start + shortened(row["source"], room))
            if len(reasons) > 1:
                lines.append(gap + shortened(row["reason"], room))
            for part in ("prompt", "answer"):
                text = shortened(row[part], room - len(part) - 2)
                lines.append(f"{gap}{part}  {text}")
    return ["Worst rows of each axis", *lines] if lines else []


def _title(view: View, found: Rows, total: int) -> str:
    side = "above" if view.flags_high else "below"
    shown = f"the worst {len(found)} of {count(total)}" if total > len(found) else count(total)
    return f"{view.name}, {shown} flagged, score {side} {found[0]['threshold']:.4f}"
