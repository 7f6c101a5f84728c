"""What would find more? Other signals, other controls and the prompt, on a diagnosed detection run.

    python -m benchmarks.defects detection --data FILE... --out FOLDER
    python -m benchmarks.defects remedies --out FOLDER [--json FILE]

Quality is calibrated again on the same rows, with one thing changed at a time, and asked about the
same damaged rows:

    + ratio             with L(a|p) / L(a) as a further signal (Li et al. 2023, arXiv 2308.12032)
    without KIND        without one kind of control
    + numbers           with a further kind of control: one number of the answer changed
    + evasion           with a further kind of control: an answer that says nothing
    + sentences         with a further kind of control: an answer cut at a sentence end

A disfluent question is damage of the prompt, which no signal of the answer can see well. Three
readings of the prompt are held beside complexity, which has taken the second of them up: L(p), the
prompt's own loss; its distance from what prompts of that length have; and recoverability,
L(p) − L(p|a), which a prompt that its answer explains badly lacks. A run without disfluent
questions has none of that.

A variant that reads its damage from controls in the same likeness says how well that damage can be
found at all, not how well an unknown one would be.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.damage import changed_fact, cut_at_sentence_end
from benchmarks.detection import difficulty, measure_others
from benchmarks.detection_tables import of_judge
from benchmarks.machine import table, write
from benchmarks.ranking import Area, areas, negative
from benchmarks.seeding import read_lines
from benchmarks.stages import opened
from middo.agents.calibrating import ROW_ASKS, calibration_rows
from middo.agents.signal_table import floats
from middo.core.measures import Ask, Item, Measured
from middo.core.records import sample_id
from middo.graph.deps import Deps
from middo.signals.calibration import calibrate
from middo.signals.controls import KINDS, MOST_OF_A_KIND, build_controls
from middo.signals.features import LIKELIHOODS, fit_scale
from middo.signals.quality import Calibration

READ_PROMPTS = 240
"""Clean rows whose prompts are measured; they cost as much again as the answers."""
EVASIONS = (
    "There are many possible answers, and which of them is right depends on the circumstances.",
    "That is hard to say in general, and I would rather not guess without knowing more about it.",
    "This is an interesting topic that people have discussed for a long time in different ways.",
    "Unfortunately nothing can be said about this here; please look it up in a suitable place.",
)
_NUMBER = re.compile(r"\d")
Broken = dict[str, dict[str, Measured]]


@dataclass(frozen=True, slots=True)
class WithRatio(Measured):
    """A measurement that also tells L(a|p) / L(a)."""

    @property
    def ratio(self) -> float | None:
        """None where L(a) was not measured."""
        return difficulty(self)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part takes beside the arguments of all parts: nothing."""


def main(choice: argparse.Namespace) -> int:
    """Measure what is missing, calibrate every variant, and print the tables."""
    if not (choice.out / "signals.jsonl").exists():
        sys.exit(f"--out: {choice.out} has no finished detection; run `defects detection` first")
    settings = json.loads((choice.out / "settings.json").read_text(encoding="utf-8"))
    lines = read_lines(choice.out / "signals.jsonl")
    with opened(choice.out / "run") as deps:
        quality = variants(deps)
        disfluent = any(line["kind"] == "disfluent" for line in lines)
        prompts = prompt_readings(deps, lines) if disfluent else {}
    ranked = [
        {**line, "scores": {name: said[line["id"]] for name, (_, said) in quality.items()}}
        for line in lines
    ]
    document = {
        **{"benchmark": "remedies", **settings},
        "quality": {
            name: {**of_judge(ranked, name, settings["seed"]), "controls": _told(made)}
            for name, (made, _) in quality.items()
        },
        "prompts": {
            name: compared(lines, scores, settings["seed"]) for name, scores in prompts.items()
        },
    }
    print(report(document))
    if choice.json:
        write(choice.json, document)
    return 0


def variants(deps: Deps) -> dict[str, tuple[Calibration, dict[str, float | None]]]:
    """Return every variant of the calibration, and what it says of each row; higher is worse."""
    rows = _wider(measure_others(deps)[1])
    real, broken = _controls(deps)
    built: Broken = {kind: broken[kind] for kind in KINDS}
    tries: list[tuple[str, Broken, tuple[str, ...]]] = [
        ("as it is", built, LIKELIHOODS),
        ("+ ratio", built, (*LIKELIHOODS, "ratio")),
        *((f"without {kind}", _without(built, kind), LIKELIHOODS) for kind in KINDS),
        *((f"+ {kind}", {**built, kind: broken[kind]}, LIKELIHOODS) for kind in FURTHER),
    ]
    found = {}
    for name, controls, signals in tries:
        made = calibrate(real, controls, deps.config.seed, signals)
        found[name] = made, {row: negative(made.probability(one)) for row, one in rows.items()}
    return found


def _controls(deps: Deps) -> tuple[dict[str, Measured], Broken]:
    """Return the calibration's own rows and controls as measured, and the further kinds."""
    seed, asks = deps.config.seed, frozenset[Ask]({"alone"})
    with deps.measuring(0) as tuned:
        rows = calibration_rows(
            tuned,
            deps.version(0),
            deps.holdout(),
            rows=deps.config.signals.calibration,
            seed=seed,
        )
        plain = [(name, row.prompt, row.answer) for name, row in rows.items()]
        texts: list[tuple[str, str, str]] = [
            (one.kind, one.row_id, one.answer) for one in build_controls(plain, seed)
        ]
        for kind, make in FURTHER.items():
            made = ((name, make(answer, i)) for i, (name, _, answer) in enumerate(plain))
            told = ((kind, name, text) for name, text in made if text is not None)
            texts += islice(told, MOST_OF_A_KIND)
        items = {
            (kind, name): Item(sample_id(messages), messages)
            for kind, name, text in texts
            for messages in [rows[name].with_exchange(rows[name].prompt, text)]
        }
        originals = [Item(name, row.messages) for name, row in rows.items()]
        real = tuned.measure("benchmark.real", originals, asks, wider=ROW_ASKS)
        said = tuned.measure("benchmark.controls", list(items.values()), asks)
    sound = {name: one for name, one in real.items() if one.unscored is None}
    broken: Broken = {kind: {} for kind in (*KINDS, *FURTHER)}
    for (kind, name), item in items.items():
        if said[item.key].unscored is None and name in sound:
            broken[kind][name] = said[item.key]
    return _wider(sound), {kind: _wider(found) for kind, found in broken.items()}


