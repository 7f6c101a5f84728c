"""How long a run works on this machine and what it leaves on disk, as arithmetic.

Speeds and sizes come in, measured or assumed; `graph/timing.py` measures them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

KINDS_OF_CONTROLS = 6
"""Broken copies of each calibration row, at most."""
LEDGER_BYTES = 15_500
"""Of the ledger per refined sample; measured (docs/performance.md)."""
ROW_BYTES = 1_500
"""Of tables and measurements per row and diagnosis, embeddings apart."""
INDEX_OVERHEAD = 1_000
"""Of the vector index per row, the vector apart."""
FIXED_BYTES = 2_000_000
"""Empty databases, logs, the export's card."""
COPIES_OF_EMBEDDINGS = 3
"""A table, the index, and the measurements as they came."""
TRAINING_STATES = 2 * 3
"""Checkpoints while training: two of them, each weights and two moments."""
REMOTE_WAIT = 1.0
REMOTE_TOKENS = 60.0
"""Assumed of a model elsewhere: seconds before its first token, tokens per second after."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a run computes, in rows, tokens and steps.

    Attributes:
        rounds: refinements; trainings are one more.
        steps: optimizer steps of one training.
        train_rows: rows that are trained on.
        holdout_rows: rows that are held out.
        calibration_rows: rows that quality is calibrated on.
        plain_tokens: per row, for its loss alone.
        full_tokens: per row, for all signals.
        flagged: samples refined, per round.
    """

    rounds: int
    steps: int
    train_rows: int
    holdout_rows: int
    calibration_rows: int
    plain_tokens: float
    full_tokens: float
    flagged: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Speeds:
    """What this machine does with the trainee.

    Attributes:
        start: seconds until a training's first step.
        step: seconds per optimizer step.
        load: seconds to load the model for scoring.
        scoring: tokens per second.
    """

    start: float
    step: float
    load: float
    scoring: float


def training_seconds(shape: Shape, speeds: Speeds) -> float:
    """Return the time of all trainings; each takes as many steps."""
    return (shape.rounds + 1) * (speeds.start + shape.steps * speeds.step)


def scoring_seconds(shape: Shape, speeds: Speeds, proofs_per_sample: float) -> float:
    """Return the time of evaluations, diagnoses and proofs.

    The base model's losses are kept: later rounds measure only the rows that changed.
    """
    rows, held = shape.train_rows, shape.holdout_rows
    evaluations = (shape.rounds + 2) * held * shape.plain_tokens
    calibration = shape.calibration_rows * (1 + KINDS_OF_CONTROLS) * shape.full_tokens
    diagnosis = calibration + (rows + held) * shape.full_tokens
    base = (rows + sum(shape.flagged[:-1])) * shape.plain_tokens if shape.rounds else 0.0
    proofs = sum(shape.flagged) * proofs_per_sample * shape.full_tokens
    tokens = evaluations + shape.rounds * diagnosis + base + proofs
    loads = (shape.rounds + 1) + 2 * shape.rounds  # evaluate, diagnose, refine
    return loads * speeds.load + tokens / speeds.scoring


def disk_bytes(
    shape: Shape,
    *,
    row_bytes: float,
    json_bytes: float,
    model_bytes: float,
    trainable: int,
    width: int,
) -> Mapping[str, float]:
    """Return what a finished run takes, by what it is, and its `peak` while it trains.

    Args:
        shape: of the run.
        row_bytes: of a row in a version of the data set.
        json_bytes: of a row as JSON, as training and export have it.
        model_bytes: of an adapter, or of all weights.
        trainable: parameters that are trained.
        width: of an embedding.
    """
    versions = shape.rounds + 1
    rows = shape.train_rows
    data = versions * rows * (row_bytes + json_bytes) + shape.holdout_rows * row_bytes
    data += rows * json_bytes
    per_row = COPIES_OF_EMBEDDINGS * width * 4 + INDEX_OVERHEAD + ROW_BYTES
    parts = {
        "data": data,
        "models": (versions + 1) * model_bytes,  # the export holds one more
        "embeddings and signals": shape.rounds * rows * per_row,
        "ledger": sum(shape.flagged) * LEDGER_BYTES + FIXED_BYTES,
    }
    finished = sum(parts.values())
    checkpoints = TRAINING_STATES * trainable * 4
    return {**parts, "finished": finished, "peak": finished + checkpoints}
