"""A run folder that stands before `refine`, for `benchmarks/loop.py`: real texts, made-up figures.

Everything is written through the run's own stores. What would be the trainee's work, scoring
proposals and embedding sentences, is done by stand-ins that answer at once; checks, critique,
proof arithmetic, ledger and merge are the real ones.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.teacher import FRAME, UNPROVEN
from middo.agents.diagnostician import AxisReport
from middo.agents.reference import Reference
from middo.core.config import RunConfig
from middo.core.ids import short_hash
from middo.core.measures import Ask, Item, Measured
from middo.core.progress import Report
from middo.core.records import Axis, Flag, Message, Sample, sample_id
from middo.curation.holdout import holdout_size
from middo.curation.plan import plan_refinement
from middo.formats.importing import import_data
from middo.graph.deps import Deps
from middo.signals.complexity import ComplexityModel
from middo.signals.features import LengthScale
from middo.signals.proof import Terms
from middo.signals.quality import Calibration, KindReport
from middo.signals.robust import LengthBaseline
from middo.signals.thresholds import Choice
from middo.stores.database import open_database
from middo.stores.runs import write_json
from middo.stores.samples import write_version
from middo.stores.tables import write_embeddings, write_signals

ROWS_PER_FLAG = 4
"""Rows of the data set per flagged one: about what the default share of 0.08 per axis gives."""

LONGEST = 6_000
"""Characters; longer texts would meet the rewriter's own limit, which is not measured here."""

WIDTH = 576
"""Numbers in an embedding, as SmolLM2-135M has."""

AXES = (Axis.COMPLEXITY, Axis.QUALITY, Axis.DIVERSITY)


