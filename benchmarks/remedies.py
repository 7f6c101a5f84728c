"""What would find more? Other signals, other controls and the prompt, on a diagnosed detection run.

    python -m benchmarks.defects detection --data FILE... --out FOLDER
    python -m benchmarks.defects remedies --out FOLDER [--json FILE]

Quality is calibrated again on the same rows, with one thing changed at a time, and asked about the
same damaged rows:

    + ratio             with L(a|p) / L(a) as a further signal (Li et al. 2023, arXiv 2308.12032)
    without KIND        without one kind of control
    + numbers           with a further kind of control: one number of the answer changed
    + evasion           with a further kind of control: an answer that says nothing

A disfluent question is damage of the prompt, which no signal of the answer can see well. Three
readings of the prompt are held beside complexity: L(p), the prompt's own loss; its distance from
what prompts of that length have; and recoverability, L(p) − L(p|a), which a prompt that its answer
explains badly lacks.

A variant that reads its damage from controls in the same likeness says how well that damage can be
found at all, not how well an unknown one would be.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.damage import BUILT, changed_fact
from benchmarks.detection_tables import worst
from benchmarks.machine import table, write
from benchmarks.ranking import Area, areas, mean_area, scores_of
from benchmarks.seeding import read_lines
from benchmarks.stages import opened
from middo.agents.calibrating import UNRATED
from middo.core.measures import Item, Measured
from middo.core.records import Sample, sample_id
from middo.graph.deps import Deps
from middo.signals.calibration import calibrate
from middo.signals.controls import KINDS, build_controls, choose_calibration_rows, words
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
        return self.loss / self.alone if self.alone else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part takes beside the arguments of all parts: nothing."""


def main(choice: argparse.Namespace) -> int:
    """Measure what is missing, calibrate every variant, and print the tables."""
    if not (choice.out / "signals.jsonl").exists():
        sys.exit(f"--out: {choice.out} has no finished detection; run `defects detection` first")
    settings = json.loads((choice.out / "settings.json").read_text(encoding="utf-8"))
    lines = read_lines(choice.out / "signals.jsonl")
    with opened(choice.out / "run") as deps:
        quality = variants(deps, lines)
        prompts = prompt_readings(deps, lines)
    document = {
        **{"benchmark": "remedies", **settings},
        "quality": {name: judged(lines, scores, settings["seed"]) for name, scores in quality},
        "prompts": {
            name: compared(lines, scores, settings["seed"]) for name, scores in prompts.items()
        },
    }
    print(report(document))
    if choice.json:
        write(choice.json, document)
    return 0


def variants(
    deps: Deps, lines: Sequence[Mapping[str, Any]]
) -> list[tuple[str, dict[str, float | None]]]:
    """Return for every variant of the calibration what it says of each row, higher is worse."""
    seed = deps.config.seed
    with deps.measuring(0) as tuned:
        version = deps.version(0)
        rows = tuned.measure("benchmark.alone", version, frozenset({"alone"}), wider=(UNRATED,))
        real, broken = _controls(deps, tuned.measure)
    built: Broken = {kind: broken[kind] for kind in KINDS}
    tries: list[tuple[str, Broken, tuple[str, ...]]] = [
        ("as it is", built, LIKELIHOODS),
        ("+ ratio", built, (*LIKELIHOODS, "ratio")),
        *((f"without {kind}", _without(built, kind), LIKELIHOODS) for kind in KINDS),
        *((f"+ {kind}", {**built, kind: broken[kind]}, LIKELIHOODS) for kind in FURTHER),
    ]
    wanted = {line["id"] for line in lines}
    found = []
    for name, controls, signals in tries:
        calibration: Calibration = calibrate(real, controls, seed, signals)
        said = {row: calibration.probability(one) for row, one in _wider(rows).items()}
        found.append((name, {row: _negative(said[row]) for row in said if row in wanted}))
    return found


