"""Does quality find broken answers? Controls it was calibrated on, and damage it has never seen.

    python -m benchmarks.quality --data FILE [--model smollm2-135m] [--adapter FOLDER] [--json OUT]

Real rows of `--data` are damaged in every way of `middo.signals.controls` and of `damage.py`, and
everything is measured once. Then quality is calibrated `--splits` times on `--calibration` random
rows, as a run does it, and asked about the other rows. An area under the ROC curve is the share of
pairs of a sound and a damaged answer, of any two rows, in which the damaged one gets the lower
quality; in the first table the pairs are the sound and the damaged answer of the same row.

Use an adapter that was trained on other rows than `--data`, or none: rows that were trained on
favour the true answer by memory.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.damage import KINDS as UNSEEN
from benchmarks.damage import Pair, damage
from benchmarks.form import FormJudge, form
from benchmarks.machine import peak_memory_mb, table, write
from benchmarks.seeding import usable_pairs
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Message
from middo.signals.calibration import FEWEST_ROWS, calibrate
from middo.signals.controls import FEWEST_WORDS, KINDS, MOST_OF_A_KIND, build_controls
from middo.signals.roc import auc
from middo.training.device import pick_device, pick_dtype
from middo.training.scorer import Scorer
from middo.training.sources import resolve_model

Scores = dict[str, dict[str, Measured]]
Signal = Callable[[Measured], float | None]


def mean_rating(ratings: Sequence[float | None]) -> float:
    """Return the mean of the answer's ratings."""
    return float(np.mean([rating for rating in ratings if rating is not None]))


PAIRED: dict[str, Signal] = {
    "-loss": lambda m: -m.loss,
    "-end": lambda m: None if m.end is None else -m.end,
    "-peak": lambda m: None if m.peak is None else -m.peak,
    "-copied": lambda m: None if m.copied is None else -m.copied,
    "-looped": lambda m: None if m.looped is None else -m.looped,
    "gain": lambda m: m.gain,
    "opening": lambda m: m.opening,
    "recoverability": lambda m: m.recoverability,
    "rating: clarity": lambda m: None if m.ratings is None else m.ratings[3],
    "rating: completeness": lambda m: None if m.ratings is None else m.ratings[4],
    "rating: factuality": lambda m: None if m.ratings is None else m.ratings[5],
    "rating: mean": lambda m: None if m.ratings is None else mean_rating(m.ratings),
}


def main() -> None:
    """Measure, calibrate, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--calibration", type=int, default=64)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--kinds", nargs="*", default=[*KINDS, *UNSEEN], help="kinds to measure")
    parser.add_argument("--ratings", action="store_true", help="ask the rating questions too")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    choice = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)

    rows = choose_rows(choice.data, choice.rows, choice.seed)
    answers = damaged_answers(rows, choice)
    started = time.monotonic()
    scores = measure(rows, answers, choice)
    seconds = time.monotonic() - started
    texts = {kind: answers[kind] for kind in scores if kind != "real"}
    document: dict[str, Any] = {
        "data": Path(choice.data).name,
        "model": choice.model,
        "rows": len(rows),
        "answers": {kind: len(found) for kind, found in scores.items()},
        "seconds": round(seconds, 1),
        "peak_memory_mb": peak_memory_mb(),
        "paired": paired(scores),
        "length": length_correlations(scores["real"]),
    }
    kinds = [kind for kind in scores if kind != "real"]
    print(f"{len(rows)} rows of {document['data']}, {choice.model}, {seconds:.0f} s\n")
    print("Share of rows whose true answer beats the damaged one, by one signal:")
    print(table([[n, *s.values()] for n, s in document["paired"].items()], ["signal", *kinds]))
    print("\nCorrelation of each signal with log answer length over the real rows:")
    print(table(list(document["length"].items()), ["signal", "correlation"]))
    if len(scores["real"]) < 2 * FEWEST_ROWS:
        print(f"\nquality is not judged: that takes {2 * FEWEST_ROWS} rows")
    elif all(kind in scores for kind in KINDS):
        document["quality"] = found = judge_splits(rows, texts, scores, choice)
        print(f"\nArea under the ROC curve, mean of {choice.splits} calibrations"
              f" on {found['calibrated_on']} rows:")  # fmt: skip
        print(table(found["table"], ["judge", *kinds, "built", "unseen"]))
        print(f"correlation of quality with log answer length: {found['length']:.2f}")
        if choice.ratings:
            print(f"ratings kept in {found['ratings_kept']} of {choice.splits} calibrations")
    if choice.json:
        write(choice.json, document)


def choose_rows(data: str, count: int, seed: int) -> list[Pair]:
    """Return a seeded choice of single-turn rows with answers of usual length."""
    pairs = usable_pairs(data)
    if len(pairs) < 2:
        sys.exit(f"{data}: holds no two rows with answers of {FEWEST_WORDS} words or more")
    order = np.random.default_rng(seed).permutation(len(pairs))[:count]
    return [pairs[i] for i in sorted(order)]


def damaged_answers(rows: list[Pair], choice: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return kind -> row id -> answer, for the kinds asked for."""
    built: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    plain = [(row.id, row.prompt, row.answer) for row in rows]
    for control in build_controls(plain, choice.seed, most=len(rows)):
        built[control.kind][control.row_id] = control.answer
    return {k: v for k, v in (built | damage(rows, rows, choice.seed)).items() if k in choice.kinds}