class InstantDeps(Deps):
    """An open run whose trainee and sentence embedder answer at once."""

    vectors: dict[str, NDArray[np.float32]]
    """Prompt of a sparse sample -> its embedding as measured, float32[d]."""

    @cached_property
    def embedder(self) -> Any:
        """Unit vectors, any two of which have a cosine of about 0.75."""
        return _embed

    @contextmanager
    def measuring(self, round: int | None) -> Iterator[Any]:
        """Yield a scorer that has its figures ready."""
        yield SimpleNamespace(scorer=SimpleNamespace(score=self._score))

    def _score(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        return [self._measured(item, asks) for item in items]

    def _measured(self, item: Item, asks: frozenset[Ask]) -> Measured:
        answer, prompt = item.messages[-1].content, item.messages[-2].content
        embedding = None
        if "embedding" in asks:
            vector = self.vectors[prompt.removeprefix(FRAME)] + 0.5 * _noise(prompt)
            embedding = tuple(vector.tolist())
        return Measured(
            answer_tokens=len(answer.split()),
            prompt_tokens=len(prompt.split()),
            loss=1.5,
            end=1.0 if answer.endswith(UNPROVEN) else -3.0,
            embedding=embedding,
        )


def prepare(folder: Path, data: str, samples: int, config: RunConfig, report: Report) -> Deps:
    """Write a run folder as it stands after `diagnose`, and open it.

    Args:
        folder: new.
        data: file with real texts; repeated with changes until there are enough rows.
        samples: flagged samples.
        config: of the run.
        report: receives progress events.
    """
    folder.mkdir(parents=True)
    deps = InstantDeps(folder, config, open_database(folder / "ledger.db"), report)
    rows, held = _rows(data, samples * ROWS_PER_FLAG)
    write_version(folder / "holdout", held, parent=None, made_by={"step": "benchmark"})
    made = write_version(
        deps.round_folder(0) / "dataset", rows, parent=None, made_by={"step": "benchmark"}
    )
    deps.facts.put("rounds_seen", 1)
    deps.facts.put("round.0.dataset", {"rows": made.rows, "sha256": made.sha256})
    ordered = sorted(rows, key=lambda row: row.id)
    flagged = {row.id: AXES[i % 3] for i, row in enumerate(ordered[::ROWS_PER_FLAG])}
    raw = np.random.default_rng(config.seed).normal(size=(len(ordered), WIDTH))
    vectors = raw.astype(np.float32)
    write_embeddings(
        deps.round_folder(0) / "embeddings.parquet", [row.id for row in ordered], vectors
    )
    write_signals(deps.round_folder(0) / "signals.parquet", _signals(ordered, flagged))
    write_json(deps.round_folder(0) / "diagnosis.json", _diagnosis(flagged))
    deps.vectors = {
        row.prompt.strip(): vector  # as the rewriter hands texts on
        for row, vector in zip(ordered, vectors, strict=True)
        if flagged.get(row.id) is Axis.DIVERSITY
    }
    return deps


def _rows(data: str, count: int) -> tuple[list[Sample], list[Sample]]:
    """Return the data set and the hold-out; no text of the one stands in the other."""
    usable = [
        (row.prompt, row.answer)
        for row in import_data(data).samples
        if len(row.prompt) < LONGEST and len(row.answer) < LONGEST
    ]
    held = holdout_size(len(usable))
    pairs, first = usable[held:], usable[:held]
    rows: dict[str, Sample] = {}
    turn = 0
    while len(rows) < count:
        for number, (prompt, answer) in enumerate(pairs):
            told = f"For {_name(turn)}: {prompt}" if turn else prompt
            row = _sample(told, answer, f"rows:{number + 1}")
            rows.setdefault(row.id, row)
        turn += 1
    kept = [_sample(prompt, answer, "held") for prompt, answer in first]
    return list(rows.values())[:count], list({row.id: row for row in kept}.values())


def _name(turn: int) -> str:
    """Return a word for a number; a numeral would be one of the task's numbers."""
    return "Reader" + "".join(chr(ord("a") + int(digit)) for digit in str(turn))


def _sample(prompt: str, answer: str, source: str) -> Sample:
    messages = (Message("user", prompt), Message("assistant", answer))
    return Sample(sample_id(messages), messages, source)


def _signals(ordered: Sequence[Sample], flagged: dict[str, Axis]) -> dict[str, Any]:
    """Return the columns of `signals.parquet`; what no proof asks for stays null."""
    names = [row.id for row in ordered]
    axes = [flagged.get(name) for name in names]
    return {
        "id": names,
        "source": [row.source for row in ordered],
        "answer_tokens": np.array([len(row.answer.split()) for row in ordered]),
        "neighbours": [[names[i - 1], names[i - 2]] for i in range(len(names))],
        "quality": np.array([0.3 if axis is Axis.QUALITY else 0.9 for axis in axes]),
        "flags": [[str(axis)] if axis else [] for axis in axes],
    }


def _diagnosis(flagged: dict[str, Axis]) -> dict[str, Any]:
    baseline = LengthBaseline((), (1.5,), (0.5,))
    complexity = ComplexityModel(baseline, baseline, 0.5, 1_000)
    kind = KindReport("cut", 64, 0.95, 0.9, 0.99, True, (1.0,), 0.0, {})
    calibration = Calibration(
        on=True,
        reason="",
        rows=64,
        signals=("end",),
        kinds=(kind,),
        scale=LengthScale((0.0,), (0.0,), (1.0,), 0.0, 10.0),
        standard_error=0.05,
    )
    terms = Terms(0.1, 0.5, calibration.margin, quality_threshold=0.4, quality_median=0.8)
    flags = [Flag(name, axis, 1.0, 0.5, "made up") for name, axis in flagged.items()]
    return {
        "round": 0,
        "source_round": 0,
        "axes": {str(axis): _axis(axis, flagged).as_dict() for axis in AXES},
        "cautions": [],
        "clusters": None,
        "drift": None,
        "thresholds": Reference(complexity, Choice(2.0, 0.1, ()), None, None, 2.0).as_dict(),
        "shift": 0.0,
        "calibration": calibration.as_dict(),
        "flags": [flag.as_dict() for flag in flags],
        "proof": {"terms": terms.as_dict(), "holdout_rows": 64},
        "plan": plan_refinement(flags, None).as_dict(),
    }


def _axis(axis: Axis, flagged: dict[str, Axis]) -> AxisReport:
    """Return what pages tell of an axis: no threshold chose these rows."""
    count = sum(found is axis for found in flagged.values())
    return AxisReport(False, "its flags are made up", None, None, count, 0)


def _noise(text: str) -> NDArray[np.float32]:
    """Return float32[d] about normal, the same for the same text."""
    seed = int(short_hash(text), 16)
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


def _embed(texts: list[str]) -> NDArray[np.float32]:
    spread = b"".join(
        hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(384) for text in texts
    )
    own = np.frombuffer(spread, dtype=np.int8).reshape(len(texts), 384)
    rows = own.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows += np.float32(np.sqrt(3.0 / 384))  # one direction in common
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
