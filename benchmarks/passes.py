"""Middo's side of `diagnosis.py`: its real scorer, calibration and training, timed step by step."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from middo.agents.calibrating import OF_PROMPT, ROW_ASKS, calibrate_quality
from middo.agents.measuring import Measuring
from middo.core.ids import content_hash
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Sample
from middo.stores.database import open_database
from middo.stores.facts import Facts
from middo.stores.scores import Scores
from middo.training.device import Dtype
from middo.training.job import TrainingJob, train
from middo.training.scorer import Scorer
from middo.training.sources import ModelSource, load_causal_lm

LOSS: frozenset[Ask] = frozenset()
PARITY: frozenset[Ask] = frozenset({"embedding", "ratings"})
FULL: frozenset[Ask] = frozenset({"embedding", "alone", "reverse", "ratings"})

REPETITIONS = 3
CALIBRATION_ROWS = 64
DIAGNOSED_ROWS = 1000
HOLDOUT_ROWS = 100


@dataclass(frozen=True, slots=True)
class Pass:
    """One scoring of some rows.

    Attributes:
        seconds: planning, encoding and scoring; the model is loaded before.
        rows: scored rows.
        passes: forward passes.
        tokens: tokens computed, padding left out.
        computed: tokens computed, padding included.
    """

    seconds: float
    rows: int
    passes: int
    tokens: int
    computed: int

    def as_dict(self) -> dict[str, float]:
        """Return the figures with those that follow from them."""
        return {
            **asdict(self),
            "tokens_per_second": round(self.tokens / self.seconds, 1),
            "padding": round(1 - self.tokens / self.computed, 4),
        }


def items_of(samples: Sequence[Sample]) -> list[Item]:
    """Return samples as the scorer takes them."""
    return [Item(sample.id, sample.messages) for sample in samples]


def score(
    scorer: Scorer, items: Sequence[Item], asks: frozenset[Ask]
) -> tuple[Pass, list[Measured]]:
    """Plan and score all items, and time it.

    Raises:
        ValueError: an item could not be scored, so that the time would tell nothing.
    """
    before = replace(scorer.work)
    started = time.perf_counter()
    plan = scorer.plan(items, asks)
    found: dict[int, Measured] = {}
    for batch in plan:
        found.update(zip(batch, scorer.score([items[i] for i in batch], asks), strict=True))
    seconds = time.perf_counter() - started
    measured = [found[index] for index in range(len(items))]
    if refused := {one.unscored for one in measured if one.unscored}:
        raise ValueError(f"rows that can't be scored: {', '.join(sorted(refused))}")
    after = scorer.work
    taken = Pass(
        seconds,
        len(items),
        passes=after.passes - before.passes,
        tokens=after.tokens - before.tokens,
        computed=after.computed - before.computed,
    )
    return taken, measured


def scorable(scorer: Scorer, samples: Sequence[Sample]) -> list[Sample]:
    """Return the first samples that the scorer can take with every signal, as many as are used."""
    wanted = DIAGNOSED_ROWS + HOLDOUT_ROWS
    found: list[Sample] = []
    for start in range(0, len(samples), wanted):
        part = samples[start : start + wanted]
        lengths = scorer.count_tokens(items_of(part), FULL)
        found += [one for one, length in zip(part, lengths, strict=True) if length]
        if len(found) >= wanted:
            break
    return found[:wanted]


def opened(source: ModelSource, dtype: Dtype, max_length: int) -> tuple[Scorer, float]:
    """Load the base model with its self-test, and return it with the seconds that this took."""
    started = time.perf_counter()
    scorer = Scorer(source.folder, dtype=dtype, max_length=max_length)
    return _tested(scorer), time.perf_counter() - started


def adapted(base: Scorer, adapter: Path) -> tuple[Scorer, float]:
    """Turn the base model into the tuned one, as `opened`; the base can't be used any more."""
    started = time.perf_counter()
    return _tested(base.adapted(adapter)), time.perf_counter() - started


def _tested(scorer: Scorer) -> Scorer:
    if not scorer.fused:
        raise ValueError("the self-test refuses fused passes of this model; nothing to compare")
    return scorer


def against_causal(
    scorer: Scorer, source: ModelSource, dtype: Dtype, items: Sequence[Item], asks: frozenset[Ask]
) -> dict[str, Any]:
    """Compare scoring with plain causal passes over batches of the same sizes.

    Both sides take turns batch by batch, so that other work on the machine meets both alike. The
    plain pass stops at the last hidden states and has no padding to mask.
    """
    import torch

    model = load_causal_lm(source.folder, dtype, "cpu")
    lengths = scorer.count_tokens(items, asks)
    fused, causal, computed = [0.0] * REPETITIONS, [0.0] * REPETITIONS, 0
    for repetition in range(REPETITIONS):
        started = time.perf_counter()
        plan = scorer.plan(items, asks)
        fused[repetition] += time.perf_counter() - started
        for batch in plan:
            shape = (len(batch), max(lengths[i] for i in batch))
            computed += shape[0] * shape[1]
            ids = torch.arange(shape[0] * shape[1]).reshape(shape) % model.config.vocab_size
            started = time.perf_counter()
            scorer.score([items[i] for i in batch], asks)
            between = time.perf_counter()
            with torch.inference_mode():
                model.base_model(input_ids=ids, use_cache=False)
            fused[repetition] += between - started
            causal[repetition] += time.perf_counter() - between
    ratios = [one / other for one, other in zip(fused, causal, strict=True)]
    return {
        "asks": sorted(asks),
        "rows": len(items),
        "tokens": sum(lengths),
        "padding_causal": round(1 - sum(lengths) * REPETITIONS / computed, 4),
        "seconds_fused": statistics.median(fused),
        "seconds_causal": statistics.median(causal),
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }


