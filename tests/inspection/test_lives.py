"""Lives: a line is followed through rewrites, additions and rollbacks, and every round is told."""

from pathlib import Path

import pytest

from middo.core.errors import UsageError
from middo.core.records import Axis
from middo.inspection.lives import life
from middo.inspection.record import Record, open_record
from middo.stores.runs import write_run

from .folder import Folder, added, numbered, proposal, rewritten, sample

A, B, C = numbered(3)
A1 = rewritten(A, "Question 0, clearer", "Answer 0, whole.", 0)
A2 = rewritten(A1, "Question 0, clearest", "Answer 0, whole and right.", 1)
NEW = added(B, "A question near 1", 0)
CRITIQUE = {"verdict": "accept", "problems": [], "dropped": [], "feedback": "", "passed": True}


def scores(*samples: object) -> dict[str, dict[str, float | None]]:
    names = [one.id for one in samples]  # type: ignore[attr-defined]
    return {
        "complexity": {name: float(n) for n, name in enumerate(names)},
        "diversity": dict.fromkeys(names, 0.5),
        "quality": {name: 0.1 * (n + 1) for n, name in enumerate(names)},
    }


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A is rewritten twice, B inspires a new sample, C is never flagged."""
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B, C], gate="baseline")
    folder.diagnosis(
        0,
        scores(A, B, C),
        [(A.id, Axis.QUALITY, "broken"), (B.id, Axis.DIVERSITY, "far away")],
        vectors={A.id: (1, 0, 0), B.id: (0, 1, 0), C.id: (1, 1, 0)},
        neighbours={A.id: (C.id, B.id)},
        clusters={A.id: 4},
    )
    refused = proposal(
        *(A, A1, Axis.QUALITY, "rejected"),
        critique=CRITIQUE | {"passed": False, "verdict": "revise"},
    )
    refused["reason"] = "critic: it lost the point"
    folder.outcome(
        0,
        A,
        Axis.QUALITY,
        "accepted",
        proposals=[refused, proposal(A, A1, Axis.QUALITY, "accepted", 2, critique=CRITIQUE)],
    )
    folder.outcome(
        0,
        B,
        Axis.DIVERSITY,
        "accepted",
        proposals=[proposal(B, NEW, Axis.DIVERSITY, "accepted")],
    )
    folder.dataset(1, [A1, B, C, NEW])
    folder.diagnosis(1, scores(A1, B, C, NEW), [(A1.id, Axis.COMPLEXITY, "hard")])
    folder.outcome(
        1,
        A1,
        Axis.COMPLEXITY,
        "accepted",
        proposals=[proposal(A1, A2, Axis.COMPLEXITY, "accepted")],
    )
    folder.dataset(2, [A2, B, C, NEW], gate="better")
    folder.finish(best=2)
    return open_record(folder.path)


@pytest.mark.parametrize("asked", [A, A1, A2])
def test_a_line_is_followed_from_any_of_its_ids(record: Record, asked: object) -> None:
    found = life(record, asked.id)  # type: ignore[attr-defined]
    assert found.lineage == (A.id, A1.id, A2.id)
    assert [(one.round, one.sample_id) for one in found.rounds] == [
        *((0, A.id), (1, A1.id), (2, A2.id)),
    ]
    assert [one.fate for one in found.rounds] == ["accepted", "accepted", None]
    assert found.rounds[1].messages == A1.messages
    assert found.ending == (
        "rewritten for quality in round 0; rewritten for complexity in round 1;"
        f" the export is the data of round 2 and holds the rewritten {A2.id}"
    )


def test_an_export_from_before_the_rewrites_says_so(record: Record) -> None:
    document = dict(record.document())
    document["best_round"] = 0
    write_run(record.folder, document)
    assert life(record, A.id).ending == (
        "rewritten for quality in round 0; rewritten for complexity in round 1; the"
        " export is the data of round 0, which came before that, and holds it as it was imported"
    )
    assert life(record, NEW.id).ending.endswith(
        "; the export is the data of round 0, which does not hold it"
    )


def test_readings_have_thresholds_ranks_and_reasons(record: Record) -> None:
    complexity, diversity, quality = life(record, A.id).rounds[0].readings
    assert (quality.score, quality.threshold, quality.rank, quality.of) == (0.1, 0.4, 1, 3)
    assert (quality.flagged, quality.reason, quality.flags_high) == (True, "broken", False)
    assert (complexity.rank, complexity.flags_high, complexity.flagged) == (3, True, False)
    assert (diversity.rank, diversity.reason) == (1, "")


def test_neighbours_have_texts_and_the_cosine_of_centred_embeddings(record: Record) -> None:
    one = life(record, A.id).rounds[0]
    assert [(near.sample_id, near.prompt) for near in one.neighbours] == [
        *((C.id, C.prompt), (B.id, B.prompt)),
    ]
    # Centred on (2/3, 2/3, 0): A is (1, -2), C (1, 1), B (-2, 1), each over 3.
    assert one.neighbours[0].similarity == pytest.approx(-1 / 10**0.5, abs=1e-4)
    assert one.neighbours[1].similarity == pytest.approx(-4 / 5, abs=1e-4)
    assert one.cluster == 4


def test_attempts_have_their_gates(record: Record) -> None:
    first, second = life(record, A.id).rounds[0].attempts
    assert (first.number, first.verdict, first.reason) == (
        1,
        "rejected",
        "critic: it lost the point",
    )
    assert [(gate.node, gate.gate, gate.passed) for gate in first.gates] == [
        *(("checks", "empty", True), ("critique", "critic", False)),
    ]
    assert first.gates[1].reason == "it lost the point"
    assert (second.verdict, second.proposal_id, second.messages) == (
        *("accepted", A1.id, A1.messages),
    )


def test_an_added_sample_begins_where_it_was_added(record: Record) -> None:
    found = life(record, NEW.id)
    assert (found.origin, found.beside, found.lineage) == ("added", B.id, (NEW.id,))
    assert [one.round for one in found.rounds] == [1, 2]
    assert found.ending == (
        f"added in round 0 beside {B.id}; never flagged;"
        " the export is the data of round 2 and holds it as it was added"
    )
    assert life(record, B.id).made == (NEW.id,)
    assert life(record, B.id).ending.startswith("inspired a new sample for diversity in round 0;")


def test_a_sample_that_was_never_flagged(record: Record) -> None:
    found = life(record, C.id)
    assert found.lineage == (C.id,)
    assert [one.attempts for one in found.rounds] == [(), (), ()]
    assert found.ending == (
        "never flagged in 2 rounds; the export is the data of round 2 and holds it as it was"
        " imported"
    )


def test_an_unknown_id_is_an_error(record: Record) -> None:
    with pytest.raises(UsageError, match="no sample of run has this id"):
        life(record, "0123456789abcdef")


def test_a_rolled_back_round_parts_the_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B], gate="baseline")
    folder.diagnosis(0, scores(A, B), [(A.id, Axis.QUALITY, "broken")])
    made = [proposal(A, A1, Axis.QUALITY, "accepted")]
    folder.outcome(0, A, Axis.QUALITY, "accepted", proposals=made)
    folder.dataset(1, [A1, B], gate="rolled_back")
    folder.diagnosis(1, scores(A, B), [(A.id, Axis.COMPLEXITY, "hard")], source=0)
    other = rewritten(A, "Question 0 in other words", "Answer 0, once more.", 1)
    folder.outcome(
        *(1, A, Axis.COMPLEXITY, "accepted"),
        proposals=[proposal(A, other, Axis.COMPLEXITY, "accepted")],
    )
    folder.dataset(2, [other, B], gate="better")
    folder.finish(best=2)
    with open_record(folder.path) as record:
        found = life(record, A.id)
        assert found.lineage == (A.id, A1.id, other.id)
        assert [(one.round, one.sample_id) for one in found.rounds] == [
            *((0, A.id), (1, A.id), (2, other.id)),
        ]
        assert found.rounds[1].note == (
            "round 1 was rolled back, and the data of round 0 was looked at again;"
            f" {A1.id}, which had taken its place, was set aside"
        )
        assert found.rounds[1].readings[2].reason == (
            "not flagged again: what round 0 made of it was rolled back"
        )
        assert life(record, A1.id).lineage == found.lineage


def test_a_refused_sample_is_spared_and_an_unscored_one_says_why(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B], gate="baseline")
    folder.diagnosis(0, scores(A, B), [(A.id, Axis.QUALITY, "broken")], unscored={B.id: "too_long"})
    folder.outcome(
        *(0, A, Axis.QUALITY, "rejected", "critic: no"),
        [proposal(A, A1, Axis.QUALITY, "rejected", reason="critic: no")],
    )
    folder.dataset(1, [A, B])
    folder.diagnosis(
        1, scores(A, B), off={"complexity": "too few rows"}, unscored={B.id: "too_long"}
    )
    with open_record(folder.path) as record:
        spared = life(record, A.id)
        assert spared.rounds[1].readings[2].reason == (
            "not flagged again: every proposal for it was refused in round 0"
        )
        off = spared.rounds[1].readings[0]
        assert (off.on, off.threshold, off.reason) == (False, None, "too few rows")
        assert spared.ending == (
            "flagged for quality in round 0, its proposal was refused;"
            f" {A.id} stands in the data of round 1"
        )
        silent = life(record, B.id)
        assert [one.unscored for one in silent.rounds] == ["too_long", "too_long"]
        assert silent.ending.startswith("never scored: too_long")


def test_merging_has_the_last_word_and_a_failure_leaves_an_attempt(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B], gate="baseline")
    flags = [(A.id, Axis.QUALITY, "broken"), (B.id, Axis.QUALITY, "broken")]
    folder.diagnosis(0, scores(A, B), flags)
    made = [proposal(A, A1, Axis.QUALITY, "accepted")]
    folder.outcome(0, A, Axis.QUALITY, "accepted", proposals=made)
    folder.outcome(0, B, Axis.QUALITY, "failed", "rewriter: no JSON came")
    copy = "the proposal is an exact copy of a row that is already there"
    folder.fates(0, {A.id: ("rejected", copy), B.id: ("failed", "rewriter: no JSON came")})
    with open_record(folder.path) as record:
        merged = life(record, A.id).rounds[0]
        assert (merged.fate, merged.reason) == ("rejected", copy)
        assert (merged.attempts[0].verdict, merged.attempts[0].reason) == ("rejected", copy)
        failed = life(record, B.id)
        (attempt,) = failed.rounds[0].attempts
        assert (attempt.number, attempt.messages, attempt.verdict) == (1, (), "failed")
        assert "no usable answer came" in failed.ending


def test_a_sample_under_way(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B])
    with open_record(folder.path) as record:
        assert life(record, A.id).ending == (
            f"not diagnosed yet; {A.id} stands in the data of round 0"
        )
        folder.diagnosis(0, scores(A, B), [(A.id, Axis.QUALITY, "broken")])
        found = life(record, A.id)
        assert found.rounds[0].fate is None
        assert found.ending.startswith("flagged in round 0, not settled yet")


def test_copies_of_a_conversation_have_lives_of_their_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    twin = sample(A.prompt, A.answer, 9)
    twin = type(twin)(f"{A.id}-2", twin.messages, twin.source)
    folder.dataset(0, [A, twin])
    with open_record(folder.path) as record:
        assert life(record, twin.id).source == "rows.jsonl:9"
        assert life(record, A.id).source == A.source
