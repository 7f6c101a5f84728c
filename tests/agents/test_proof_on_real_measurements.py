"""TO BE WRITTEN"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from middo.agents.diagnostician import Diagnosis, diagnose, fit_reference
from middo.agents.prover import Evidence, Prover
from middo.agents.signal_table import Signals, collect, table
from middo.core.config import SignalsConfig
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Axis, Verdict
from middo.signals.calibration import calibrate
from middo.signals.density import centre_and_normalise, density
from middo.signals.proof import Terms, loss_floor, median_quality
from middo.stores.vectors import ExactIndex

from .proof_cases import SEED, Case, DataSet, control_item, data_set
from .record_proofs import read_record


@dataclass(frozen=True, slots=True)
class Round:
    """A diagnosis of real measurements, and the prover that it arms."""

    data: DataSet
    signals: Signals
    found: Diagnosis
    evidence: Evidence
    prover: Prover

    def prove(self, case: Case) -> Verdict:
        return asyncio.run(self.prover.prove(case.proposal))

    def flagged(self, axis: Axis) -> set[str]:
        return {flag.sample_id for flag in self.found.flags if flag.axis is axis}


@pytest.fixture(scope="module", name="diagnosed")
def fixture_diagnosed() -> Round:
    return diagnosed_round(data_set(), read_record())


def diagnosed_round(data: DataSet, record: dict[str, Measured]) -> Round:
    """Calibrate, diagnose and collect the evidence as a round does, with m = b."""
    broken: dict[str, dict[str, Measured]] = {}
    for control in data.controls:
        measured = record[control_item(data, control).key]
        broken.setdefault(control.kind, {})[control.row_id] = measured
    calibration = calibrate({s.id: record[s.id] for s in data.calibration}, broken, SEED)
    rows = {sample.id: record[sample.id] for sample in data.samples}
    signals = collect(data.samples, rows, rows, calibration, one_model=True)
    raw = signals.vectors()
    vectors = centre_and_normalise(raw)
    index = ExactIndex()
    index.add(signals.ids, vectors)
    near = density(signals.ids, vectors, [s.prompt for s in signals.samples], index.nearest)
    config = SignalsConfig()
    reference = fit_reference(signals, near, config, None)
    found = diagnose(
        signals,
        near,
        calibration,
        reference,
        config,
        holdout_loss=None,
        suppressed={axis: frozenset() for axis in Axis},
        clusters=None,
        drift=None,
    )
    flagged = {flag.sample_id for flag in found.flags}
    calm = np.array([name not in flagged for name in signals.ids])
    assert reference.quality is not None
    terms = Terms(
        offset=0.0,
        loss_floor=loss_floor(signals.loss_base[calm]),
        margin=calibration.margin,
        quality_threshold=reference.quality.value,
        quality_median=median_quality(signals.quality[calm]),
    )
    evidence = Evidence(
        terms=terms,
        calibration=calibration,
        reference=reference,
        shift=0.0,
        loss_ceiling=float(signals.loss_base[calm].max()),
        signals={row["id"]: row for row in table(signals, found.complexity, near, {}, found.flags)},
        ids=signals.ids,
        raw=raw,
        neighbours=config.neighbours,
    )

    def score(items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        return [record[item.key] for item in items]

    return Round(data, signals, found, evidence, Prover(score, evidence))