def _wrong_number(answer: str, number: int) -> str | None:
    """Return the answer with one of its numbers changed; None where it has none."""
    if not _NUMBER.search(answer):
        return None
    return changed_fact(answer, np.random.default_rng([number, 17]))


def _evasive(answer: str, number: int) -> str | None:
    return EVASIONS[number % len(EVASIONS)]


def _first_sentences(answer: str, number: int) -> str | None:
    return cut_at_sentence_end(answer)


FURTHER: dict[str, Callable[[str, int], str | None]] = {
    "numbers": _wrong_number,
    "evasion": _evasive,
    "sentences": _first_sentences,
}
"""Kinds of control that Middo does not build: (answer, place) -> control."""


def _wider(found: Mapping[str, Measured]) -> dict[str, Measured]:
    return {
        name: WithRatio(**{**asdict(one), "ratings": one.ratings, "embedding": None})
        for name, one in found.items()
    }


def _without(broken: Broken, kind: str) -> Broken:
    return {name: found for name, found in broken.items() if name != kind}


def prompt_readings(
    deps: Deps, lines: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, float | None]]:
    """Return the readings of prompts, and complexity, of disfluent rows and some clean ones."""
    clean = [line["id"] for line in lines if not line["kind"] and "disfluent" in line["fits"]]
    drawn = np.random.default_rng([deps.config.seed, 18]).permutation(len(clean))[:READ_PROMPTS]
    wanted = {clean[i] for i in drawn} | {x["id"] for x in lines if x["kind"] == "disfluent"}
    items = [Item(one.id, one.messages) for one in deps.version(0) if one.id in wanted]
    with deps.measuring(0) as tuned:
        read = tuned.measure("benchmark.prompts", items, frozenset({"reverse"}))
    there = {row: one for row, one in read.items() if one.unscored is None and one.prompt}
    values = np.array([[one.prompt] for one in there.values()], dtype=np.float64)
    lengths = np.log([max(one.prompt_tokens, 1) for one in there.values()])
    kinds = {line["id"]: line["kind"] for line in lines}
    sound = np.array([not kinds[row] for row in there])
    scale = fit_scale(values[sound], lengths[sound], [(values, lengths)])
    apart = scale.apply(values, lengths)[:, 0]
    scores = {line["id"]: line["scores"]["complexity"] for line in lines if line["id"] in there}
    return {
        "complexity": scores,
        "L(p)": {row: one.prompt for row, one in there.items()},
        "L(p) for its length": dict(zip(there, apart.tolist(), strict=True)),
        "-recoverability": {row: negative(one.recoverability) for row, one in there.items()},
    }


def _told(made: Calibration) -> dict[str, Any]:
    """Return how well each kind of control itself is told from real answers."""
    return {one.kind: {"auc": one.auc, "low": one.low, "counts": one.counts} for one in made.kinds}


def compared(
    lines: Sequence[Mapping[str, Any]], scores: Mapping[str, float | None], seed: int
) -> dict[str, float]:
    """Return the area of a reading of prompts, disfluent rows against clean ones."""
    inside = [line for line in lines if line["id"] in scores]
    bad, good = (
        floats([scores[x["id"]] for x in inside if bool(x["kind"]) == broken])
        for broken in (True, False)
    )
    fits = {"disfluent": np.ones(len(good), dtype=bool)}
    return areas(good, {"disfluent": bad}, fits, seed)[0]["disfluent"].as_dict()


def report(document: Mapping[str, Any]) -> str:
    """Return the tables as text."""
    some = document["quality"]["as it is"]
    rows = [
        [
            name,
            *(f"{area['auc']:.2f}" for area in one["areas"].values()),
            *(str(Area(**mean)) for mean in one["means"].values() if mean),
            one["worst"]["0.08"][0],
        ]
        for name, one in document["quality"].items()
    ]
    headers = [
        "quality",
        *some["areas"],
        *(f"mean of {name}" for name, m in some["means"].items() if m),
    ]
    further = [
        [kind, *document["quality"][f"+ {kind}"]["controls"][kind].values()]
        for kind in FURTHER
        if kind in document["quality"][f"+ {kind}"]["controls"]
    ]
    number = some["worst"]["0.08"][1]
    blocks = [
        f"{document['model']}, seed {document['seed']}",
        "Area under the ROC curve by kind of damage, and damaged rows among the worst"
        f" {number}\n{table(rows, [*headers, 'damaged'])}",
        "How well further controls are told from real answers (a kind counts from 0.6 at the lower"
        f" end)\n{table(further, ['controls', 'area', 'lower end', 'counts'])}",
    ]
    if document["prompts"]:
        readings = [[name, str(Area(**area))] for name, area in document["prompts"].items()]
        title = "Disfluent questions against clean ones, area under the ROC curve"
        blocks.append(f"{title}\n{table(readings, ['reading', 'area'])}")
    return "\n\n".join(blocks)
