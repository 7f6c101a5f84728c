"""A run folder as readers find it, written by the stores' own code; no model is involved."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from middo.core.config import RunConfig
from middo.core.records import Axis, Fate, Message, Sample, sample_id
from middo.formats.configuration import dump_config
from middo.signals.projection import fit_projection
from middo.stores.database import open_database
from middo.stores.facts import Facts
from middo.stores.index import INDEX_DB
from middo.stores.indexing import index_writer
from middo.stores.ledger import Ledger, Outcome
from middo.stores.runs import write_json, write_run, write_text
from middo.stores.samples import Version, write_version
from middo.stores.tables import write_embeddings, write_signals

COLUMNS = {"complexity": "complexity", "diversity": "density", "quality": "quality"}
THRESHOLDS = {"complexity": 1.0, "diversity": 0.3, "quality": 0.4}


def pair(prompt: str, answer: str) -> tuple[Message, ...]:
    return (Message("user", prompt), Message("assistant", answer))


def sample(prompt: str, answer: str = "An answer.", row: int = 1, **fields: Any) -> Sample:
    messages = pair(prompt, answer)
    return Sample(sample_id(messages), messages, f"rows.jsonl:{row}", **fields)


def numbered(count: int) -> list[Sample]:
    return [sample(f"Question {n} about apples", f"Answer {n}.", n + 1) for n in range(count)]


def rewritten(parent: Sample, prompt: str, answer: str, round: int) -> Sample:
    made = sample(prompt, answer, origin="rewritten", parent_id=parent.id, round=round)
    return replace(made, source=parent.source)


def added(parent: Sample, prompt: str, round: int) -> Sample:
    made = sample(prompt, origin="added", parent_id=parent.id, round=round)
    return replace(made, source=parent.source)


def proposal(
    parent: Sample, made: Sample, axis: Axis, verdict: str, attempt: int = 1, **gates: Any
) -> dict[str, Any]:
    row = {
        "id": made.id,
        "parent_id": parent.id,
        "axis": str(axis),
        "attempt": attempt,
        "messages": [message.as_dict() for message in made.messages],
        "adds": made.origin == "added",
        "checks": [{"name": "empty", "passed": True, "numbers": {"empty": []}, "reason": ""}],
        "critique": None,
        "proof": None,
        "verdict": verdict,
        "reason": "",
    }
    return {**row, **gates}


class Folder:
    """A run folder under way; `indexed` says whether it writes `index.db` as runs do."""

    def __init__(self, path: Path, *, indexed: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.indexed = indexed
        self.document: dict[str, Any] = {
            "run": path.name,
            "status": "finished",
            "rounds": [],
            "best_round": None,
            "export": None,
        }
        write_text(path / "config.yaml", dump_config(RunConfig()))
        open_database(path / "ledger.db").close()
        write_run(path, self.document)

    def holdout(self, samples: Sequence[Sample]) -> None:
        write_version(self.path / "holdout", samples, parent=None, made_by={})

    def dataset(self, number: int, samples: Sequence[Sample], gate: str = "tie") -> None:
        folder = self.path / "rounds" / str(number) / "dataset"
        write_version(folder, samples, parent=None, made_by={})
        self.document["rounds"].append({"round": number, "gate": gate})
        write_run(self.path, self.document)
        if self.indexed:
            with index_writer(self.path / INDEX_DB) as index:
                index.add_version(number, Version(folder))

    def diagnosis(
        self,
        number: int,
        scores: Mapping[str, Mapping[str, float | None]],
        flags: Sequence[tuple[str, Axis, str]] = (),
        *,
        source: int | None = None,
        off: Mapping[str, str] | None = None,
        unscored: Mapping[str, str] | None = None,
        vectors: Mapping[str, Sequence[float]] | None = None,
        neighbours: Mapping[str, Sequence[str]] | None = None,
        clusters: Mapping[str, int] | None = None,
    ) -> None:
        """Write signals and diagnosis; `scores` is axis -> id -> score, or a column's name."""
        source = number if source is None else source
        folder = self.path / "rounds" / str(number)
        version = Version(self.path / "rounds" / str(source) / "dataset")
        rows = sorted((one.id, one.source) for one in version)
        ids = [name for name, _ in rows]
        axes: dict[str, list[str]] = {}
        for name, axis, _ in flags:
            axes.setdefault(name, []).append(str(axis))
        columns: dict[str, Any] = {
            COLUMNS.get(axis, axis): np.array(
                [np.nan if found.get(name) is None else found[name] for name in ids], dtype=float
            )
            for axis, found in scores.items()
        }
        labels = np.array([(clusters or {}).get(name, -1) for name in ids])
        write_signals(
            folder / "signals.parquet",
            {
                **columns,
                "id": ids,
                "source": [place for _, place in rows],
                "cluster": np.ma.MaskedArray(labels, mask=np.full(len(ids), clusters is None)),
                "neighbours": [list((neighbours or {}).get(name, ())) for name in ids],
                "flags": [axes.get(name, []) for name in ids],
                "unscored": [(unscored or {}).get(name) for name in ids],
            },
        )
        embedded = sorted(vectors or {})
        matrix = np.array([(vectors or {})[name] for name in embedded], dtype=np.float32)
        matrix = matrix if embedded else np.zeros((0, 1), dtype=np.float32)
        write_embeddings(folder / "embeddings.parquet", embedded, matrix)
        reports = {
            str(axis): {"on": False, "reason": off[axis], "threshold": None}
            if off and axis in off
            else {"on": True, "reason": "", "threshold": THRESHOLDS[axis]}
            for axis in Axis
        }
        write_json(
            folder / "diagnosis.json",
            {
                "round": number,
                "source_round": source,
                "axes": reports,
                "flags": [
                    {"id": name, "axis": str(axis), "score": 0.0, "threshold": 0.0, "reason": why}
                    for name, axis, why in flags
                ],
            },
        )
        if self.indexed:
            with index_writer(self.path / INDEX_DB) as index:
                index.add_diagnosis(number, source, folder, partial(fit_projection, seed=7))

    def outcome(
        self,
        number: int,
        parent: Sample,
        axis: Axis,
        fate: Fate,
        reason: str = "",
        proposals: Sequence[dict[str, Any]] = (),
    ) -> None:
        database = open_database(self.path / "ledger.db")
        outcome = Outcome(number, parent.id, axis, fate, reason, list(proposals))
        Ledger(database).add_outcomes([outcome])
        database.close()

    def fates(self, number: int, fates: Mapping[str, tuple[str, str]]) -> None:
        database = open_database(self.path / "ledger.db")
        plain = {name: list(pair) for name, pair in fates.items()}
        Facts(database).put(f"round.{number}.fates", plain)
        database.close()

    def finish(self, best: int) -> None:
        self.document |= {"best_round": best, "export": "export"}
        write_run(self.path, self.document)