def measure(
    rows: list[Pair], answers: Mapping[str, Mapping[str, str]], choice: argparse.Namespace
) -> Scores:
    """Measure every real and damaged answer; a row that can't be measured is left out whole."""
    device = pick_device()
    scorer = Scorer(
        resolve_model(choice.model).folder,
        adapter=choice.adapter,
        device=device,
        dtype=pick_dtype("auto", device),
    )
    ratings: frozenset[Ask] = frozenset({"answer_ratings"} if choice.ratings else ())
    asks: frozenset[Ask] = frozenset({"alone", "reverse"}) | ratings
    texts = {"real": {row.id: row.answer for row in rows}, **answers}
    prompts = {row.id: row.prompt for row in rows}
    items = [
        Item(f"{kind} {name}", (Message("user", prompts[name]), Message("assistant", text)))
        for kind, found in texts.items()
        for name, text in found.items()
    ]
    scores: Scores = {kind: {} for kind in texts}
    started, done = time.monotonic(), 0
    for batch in scorer.plan(items, asks):
        for i, one in zip(batch, scorer.score([items[i] for i in batch], asks), strict=True):
            kind, _, name = items[i].key.partition(" ")
            if one.unscored is None:
                scores[kind][name] = one
        done += len(batch)
        if sys.stderr.isatty():
            left = (time.monotonic() - started) / done * (len(items) - done)
            print(f"\r{done}/{len(items)} answers, {left:.0f} s left ", end="", file=sys.stderr)
    scorer.close()
    real = scores["real"]
    return {kind: {n: m for n, m in found.items() if n in real} for kind, found in scores.items()}


def paired(scores: Scores) -> dict[str, dict[str, float]]:
    """Return per signal and kind the share of rows in which the true answer has the higher value.

    Ties count half. A signal that was not measured is left out.
    """
    shares: dict[str, dict[str, float]] = {}
    for name, signal in PAIRED.items():
        if any(signal(one) is None for one in scores["real"].values()):
            continue
        shares[name] = {}
        for kind, found in scores.items():
            if kind != "real" and found:
                both = [(signal(scores["real"][row]), signal(one)) for row, one in found.items()]
                wins = [
                    (a > b) + 0.5 * (a == b) for a, b in both if a is not None and b is not None
                ]
                shares[name][kind] = round(float(np.mean(wins)), 3)
    return shares


