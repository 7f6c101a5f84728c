"""What a run of `repair.py` did to seeded rows, and what that is worth on the hold-out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from middo.checks.words import words
from middo.core.records import Sample
from middo.curation.pooling import Difference, Held, difference
from middo.stores.runs import read_json
from middo.stores.samples import Version

ARMS = ("none", "random", "middo", "all clean")
PAIRS = (
    *(("random", "none"), ("middo", "none"), ("all clean", "none")),
    *(("middo", "random"), ("middo", "all clean")),
)
"""Arms that are compared."""
DECIMALS = 3

Losses = dict[str, tuple[float, int]]
"""Hold-out row -> loss in nats per token, answer tokens."""


def place_of(sample: Sample) -> int:
    """Return the index of the line of `rows.jsonl` that a sample comes from."""
    return int(sample.source.rpartition(":")[2]) - 1


def mended(
    rows: Sequence[Mapping[str, Any]], first: Iterable[Sample], last: Iterable[Sample]
) -> dict[str, Any]:
    """Return what became of damaged and of clean rows between two versions.

    `repaired`: word for word the original again. `nearer`: of the damaged rows that were replaced,
    those whose words have more in common with the original's than before (F1 of the words of prompt
    and answer), which is what can be said of a teacher that writes its own texts.
    """
    before = {place_of(sample): sample for sample in first}
    after = {place_of(sample): sample for sample in last if sample.origin != "added"}
    damaged: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    replaced, nearer, clean, harmed = 0, 0, 0, 0
    for place, old in before.items():
        row, new = rows[place], after[place]
        changed = _text(old).split() != _text(new).split()
        if not row["kind"]:
            clean += 1
            harmed += changed
            continue
        damaged[row["kind"]] += 1
        was = f"{row['was']['prompt']} {row['was']['answer']}"
        replaced += changed
        repaired[row["kind"]] += _text(new).split() == was.split()
        nearer += changed and common(_text(new), was) > common(_text(old), was)
    return {
        "damaged": damaged.total(),
        "repaired": repaired.total(),
        "replaced_damaged": replaced,
        "nearer": nearer,
        "clean": clean,
        "replaced_clean": harmed,
        "kinds": {kind: [repaired[kind], damaged[kind]] for kind in sorted(damaged)},
    }


def common(text: str, other: str) -> float:
    """Return the F1 of the words of two texts, case and punctuation aside, 0 to 1."""
    said, meant = Counter(words(text)), Counter(words(other))
    return 2 * (said & meant).total() / max(said.total() + meant.total(), 1)


def _text(sample: Sample) -> str:
    return f"{sample.prompt} {sample.answer}"


def sent(folder: Path, rows: Sequence[Mapping[str, Any]], rounds: int) -> dict[str, int]:
    """Return how many damaged and clean rows the rounds of a run sent to refinement, each once."""
    places: set[int] = set()
    for number in range(rounds):
        home = folder / "rounds" / str(number)
        if not (home / "diagnosis.json").is_file():
            continue
        document = read_json(home / "diagnosis.json")
        source = folder / "rounds" / str(document["source_round"]) / "dataset"
        flagged = Version(source).take(document["plan"]["selected"])
        places |= {place_of(sample) for sample in flagged.values()}
    damaged = sum(bool(rows[place]["kind"]) for place in places)
    return {"sent_damaged": damaged, "sent_clean": len(places) - damaged}


def losses(folder: Path, round: int) -> Losses:
    """Return the hold-out losses of a round, all rows."""
    document = read_json(folder / "rounds" / str(round) / "evaluation.json")
    return {row["id"]: (row["loss"], row["tokens"]) for row in document["tuned"]["rows"]}


def pooled(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of every arm over all seeds, and the differences between arms.

    Counts are summed. Hold-out losses are compared as `middo compare` does: paired by row and
    seed, with an interval that holds the variance over rows and, of several seeds, over seeds;
    and in each seed by itself, over rows alone.
    A share of the gap between `none` and `all clean` is told of the seeds in which the gap itself
    is measurable, and over all of them where it is over all.

    Raises:
        ValueError: no hold-out row has a loss in all arms and seeds.
    """
    rows = _rows_of_all(results)
    held = {arm: [_held(one["losses"][arm], rows) for one in results] for arm in ARMS}
    means = {
        arm: np.array([np.average(one.losses, weights=one.tokens) for one in of_seeds])
        for arm, of_seeds in held.items()
    }
    gaps = list(zip(held["all clean"], held["none"], strict=True))
    measurable = [_apart([gap]).high < 0 for gap in gaps], _apart(gaps).high < 0
    return {
        "seeds": [one["seed"] for one in results],
        "arms": {
            arm: {
                **_summed([one["counts"].get(arm, {}) for one in results]),
                "loss": float(means[arm].mean()),
                "gap_closed": None if arm == "none" else _closed(means, arm, *measurable),
            }
            for arm in ARMS
        },
        "differences": [
            {
                **{"arm": arm, "against": other},
                "difference": _apart(pairs).as_dict(),
                "by_seed": [_apart([pair]).as_dict() for pair in pairs],
            }
            for arm, other in PAIRS
            for pairs in [list(zip(held[arm], held[other], strict=True))]
        ],
    }


def _rows_of_all(results: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the hold-out rows that every arm has a loss for, in every seed."""
    every = [one["losses"][arm] for one in results for arm in ARMS]
    first = every[0]
    rows = tuple(
        name
        for name, (_, tokens) in first.items()
        if tokens > 0 and all(name in one and np.isfinite(one[name][0] or np.nan) for one in every)
    )
    if not rows:
        raise ValueError("no hold-out row has a loss in all arms and seeds")
    return rows


def _held(losses: Mapping[str, Sequence[Any]], rows: Sequence[str]) -> Held:
    return Held(
        tuple(rows),
        np.array([losses[name][0] for name in rows], dtype=np.float64),
        np.array([losses[name][1] for name in rows], dtype=np.int64),
    )


def _apart(pairs: Sequence[tuple[Held, Held]]) -> Difference:
    found = difference(pairs)
    assert found is not None  # all have the same rows
    return found


def _closed(
    means: Mapping[str, NDArray[np.float64]], arm: str, seeds: Sequence[bool], all_seeds: bool
) -> dict[str, Any]:
    """Return which share of the gap between `none` and `all clean` an arm closes."""
    won, gap = means["none"] - means[arm], means["none"] - means["all clean"]
    return {
        "share": round(float(won.sum() / gap.sum()), DECIMALS) if all_seeds else None,
        "each": [
            round(float(mine / whole), DECIMALS) if known else None
            for mine, whole, known in zip(won, gap, seeds, strict=True)
        ],
    }


def _summed(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the counts of all seeds; of `kinds` those repaired and those damaged."""
    kinds = sorted({kind for one in counts for kind in one.get("kinds", {})})
    return {
        **{key: sum(one[key] for one in counts) for key in counts[0] if key != "kinds"},
        "kinds": {
            kind: [sum(one["kinds"].get(kind, [0, 0])[i] for one in counts) for i in (0, 1)]
            for kind in kinds
        },
    }