def diagnosed(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the rows of the diagnosis that calibration is held against, and the hold-out."""
    held = min(HOLDOUT_ROWS, len(samples) // 11)
    return list(samples[held : held + DIAGNOSED_ROWS]), list(samples[:held])


def calibration_share(
    on_base: Pass, tuned: Scorer, samples: Sequence[Sample], work: Path, seed: int
) -> dict[str, Any]:
    """Time calibration and the diagnosis of some rows, and set one against 1,000 rows.

    The diagnosis measures what earned a weight in the calibration, and of the rows that the
    calibration measured only the base model's loss, as in a run; the share is also told for a
    diagnosis with all signals, which takes none of them over. Seconds of rows that are not measured
    follow from their tokens. The share of the tokens computed stands beside that of the seconds:
    other work on the machine can't change it.

    Args:
        on_base: the base model's pass over the first rows of `diagnosed`; as many are measured
            with the tuned model, and the others are extrapolated.
        tuned: the tuned model.
        samples: rows in random order.
        work: an empty folder for the stores.
        seed: of the calibration.
    """
    rows, held = diagnosed(samples)
    measured = items_of(rows[: on_base.rows])
    database = open_database(work / "ledger.db")
    try:
        measuring = Measuring(
            tuned,
            "tuned",
            scores=Scores(database),
            facts=Facts(database),
            should_stop=lambda: False,
        )
        before = tuned.work.tokens
        started = time.perf_counter()
        calibration = calibrate_quality(
            measuring, "calibration", rows, held, rows=CALIBRATION_ROWS, seed=seed
        )
        seconds = time.perf_counter() - started
        tokens = tuned.work.tokens - before
        done = {str(item) for (item,) in database.query("SELECT item FROM scores")}
    finally:
        database.close()
    earned: frozenset[Ask] = calibration.asks | OF_PROMPT
    base_tokens = _tokens(tuned, LOSS, rows)
    diagnoses: dict[str, float] = {}
    computed: dict[str, float] = {}
    spared: dict[str, int] = {}
    for name, asks in (("earned", earned), ("all", FULL)):
        over = [row for row in rows if row.id in done and any(asks <= had for had in ROW_ASKS)]
        more = _tokens(tuned, asks, rows) - sum(tuned.count_tokens(items_of(over), asks))
        rate = score(tuned, measured, asks)[0]
        spared[name] = len(over)
        computed[name] = base_tokens + more
        diagnoses[name] = _seconds(on_base, base_tokens) + _seconds(rate, more)
    return {
        "calibration_rows": calibration.rows,
        "calibration_seconds": seconds,
        "calibration_tokens": tokens,
        "off": calibration.reason,
        "kinds_that_count": [kind.kind for kind in calibration.kinds if kind.counts],
        "asks": {"earned": sorted(earned), "all": sorted(FULL)},
        "rows": DIAGNOSED_ROWS,
        "rows_in_the_data": len(rows),
        "rows_measured": len(measured),
        "extrapolated": len(measured) < DIAGNOSED_ROWS,
        "diagnosis_seconds": diagnoses,
        "rows_taken_over": spared,
        "diagnosis_tokens": computed,
        "share": {name: seconds / (seconds + other) for name, other in diagnoses.items()},
        "share_of_tokens": {name: tokens / (tokens + other) for name, other in computed.items()},
    }


def _tokens(scorer: Scorer, asks: frozenset[Ask], rows: Sequence[Sample]) -> float:
    """Return the tokens of 1,000 rows like these."""
    return sum(scorer.count_tokens(items_of(rows), asks)) * DIAGNOSED_ROWS / len(rows)


def _seconds(taken: Pass, tokens: float) -> float:
    """Return the seconds of so many tokens, from a pass over some rows."""
    return taken.seconds / taken.tokens * tokens


def trained_adapter(
    source: ModelSource, samples: Sequence[Sample], work: Path, dtype: Dtype, max_length: int
) -> Path:
    """Fine-tune the base model on some rows with Middo's training, and return the adapter."""
    rows = work / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as stream:
        for sample in samples:
            messages = [{"role": m.role, "content": m.content} for m in sample.messages]
            stream.write(json.dumps({"id": sample.id, "messages": messages}) + "\n")
    job = TrainingJob(
        base=source.folder,
        base_digest=source.digest,
        rows=rows,
        dataset_sha256=content_hash([sample.id for sample in samples]),
        output=work / "model",
        learning_rate=2e-4,
        dtype=dtype,
        max_length=max_length,
        seed=7,
    )
    return train(job).folder
