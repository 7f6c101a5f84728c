"""The tables of `docs/results.md` in Markdown, from the documents that the benchmarks wrote."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.critic_tables import critic_tables
from benchmarks.detection_tables import JUDGES, SHARES
from benchmarks.machine import Table
from benchmarks.repair_figures import pooled
from benchmarks.repair_tables import repair_tables

Document = Mapping[str, Any]
PER_SEED = frozenset({"machine", "seeds", "arms", "differences", "results"})
"""What differs between the documents of a repair's seeds."""
OTHER_AXES = ("complexity", "diversity")
COUNTED = {
    "complexity": "complexity",
    "diversity": "diversity",
    "quality": "quality",
    "any": "any axis",
}


def tables(documents: Mapping[str, Document]) -> dict[str, str]:
    """Return every table by its name, `WHAT/TABLE`.

    Args:
        documents: name of the file, without its suffix, -> what a benchmark wrote into it.
    """
    detections = sorted(
        (one for one in documents.values() if one["benchmark"] == "detection"),
        key=lambda one: int(one["seed"]),
    )
    found = _detection(detections) if detections else {}
    for name, document in documents.items():
        made = _MAKERS.get(document["benchmark"])
        if made is not None:
            found |= {f"{name}/{table}": markdown(*one) for table, one in made(document).items()}
    return found


def together(documents: Mapping[str, Document]) -> dict[str, Document]:
    """Return the documents with the seeds of each repair pooled, those of `NAME-SEED` as `NAME`.

    Raises:
        ValueError: seeds of one name were measured otherwise than each other, or a seed twice.
    """
    found: dict[str, Document] = {}
    seeds: dict[str, list[Document]] = {}
    for name, document in documents.items():
        stem, _, seed = name.rpartition("-")
        if document["benchmark"] == "repair":
            seeds.setdefault(stem if seed.isdecimal() else name, []).append(document)
        else:
            found[name] = document
    for stem, parts in seeds.items():
        results = sorted((one for part in parts for one in part["results"]), key=_seed)
        seen = [_seed(one) for one in results]
        if len(set(seen)) < len(seen):
            raise ValueError(f"{stem}: a seed is there twice; take one of its documents away")
        about = {key: part[key] for part in parts for key in part.keys() - PER_SEED}
        other = sorted({key for part in parts for key in about if part.get(key) != about[key]})
        if len({frozenset(arm) for one in results for arm in one["losses"].values()}) > 1:
            other.append("hold-out rows")
        if other:
            raise ValueError(f"{stem}: its seeds differ in {', '.join(other)}; measure them alike")
        found[stem] = {**about, **pooled(results)}
    return found


def _seed(result: Mapping[str, Any]) -> int:
    return int(result["seed"])


def markdown(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown; None is an empty cell."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(
        f"| {' | '.join('' if cell is None else str(cell) for cell in line)} |" for line in lines
    )


def area(found: Mapping[str, float]) -> str:
    """Return an area under the ROC curve with its interval."""
    return f"{found['auc']:.2f} ({found['low']:.2f}–{found['high']:.2f})"


def _detection(documents: Sequence[Document]) -> dict[str, str]:
    first = documents[0]
    kinds = [kind for kind in first["counts"] if kind != "clean"]
    seeds = [f"seed {one['seed']}" for one in documents]
    means = ("built", "not built")
    areas = [one["areas"] for one in documents]
    quality = [
        [kind, *(area(one["areas"]["quality"][kind]) for one in documents)] for kind in kinds
    ]
    quality += [
        [f"mean, {name}", *(area(one["means"]["quality"][name]) for one in documents)]
        for name in means
    ]
    worst = [
        [judge, *(_damaged(documents, judge, str(share)) for share in SHARES)] for judge in JUDGES
    ]
    return {
        "detection/quality": markdown(["kind", *seeds], quality),
        "detection/judges": markdown(
            ["judge", *kinds],
            (
                [judge, *(f"{first['areas'][judge][kind]['auc']:.2f}" for kind in kinds)]
                for judge in JUDGES
            ),
        ),
        "detection/means": markdown(
            ["judge", *seeds],
            (
                [judge, *(area(one["means"][judge]["not built"]) for one in documents)]
                for judge in JUDGES
            ),
        ),
        "detection/disfluent": markdown(
            ["judge", *seeds],
            (
                [judge, *(area(one["areas"][judge]["disfluent"]) for one in documents)]
                for judge in ("complexity", "answer", "prompt", "quality")
            ),
        ),
        "detection/worst": markdown(["judge", *(f"worst {s:.0%}" for s in SHARES)], worst),
        "detection/flagged": markdown(
            ["rows that are", "rows", *COUNTED.values()],
            [
                *([name, *_flagged(documents, name)] for name in (*kinds, "clean")),
                ["damaged, of those flagged", None, *_precision(documents, kinds)],
            ],
        ),
        "detection/axes": markdown(
            ["kind", *(f"{axis}, {seed}" for axis in OTHER_AXES for seed in seeds)],
            (
                [kind, *(area(of[axis][kind]) for axis in OTHER_AXES for of in areas)]
                for kind in kinds
            ),
        ),
    }


def _damaged(documents: Sequence[Document], judge: str, share: str) -> str:
    """Return the share of damaged rows among the worst ones, all seeds summed."""
    counts = [one["worst"][judge][share] for one in documents]
    return f"{sum(bad for bad, _ in counts) / sum(rows for _, rows in counts):.0%}"


def _flagged(documents: Sequence[Document], name: str) -> list[Any]:
    """Return rows, and the share flagged on each axis, all seeds summed."""
    found = [one["flagged"][name] for one in documents]
    rows = sum(one["rows"] for one in found)
    return [rows, *(f"{sum(one[axis] for one in found) / rows:.0%}" for axis in COUNTED)]


def _precision(documents: Sequence[Document], kinds: Sequence[str]) -> Iterator[str]:
    """Yield per axis the share of damaged rows among those flagged, all seeds summed."""
    for axis in COUNTED:
        bad = sum(one["flagged"][kind][axis] for one in documents for kind in kinds)
        sound = sum(one["flagged"]["clean"][axis] for one in documents)
        yield f"{bad / (bad + sound):.0%}"


def _remedies(document: Document) -> dict[str, Table]:
    variants = document["quality"]
    some = variants["as it is"]
    return {
        "quality": (
            ["quality", *some["areas"], "mean, not built",
             f"damaged among the worst {some['worst']['0.08'][1]}"],
            [
                [name, *(f"{one['auc']:.2f}" for one in found["areas"].values()),
                 area(found["means"]["not built"]), found["worst"]["0.08"][0]]
                for name, found in variants.items()
            ],
        ),
        "prompts": (
            ["reading of the prompt", "disfluent against clean"],
            [[name, area(found)] for name, found in document["prompts"].items()],
        ),
    }  # fmt: skip


_MAKERS: dict[str, Callable[[Document], dict[str, Table]]] = {
    "remedies": _remedies,
    "critic": critic_tables,
    "repair": repair_tables,
}
