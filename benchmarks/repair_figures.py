"""What a run of `repair.py` did to seeded rows, and what that is worth on the hold-out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.counting import told
from benchmarks.machine import table
from middo.checks.words import words
from middo.core.records import Sample
from middo.curation.gate import compare, holdout_loss
from middo.stores.runs import read_json
from middo.stores.samples import Version

ARMS = ("none", "random", "middo", "all clean")
RESAMPLES = 2000

Floats = NDArray[np.float64]
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


def averaged(runs: Sequence[Losses]) -> Losses:
    """Return each row's mean loss over several seeds, for the rows that all of them scored."""
    common_rows = set.intersection(*(set(run) for run in runs))
    return {
        name: (float(np.mean([run[name][0] for run in runs])), runs[0][name][1])
        for name in sorted(common_rows)
    }


def against(arm: Losses, none: Losses, clean: Losses, seed: int) -> dict[str, Any]:
    """Return an arm's hold-out loss, its paired difference to `none`, and the gap it closes.

    The difference is the gate's: token-weighted, paired by row, a bootstrap over rows. The gap is
    that between `none` and `all clean`; its closed share has no meaning where the gap itself is
    not measurable, and is then None.
    """
    names = sorted(set(arm) & set(none) & set(clean))
    mine, theirs, best = (np.array([one[n][0] for n in names]) for one in (arm, none, clean))
    tokens = np.array([none[name][1] for name in names], dtype=np.int64)
    difference = compare(mine, theirs, tokens, seed=seed)
    gap = compare(theirs, best, tokens, seed=seed)
    return {
        "rows": len(names),
        "loss": holdout_loss(mine, tokens, seed=seed).mean,
        "difference": difference.as_dict(),
        "includes_zero": not difference.differs,
        "gap_closed": _closed(mine, theirs, best, tokens, seed) if gap.low > 0 else None,
    }


def _closed(
    mine: Floats, theirs: Floats, best: Floats, tokens: NDArray[np.int64], seed: int
) -> dict[str, float]:
    """Return (none − arm) / (none − all clean) with its 95 % interval, 3 decimals."""
    won, gap = (theirs - mine) * tokens, (theirs - best) * tokens
    drawn = np.random.default_rng([seed, 15]).integers(len(won), size=(RESAMPLES, len(won)))
    shares = won[drawn].sum(axis=1) / gap[drawn].sum(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    share = float(won.sum() / gap.sum())
    return {"share": round(share, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def pooled(results: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Return the figures of every arm over all seeds.

    Counts are summed. Losses are averaged over the seeds row by row before arms are compared, so
    that an interval speaks of the hold-out's rows; how much seeds differ stands in `per_seed`.
    """
    found: dict[str, Any] = {}
    runs = {
        arm: [{n: (v[0], v[1]) for n, v in one["losses"][arm].items()} for one in results]
        for arm in ARMS
    }
    means = {arm: averaged(of_seeds) for arm, of_seeds in runs.items()}
    for arm in ARMS:
        counts = [one["counts"].get(arm, {}) for one in results]
        summed = {key: sum(count[key] for count in counts) for key in counts[0] if key != "kinds"}
        kinds = {
            kind: [sum(count["kinds"].get(kind, [0, 0])[i] for count in counts) for i in (0, 1)]
            for kind in sorted({kind for count in counts for kind in count.get("kinds", {})})
        }
        found[arm] = {
            **summed,
            "kinds": kinds,
            **against(means[arm], means["none"], means["all clean"], seed),
            "per_seed": [
                against(runs[arm][i], runs["none"][i], runs["all clean"][i], seed)["difference"]
                for i in range(len(results))
            ],
        }
    return found


def report(document: Mapping[str, Any]) -> str:
    """Return the tables as text."""
    arms = document["arms"]
    some = arms["middo"]
    blocks = [
        f"{document['rows']} rows, {document['share']:.0%} damaged; {document['holdout']} clean"
        f" hold-out rows; {document['rounds']} refinements; seeds {document['seeds']};"
        f" {document['model']}\nteacher: {document['teacher']}"
    ]
    rows = [
        [
            arm,
            told(arms[arm]["repaired"], arms[arm]["damaged"]),
            arms[arm]["replaced_damaged"],
            arms[arm]["nearer"],
            arms[arm]["sent_damaged"],
            arms[arm]["sent_clean"],
            told(arms[arm]["replaced_clean"], arms[arm]["clean"]),
        ]
        for arm in ("random", "middo")
    ]
    headers = ["arm", "damage repaired", "damaged replaced", "of them nearer", "damaged sent"]
    headers += ["clean sent", "clean rows REPLACED"]
    blocks.append(
        f"Rows over all seeds: {some['damaged']} damaged, {some['clean']} clean\n"
        + table(rows, headers)
    )
    kinds = [
        [kind, *(told(*arms[arm]["kinds"].get(kind, (0, 0))) for arm in ("random", "middo"))]
        for kind in some["kinds"]
    ]
    blocks.append(f"Repaired, by kind of damage\n{table(kinds, ['kind', 'random', 'middo'])}")
    rows = []
    for arm in ARMS:
        one = arms[arm]
        difference, closed = one["difference"], one["gap_closed"]
        apart = "" if arm == "none" else "includes 0" if one["includes_zero"] else "excludes 0"
        rows.append(
            [
                arm,
                f"{one['loss']:.4f}",
                f"{difference['mean']:+.4f} ({difference['low']:+.4f} to {difference['high']:+.4f})"
                if apart
                else "",
                apart,
                " ".join(f"{seed['mean']:+.4f}" for seed in one["per_seed"]) if apart else "",
                "" if closed is None or not apart
                else f"{closed['share']:.0%} ({closed['low']:.0%} to {closed['high']:.0%})",
            ]
        )  # fmt: skip
    headers = ["arm", "hold-out loss", "difference to none", "interval", "by seed", "gap closed"]
    blocks.append(
        "Hold-out loss, nats per token, after the last refinement; paired by row, 95 % intervals\n"
        + table(rows, headers)
    )
    if arms["all clean"]["gap_closed"] is None:
        blocks.append("The gap between none and all clean is not measurable: no share is told.")
    return "\n\n".join(blocks)