def _controls(
    deps: Deps, measure: Callable[..., dict[str, Measured]]
) -> tuple[dict[str, Measured], Broken]:
    """Return the calibration's real rows and controls as measured, with the further kinds."""
    seed = deps.config.seed
    samples, held = list(deps.version(0)), list(deps.holdout())
    by_id = {sample.id: sample for sample in (*samples, *held)}
    trained, apart = ([(one.id, words(one.answer)) for one in part] for part in (samples, held))
    chosen = choose_calibration_rows(trained, apart, deps.config.signals.calibration, seed)
    plain = [(name, by_id[name].prompt, by_id[name].answer) for name in chosen]
    texts: dict[str, dict[str, str]] = {kind: {} for kind in (*KINDS, *FURTHER)}
    for control in build_controls(plain, seed):
        texts[control.kind][control.row_id] = control.answer
    for kind, make in FURTHER.items():
        made = {name: make(answer, number) for number, (name, _, answer) in enumerate(plain)}
        texts[kind] = {name: text for name, text in made.items() if text is not None}
    keys: dict[tuple[str, str], str] = {}
    items: dict[str, Item] = {}
    for kind, found in texts.items():
        for name, text in found.items():
            sample: Sample = by_id[name]
            messages = sample.with_exchange(sample.prompt, text)
            key = keys[kind, name] = sample_id(messages)
            items[key] = Item(key, messages)
    originals = [Item(name, by_id[name].messages) for name in chosen]
    asks = frozenset({"alone"})
    real = measure("benchmark.real", originals, asks, wider=(UNRATED,))
    said = measure("benchmark.controls", list(items.values()), asks)
    broken: Broken = {kind: {} for kind in texts}
    for (kind, name), key in keys.items():
        if said[key].unscored is None and real[name].unscored is None:
            broken[kind][name] = said[key]
    sound = {name: one for name, one in real.items() if one.unscored is None}
    return _wider(sound), {kind: _wider(found) for kind, found in broken.items()}


def _wrong_number(answer: str, number: int) -> str | None:
    """Return the answer with one of its numbers changed; None where it has none."""
    if not _NUMBER.search(answer):
        return None
    return changed_fact(answer, np.random.default_rng([number, 17]))


def _evasive(answer: str, number: int) -> str | None:
    return EVASIONS[number % len(EVASIONS)]


FURTHER: dict[str, Callable[[str, int], str | None]] = {
    "numbers": _wrong_number,
    "evasion": _evasive,
}
"""Kinds of control that Middo does not build: (answer, place) -> control."""


def _wider(found: Mapping[str, Measured]) -> dict[str, Measured]:
    return {
        name: WithRatio(**{**asdict(one), "ratings": one.ratings, "embedding": None})
        for name, one in found.items()
    }


def _without(broken: Broken, kind: str) -> Broken:
    return {name: found for name, found in broken.items() if name != kind}


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


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
    sound = np.array([row in set(clean) for row in there])
    scale = fit_scale(values[sound], lengths[sound], [(values, lengths)])
    apart = scale.apply(values, lengths)[:, 0]
    scores = {line["id"]: line["scores"]["complexity"] for line in lines if line["id"] in there}
    return {
        "complexity": scores,
        "L(p)": {row: one.prompt for row, one in there.items()},
        "L(p) for its length": dict(zip(there, apart.tolist(), strict=True)),
        "-recoverability": {row: _negative(one.recoverability) for row, one in there.items()},
    }


def judged(
    lines: Sequence[Mapping[str, Any]], scores: Mapping[str, float | None], seed: int
) -> dict[str, Any]:
    """Return the areas of one judge per kind, their means, and what it ranks worst."""
    clean = [line for line in lines if not line["kind"]]
    kinds = sorted(
        {line["kind"] for line in lines if line["kind"]}, key=lambda k: (k not in BUILT, k)
    )
    fits = {kind: np.array([kind in line["fits"] for line in clean]) for kind in kinds}
    broken = {
        kind: scores_of([scores.get(x["id"]) for x in lines if x["kind"] == kind]) for kind in kinds
    }
    found, drawn = areas(scores_of([scores.get(x["id"]) for x in clean]), broken, fits, seed)
    groups = {"built": True, "not built": False}
    means = {
        name: mean_area([kind for kind in kinds if (kind in BUILT) == built], found, drawn)
        for name, built in groups.items()
    }
    ranked = [{**line, "scores": {"it": scores.get(line["id"])}} for line in lines]
    return {
        "areas": {kind: area.as_dict() for kind, area in found.items()},
        "means": {name: None if mean is None else mean.as_dict() for name, mean in means.items()},
        "worst": worst(ranked, "it"),
    }


def compared(
    lines: Sequence[Mapping[str, Any]], scores: Mapping[str, float | None], seed: int
) -> dict[str, float]:
    """Return the area of a reading of prompts, disfluent rows against clean ones."""
    inside = [line for line in lines if line["id"] in scores]
    bad, good = (
        scores_of([scores[x["id"]] for x in inside if bool(x["kind"]) == broken])
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
    number = some["worst"]["0.08"][1]
    blocks = [
        f"{document['model']}, seed {document['seed']}",
        "Area under the ROC curve by kind of damage, and damaged rows among the worst"
        f" {number}\n{table(rows, [*headers, 'damaged'])}",
        "Disfluent questions against clean ones, area under the ROC curve\n"
        + table(
            [[name, str(Area(**area))] for name, area in document["prompts"].items()],
            ["reading", "area"],
        ),
    ]
    return "\n\n".join(blocks)
