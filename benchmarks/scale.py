"""How time and memory of the bookkeeping grow with the data set, without any model.

    python -m benchmarks.scale --data rows.json [--sizes 5000,20000,52000,200000] [--json OUT]

The steps are those of a run, by the code of a run: import, hold-out, version, thresholds, Chroma,
density, clusters, tables, merge, export. Texts are the real ones of `--data`, repeated with every
seventh word or so changed for another of their words; vectors are synthetic, 576 wide, in clusters
of varying size. "index" and "search" are the vector index; density is what comes after a search.
Each size runs in a process of its own, which reads off its peak memory after every step (Linux).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe, table, write
from middo.agents.diagnostician import diagnose
from middo.agents.reference import fit_reference
from middo.agents.signal_table import collect
from middo.agents.signal_table import table as signal_columns
from middo.core.config import RunConfig
from middo.core.measures import Measured
from middo.core.records import Axis, Message, Sample
from middo.curation.merge import Outcome, merge
from middo.formats.exporting import export_samples
from middo.formats.importing import import_data
from middo.graph.preparing import Staged, split, staged
from middo.signals.clusters import find_clusters, match_clusters
from middo.signals.density import centre_and_normalise, density
from middo.signals.features import LengthScale
from middo.signals.quality import Calibration, KindReport
from middo.stores.samples import Version, write_version
from middo.stores.tables import (
    read_embeddings,
    read_signals,
    write_embeddings,
    write_proposals,
    write_signals,
)
from middo.stores.vectors import ChromaIndex

SIZES = "5000,20000,52000,200000"
WIDTH = 576
PROMPT_WIDTH = 384
CHANGED_WORDS = 1 / 7
NEAR_DUPLICATES = 0.02
ACCEPTED, ADDED = 0.08, 0.02
SEED = 7
CEILINGS = {"index": 1.3, "search": 1.3, "clusters": None}
"""Step -> the largest exponent of growth aimed at; 1.1 for all others, none for clusters."""
MEMORY_GB = 3.0

Vectors = NDArray[np.float32]


def main() -> None:
    """Run every size in its own process and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="rows in any form that Middo imports")
    parser.add_argument("--sizes", default=SIZES, help=f"comma-separated, {SIZES} by default")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        with tempfile.TemporaryDirectory(prefix="middo-scale-") as scratch:
            sys.stdout.write(json.dumps(measure(options.data, options.one, Path(scratch))))
        return
    results = []
    for size in (int(text) for text in options.sizes.split(",")):
        command = [
            sys.executable,
            "-m",
            "benchmarks.scale",
            "--data",
            options.data,
            "--one",
            str(size),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        results.append(json.loads(done.stdout))
        print(f"{size:,} rows: {results[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
    document = {"benchmark": "scale", "results": results, "growth": growth(results)}
    print(json.dumps(describe(), indent=1))
    print(report(document))
    if options.json:
        write(options.json, document)


class Steps:
    """Seconds and peak memory of named steps, one after the other."""

    def __init__(self) -> None:
        """Start the clock."""
        self.found: dict[str, dict[str, float]] = {}
        self._at = 0.0
        self.skip()

    def end(self, name: str) -> None:
        """Note what the step took that ends here; a name may come twice."""
        now = time.monotonic()
        one = self.found.setdefault(name, {"seconds": 0.0, "peak_gb": 0.0})
        one["seconds"] = round(one["seconds"] + now - self._at, 2)
        one["peak_gb"] = max(one["peak_gb"], round(_peak_kib() / 2**20, 3))
        self.skip()

    def move(self, name: str, to: str, seconds: float) -> None:
        """Count some seconds of a step as another's."""
        one = self.found[name]
        one["seconds"] = round(one["seconds"] - seconds, 2)
        self.found[to] = {"seconds": round(seconds, 2), "peak_gb": one["peak_gb"]}

    def skip(self) -> None:
        """Leave out what was since the last step: making synthetic input is nobody's work."""
        # Sets the kernel's high-water mark back to what is in memory now.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._at = time.monotonic()


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


class Asked:
    """An index whose searches are timed: density is what comes after them."""

    def __init__(self, index: ChromaIndex) -> None:
        """Use an open index."""
        self.seconds = 0.0
        self._index = index

    def nearest(self, vectors: Vectors, count: int) -> tuple[list[list[str]], Vectors]:
        """Search, as the index does."""
        started = time.monotonic()
        found = self._index.nearest(vectors, count)
        self.seconds += time.monotonic() - started
        return found


def measure(data: str, size: int, folder: Path) -> dict[str, Any]:
    """Run all steps at one size."""
    started = time.monotonic()
    write_rows(data, size, folder / "rows.jsonl")
    config = RunConfig.model_validate({"data": {"path": str(folder / "rows.jsonl")}, "seed": SEED})
    warm_up()
    steps = Steps()
    with staged(config, folder / "staged") as imported:
        steps.end("import")
        version = publish(imported, config, folder, steps)
    rows = version.rows
    measured = measurements(version)
    raw, ids = synthetic_vectors(rows), sorted(version.ids())
    steps.skip()

    signals = collect(version, measured[0], measured[1], calibration(), ids, one_model=False)
    del measured
    write_embeddings(folder / "embeddings.parquet", ids, raw)
    del raw
    steps.end("tables")
    ids, vectors = read_embeddings(folder / "embeddings.parquet")
    vectors = centre_and_normalise(vectors)
    steps.end("tables")
    index = ChromaIndex(folder / "vectors", "round-0")
    index.add(ids, vectors)
    steps.end("index")
    asked = Asked(index)
    near = density(ids, vectors, signals.prompts, asked.nearest, config.signals.neighbours)
    index.close()
    steps.end("density")
    steps.move("density", "search", asked.seconds)
    clusters = find_clusters(ids, vectors, near.values, SEED)
    del vectors
    steps.end("clusters")
    reference = fit_reference(signals, near, config.signals, 1.5)
    found = diagnose(
        signals,
        near,
        calibration(),
        reference,
        config.signals,
        holdout_loss=1.6,
        suppressed={axis: frozenset() for axis in Axis},
        clusters=clusters,
        drift=match_clusters(clusters.labels, clusters.labels),
        seed=SEED,
        number=0,
    )
    steps.end("thresholds")
    labels, path = clusters.labels, folder / "signals.parquet"
    write_signals(path, signal_columns(signals, found.complexity, near, labels, found.flags))
    flagged = {flag.sample_id for flag in found.flags}
    evidence = read_signals(path, ids=flagged, columns=("id", "quality", "neighbours"))
    steps.end("tables")
    del signals, near, clusters, labels
    outcomes, prompts = refined(version, flagged)
    steps.skip()

    plan = merge(version, outcomes, round=0, added_share=0.05, vectors=prompts)
    write_proposals(folder / "proposals.parquet", [proposal(one) for one in plan.outcomes])
    following = write_version(
        folder / "rounds" / "1", plan.rows(version), parent=version.sha256, made_by={}
    )
    steps.end("merge")
    count = export_samples(Version(folder / "rounds" / "1"), "messages", folder / "out.jsonl")
    steps.end("export")
    if count != following.rows or following.rows != rows + plan.counts.added:
        raise SystemExit("the counts do not add up")
    return {
        "rows": size,
        "trained_on": rows,
        "flagged": len(evidence),
        "accepted": plan.counts.accepted,
        "added": plan.counts.added,
        "seconds": round(time.monotonic() - started, 1),
        "steps": steps.found,
    }


def warm_up() -> None:
    """Load what is loaded on first use: seconds that have nothing to do with the size."""
    for name in ("chromadb", "sklearn.cluster", "sklearn.decomposition", "sklearn.neighbors"):
        import_module(name)


def publish(imported: Staged, config: RunConfig, folder: Path, steps: Steps) -> Version:
    """Choose the hold-out and write the first version, as a run's first node does."""
    training, held = split(imported.rows, config)
    steps.end("hold-out")
    write_version(folder / "holdout", held, parent=None, made_by={})
    write_version(folder / "rounds" / "0", training, parent=None, made_by={})
    steps.end("version")
    return Version(folder / "rounds" / "0")


def write_rows(data: str, size: int, to: Path) -> None:
    """Write `size` distinct rows: real texts with words changed, a few of them near-duplicates."""
    samples = import_data(data).samples
    words = sorted({word for sample in samples for word in sample.answer.split()})
    rng = np.random.default_rng(SEED)

    def changed(text: str, share: float) -> str:
        parts = text.split(" ")
        for place in np.flatnonzero(rng.random(len(parts)) < share).tolist():
            parts[place] = words[int(rng.integers(len(words)))]
        return " ".join(parts)

    with to.open("w", encoding="utf-8") as file:
        last = samples[0].prompt, samples[0].answer
        for number in range(size):
            sample = samples[number % len(samples)]
            if number and rng.random() < NEAR_DUPLICATES:
                pair = last[0], f"{last[1]} {words[int(rng.integers(len(words)))]} {number}"
            else:
                share = CHANGED_WORDS if number >= len(samples) else 0.0
                pair = changed(sample.prompt, share), changed(sample.answer, share)
                pair = pair if share == 0.0 else (f"{pair[0]} ({number})", pair[1])
            last = pair
            turns = zip(("user", "assistant"), pair, strict=True)
            row = {"messages": [{"role": role, "content": text} for role, text in turns]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def synthetic_vectors(rows: int) -> Vectors:
    """Return float32[rows, 576] around centres of which some are much larger than others."""
    rng = np.random.default_rng([SEED, 1])
    count = 60
    weights = rng.dirichlet(np.full(count, 0.5))
    centres = rng.normal(size=(count, WIDTH)).astype(np.float32)
    vectors = rng.standard_normal((rows, WIDTH), dtype=np.float32)
    belongs = rng.choice(count, rows, p=weights)
    for start in range(0, rows, 4096):
        vectors[start : start + 4096] += centres[belongs[start : start + 4096]]
    # One row in fifty is all but a copy of another.
    copies = rng.choice(rows, rows // 50, replace=False)
    vectors[copies] = vectors[rng.choice(rows, len(copies))] + np.float32(0.01)
    return vectors


def measurements(version: Version) -> tuple[dict[str, Measured], dict[str, Measured]]:
    """Return plausible measurements of every row under a base and a tuned model."""
    rng = np.random.default_rng([SEED, 2])
    pairs: tuple[dict[str, Measured], dict[str, Measured]] = ({}, {})
    for sample in version:
        tokens = len(sample.answer.split()) + 1
        hard, noise, end = rng.normal(), rng.normal(), rng.normal()
        base = round(2.0 + 0.4 * hard + 0.1 * noise, 4)
        tuned = round(1.6 + 0.4 * hard - 0.1 * noise, 4)
        pairs[0][sample.id] = Measured(tokens, 10, base)
        pairs[1][sample.id] = Measured(tokens, 10, tuned, end=round(end - 1, 4), alone=tuned + 0.5)
    return pairs


def calibration() -> Calibration:
    """Return a quality axis with one kind of broken answers, as if it had been fitted."""
    kind = KindReport("cut", 60, 0.9, 0.85, 0.95, True, (1.0,), 0.0, {})
    scale = LengthScale((0.0,), (0.0,), (1.0,), 0.0, 10.0)
    asks = frozenset({"alone"})
    return Calibration(True, "", 60, asks, ("end",), (kind,), scale, standard_error=0.05)  # type: ignore[arg-type]  # a set of literals


def refined(version: Version, flagged: set[str]) -> tuple[list[Outcome], dict[str, Vectors]]:
    """Return outcomes for the flagged rows: proposals with real texts changed for 8 % of all."""
    rng = np.random.default_rng([SEED, 3])
    accepted = int(ACCEPTED * version.rows)
    added = int(ADDED * version.rows)
    chosen = sorted(flagged)[:accepted]
    outcomes = [
        Outcome(name, Axis.QUALITY, "rejected", "checks: refused")
        for name in sorted(flagged)[accepted:]
    ]
    prompts: dict[str, Vectors] = {}
    for number, sample in enumerate(version.take(chosen).values()):
        adds = number < added
        messages = _proposed(sample, adds)
        axis = Axis.DIVERSITY if adds else Axis.COMPLEXITY
        outcomes.append(Outcome(sample.id, axis, "accepted", "", messages, adds))
        vector = rng.standard_normal(PROMPT_WIDTH, dtype=np.float32)
        prompts[sample.id] = vector / np.linalg.norm(vector)
    return outcomes, prompts


def _proposed(sample: Sample, adds: bool) -> tuple[Message, ...]:
    prompt = f"In other words: {sample.prompt}" if adds else sample.prompt
    return sample.with_exchange(prompt, f"{sample.answer} That is all there is to say.")


def proposal(outcome: Outcome) -> dict[str, Any]:
    """Return a row of `proposals.parquet`."""
    turns = [message.as_dict() for message in outcome.messages or ()]
    return {
        **{"id": outcome.sample_id, "parent_id": outcome.sample_id, "axis": str(outcome.axis)},
        **{"attempt": 1, "messages": turns, "checks": [], "critique": None, "proof": None},
        **{"verdict": outcome.fate, "reason": outcome.reason},
    }


def growth(results: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return per step the exponent of growth: least squares of log seconds on log rows."""
    if len(results) < 2:
        return {}
    rows = np.log([result["rows"] for result in results])
    found: dict[str, float | None] = {}
    for name in results[0]["steps"]:
        seconds = np.array([result["steps"][name]["seconds"] for result in results])
        # A hundredth of a second is all that is measured of the fastest steps.
        usable = seconds >= 0.05
        slope = None
        if usable.sum() >= 2:
            slope = round(float(np.polyfit(rows[usable], np.log(seconds[usable]), 1)[0]), 2)
        found[name] = slope
    return found


def report(document: dict[str, Any]) -> str:
    """Return the figures as text, with what they were to reach."""
    results = document["results"]
    sizes = [f"{result['rows']:,}" for result in results]
    lines = []
    for name in results[0]["steps"]:
        found = [result["steps"][name] for result in results]
        ceiling = CEILINGS.get(name, 1.1)
        slope = document["growth"].get(name)
        kept = None if ceiling is None or slope is None else "yes" if slope <= ceiling else "NO"
        seconds = [one["seconds"] for one in found]
        peaks = [f"{one['peak_gb']:.2f}" for one in found]
        lines.append([name, *seconds, slope, ceiling, kept, *peaks])
    totals = [round(sum(s["seconds"] for s in result["steps"].values()), 1) for result in results]
    lines.append(["all", *totals, None, None, None, *[""] * len(sizes)])
    headers = ["step", *(f"{size} s" for size in sizes), "exponent", "at most", "kept"]
    text = table(lines, [*headers, *(f"{size} GB" for size in sizes)])
    last = results[-1]["steps"]
    most = sorted(last, key=lambda name: -last[name]["seconds"])[:3]
    shares = ", ".join(f"{name} {last[name]['seconds'] / totals[-1]:.0%}" for name in most)
    peak = max(one["peak_gb"] for one in last.values())
    return (
        f"{text}\n\nGB: peak memory of the process during the step. At {sizes[-1]} rows: peak"
        f" {peak:.2f} GB (to reach: {MEMORY_GB:g} at 200,000); most of the time: {shares}."
    )


if __name__ == "__main__":
    main()
