"""Whose answer stays, and what an older version's diagnosis leaves for the proofs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from middo.agents.prover import Evidence
from middo.agents.reference import Reference
from middo.core.records import Axis
from middo.curation.plan import Task
from middo.graph.deps import Deps
from middo.graph.refining import answer_stays, read_diagnosis, read_evidence
from middo.signals.robust import LengthBaseline
from middo.signals.thresholds import Choice
from middo.stores.runs import write_json
from middo.stores.tables import write_embeddings, write_signals
from tests.agents.evidence import COMPLEXITY, RAW, TERMS, calibration, evidence
from tests.graph.folder import opened

USUAL = LengthBaseline((), (3.0,), (0.5,))
"""Usual losses of prompts; complex from 4 nats per token on, as answers are from 2."""


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with opened(tmp_path) as found:
        yield found


def task(*axes: Axis) -> Task:
    return Task("parent", axes[0], axes, adds=False)


def knows(*, prompts: bool = True, **changes: Any) -> Evidence:
    model = replace(COMPLEXITY, prompt=USUAL if prompts else None)
    row = {
        "quality": 0.7,
        "loss_base": 1.2,
        "loss_tuned": 1.1,
        "answer_tokens": 20,
        "loss_prompt": 5.0,
        "prompt_tokens": 20,
        **changes,
    }
    reference = Reference(model, Choice(2.0, 0.1, ()), None, None, 1.0)
    return evidence(reference=reference, signals={"parent": row})


def test_a_sound_answer_stays_where_the_prompt_alone_is_complex() -> None:
    assert answer_stays(task(Axis.COMPLEXITY), knows())
    assert answer_stays(task(Axis.COMPLEXITY), knows(quality=None))
    assert not answer_stays(task(Axis.COMPLEXITY), knows(quality=0.4))
    assert not answer_stays(task(Axis.COMPLEXITY), knows(loss_base=2.9, loss_tuned=2.8))
    assert not answer_stays(task(Axis.COMPLEXITY, Axis.QUALITY), knows())
    assert not answer_stays(task(Axis.QUALITY), knows())
    assert not answer_stays(task(Axis.COMPLEXITY), knows(prompts=False))


def test_the_evidence_of_a_version_that_read_no_prompts_is_read(deps: Deps) -> None:
    folder = deps.round_folder(0)
    folder.mkdir(parents=True, exist_ok=True)
    ids = ["parent", "near", "far", "other"]
    path = folder / "signals.parquet"
    known = {"quality": [0.3] * 4, "answer_tokens": [20] * 4, "loss_tuned": [1.1] * 4}
    write_signals(path, {"id": ids, **known})
    older = pq.read_table(path).drop_columns(["loss_prompt", "prompt_tokens"])
    pq.write_table(older, path)
    write_embeddings(folder / "embeddings.parquet", ids, RAW)
    thresholds = Reference(COMPLEXITY, Choice(2.0, 0.1, ()), None, None, 1.0).as_dict()
    del thresholds["complexity"]["prompt"]
    write_json(
        folder / "diagnosis.json",
        {
            "proof": {"terms": TERMS.as_dict(), "loss_ceiling": 5.0, "holdout_rows": 9},
            "calibration": calibration().as_dict(),
            "thresholds": thresholds,
            "shift": 0.1,
            "flags": [{"id": "parent"}],
        },
    )
    found = read_evidence(deps, 0, read_diagnosis(deps, 0))
    assert (found.terms, found.shift, found.reference.complexity) == (TERMS, 0.1, COMPLEXITY)
    (row,) = found.signals.values()
    assert row == {
        "id": "parent",
        "quality": 0.3,
        "answer_tokens": 20,
        "loss_tuned": 1.1,
        "neighbours": None,
    }
    assert not answer_stays(task(Axis.COMPLEXITY), found)