def length_correlations(real: Mapping[str, Measured]) -> dict[str, float]:
    """Return the Pearson correlation of each signal with log answer tokens over real rows."""
    lengths = np.log([one.answer_tokens for one in real.values()])
    found = {}
    for name, signal in PAIRED.items():
        values = [signal(one) for one in real.values()]
        if all(value is not None for value in values) and np.ptp(np.array(values, float)):
            found[name] = round(float(np.corrcoef(lengths, np.array(values, float))[0, 1]), 2)
    return found


def judge_splits(
    rows: list[Pair],
    texts: Mapping[str, Mapping[str, str]],
    scores: Scores,
    choice: argparse.Namespace,
) -> dict[str, Any]:
    """Calibrate on random rows, judge the others; areas per kind, averaged over the splits."""
    by_id = {row.id: row for row in rows}
    ids = sorted(scores["real"])
    size = min(choice.calibration, len(ids) // 2)
    kinds = [kind for kind in scores if kind != "real"]
    areas: dict[str, dict[str, list[float]]] = {"quality": {}, "form alone": {}, "loss alone": {}}
    kept = 0
    correlations = []
    for split in range(choice.splits):
        order = np.random.default_rng([choice.seed, split]).permutation(len(ids))
        inside, outside = [ids[i] for i in order[:size]], [ids[i] for i in order[size:]]
        controls = {kind: _share(inside, number, scores[kind]) for number, kind in enumerate(KINDS)}
        calibration = calibrate({n: scores["real"][n] for n in inside}, controls, choice.seed)
        kept += calibration.ratings is not None and calibration.ratings["kept"]
        judge = FormJudge(
            [form(by_id[n].prompt, by_id[n].answer) for n in inside],
            {
                k: [form(by_id[n].prompt, texts[k][n]) for n in found]
                for k, found in controls.items()
            },
        )
        judges: dict[str, Callable[[str, str, Measured], float]] = {
            "quality": lambda n, text, one, c=calibration: -(c.probability(one) or 0.0),  # type: ignore[misc]
            "form alone": lambda n, text, one, j=judge: float(  # type: ignore[misc]
                j.odds([form(by_id[n].prompt, text)])[0]
            ),
            "loss alone": lambda n, text, one: one.loss,
        }
        for name, ask_judge in judges.items():
            sound = np.array([ask_judge(n, by_id[n].answer, scores["real"][n]) for n in outside])
            if name == "quality":
                lengths = np.log([scores["real"][n].answer_tokens for n in outside])
                correlations.append(float(np.corrcoef(-sound, lengths)[0, 1]))
            for kind in kinds:
                broken = [
                    ask_judge(n, texts[kind][n], scores[kind][n])
                    for n in outside
                    if n in scores[kind]
                ]
                areas[name].setdefault(kind, []).append(auc(sound, np.array(broken)))
    return {
        "calibrated_on": size,
        "table": [_line(name, found) for name, found in areas.items()],
        "areas": {n: {k: _summary(v) for k, v in found.items()} for n, found in areas.items()},
        "length": float(np.mean(correlations)),
        "ratings_kept": kept,
    }


def _share(ids: Sequence[str], number: int, found: Mapping[str, Measured]) -> dict[str, Measured]:
    """Return the controls of one kind that a calibration on these rows would have built."""
    start = number * len(ids) // len(KINDS)
    order = [*ids[start:], *ids[:start]]
    return {name: found[name] for name in [n for n in order if n in found][:MOST_OF_A_KIND]}


def _line(name: str, areas: Mapping[str, Sequence[float]]) -> list[Any]:
    means = {kind: float(np.mean(values)) for kind, values in areas.items()}

    def over(kinds: Sequence[str]) -> float:
        return float(np.mean([means[kind] for kind in kinds if kind in means]))

    return [name, *(round(m, 3) for m in means.values()), round(over(KINDS), 3),
            round(over(UNSEEN), 3)]  # fmt: skip


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "sd": round(float(np.std(values)), 4)}


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
