"""A run folder that waits for a review, as a run leaves it, made with the stores' own code."""

import json
from pathlib import Path
from typing import Any

from middo.core.config import RunConfig
from middo.core.records import Axis, Fate, Message, Sample, sample_id
from middo.formats.configuration import dump_config
from middo.stores.database import open_database
from middo.stores.facts import Facts
from middo.stores.ledger import Ledger, Outcome
from middo.stores.reviews import Reviews, review_fact
from middo.stores.runs import write_run
from middo.stores.samples import write_version
from middo.stores.tables import write_signals

PROOF = {
    "name": "proof.quality",
    "passed": True,
    "reason": "",
    "numbers": {
        **{"loss": 2.15, "loss_compared": 2.136, "loss_at_least": 1.2877, "loss_at_most": 4.1616},
        **{"quality": 0.7682, "original_quality": 0.2953, "quality_at_least": 0.627},
    },
}
HELD = "The longest river of that country is named after a saint who never saw it."


def conversation(answer: str) -> tuple[Message, ...]:
    return Message("user", "Name a river."), Message("assistant", answer)


def row(parent: str, answer: str) -> dict[str, Any]:
    """Return an accepted proposal."""
    messages = conversation(answer)
    return {
        **{"id": sample_id(messages), "parent_id": parent, "axis": "quality", "attempt": 2},
        "adds": False,
        "messages": [message.as_dict() for message in messages],
        "checks": [
            {"name": "numbers", "passed": True, "numbers": {}, "reason": ""},
            {"name": "quotes", "passed": False, "numbers": {}, "reason": "A quote is gone."},
        ],
        "critique": {"verdict": "accept", "problems": [], "feedback": "Fine now."},
        **{"proof": PROOF, "verdict": "accepted", "reason": ""},
    }


def paused_run(folder: Path) -> Path:
    """Write a run whose samples aa11, ab22 and bb33 wait; cc44's proposals were rejected."""
    names = ("aa11", "ab22", "bb33", "cc44")
    samples = [Sample(n, conversation(f"{n} runs."), f"f.jsonl:{n[-1]}") for n in names]
    source = folder / "rounds" / "0"
    write_version(source / "dataset", samples, parent=None, made_by={})
    held = Sample("dd55", (Message("user", "And there?"), Message("assistant", HELD)), "f.jsonl:5")
    write_version(folder / "holdout", [held], parent=None, made_by={})
    flags = [{"id": name, "axis": "quality", "reason": "reads like a broken one"} for name in names]
    diagnosis = {"source_round": 0, "axes": {}, "flags": flags}
    (source / "diagnosis.json").write_text(json.dumps(diagnosis), encoding="utf-8")
    write_signals(
        source / "signals.parquet",
        {"id": list(names), "source": [""] * 4, "neighbours": [[names[n - 1]] for n in range(4)]},
    )
    (folder / "config.yaml").write_text(dump_config(RunConfig(review=True)), encoding="utf-8")
    fates: dict[str, Fate] = {"aa11": "accepted", "ab22": "accepted", "bb33": "accepted"}
    fates["cc44"] = "rejected"
    answers = ("The Aare.", "The Drau.", "The Elbe.", "The Isar.")
    database = open_database(folder / "ledger.db")
    Ledger(database).add_outcomes(
        Outcome(0, name, Axis.QUALITY, fates[name], "", [row(name, answer)])
        for name, answer in zip(names, answers, strict=True)
    )
    facts = Facts(database)
    facts.put("rounds_seen", 1)
    facts.put("round.0.diagnosis", {"source_round": 0})
    review = Reviews(database).tally(0).as_dict(open=True)
    facts.put(review_fact(0), review)
    database.close()
    entry = {"round": 0, "flagged": {"samples": 4, "quality": 4}, "review": review}
    write_run(folder, {"run": folder.name, "status": "paused", "rounds": [entry]})
    return folder
