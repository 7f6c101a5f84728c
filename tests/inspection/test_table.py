"""The table: filters, facets under the other filters, order, pages, search."""

from pathlib import Path

import pytest

from middo.core.records import Axis
from middo.inspection.record import Record, open_record
from middo.inspection.samples import PAGE_ROWS, Facet, Query
from middo.inspection.table import page, rows

from .folder import Folder, numbered, sample

SAMPLES = numbered(6)
IDS = [one.id for one in SAMPLES]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    folder.diagnosis(
        0,
        {
            "complexity": {IDS[0]: 3.0, IDS[1]: 1.0, IDS[2]: 2.0, IDS[3]: None, IDS[4]: 2.0},
            "quality": {name: 0.1 * n for n, name in enumerate(IDS)},
        },
        [
            (IDS[0], Axis.COMPLEXITY, "hard"),
            (IDS[0], Axis.QUALITY, "broken"),
            (IDS[1], Axis.QUALITY, "broken"),
            (IDS[2], Axis.COMPLEXITY, "hard"),
        ],
        clusters={IDS[0]: 2, IDS[1]: 2, IDS[2]: 0},
    )
    folder.outcome(0, SAMPLES[0], Axis.QUALITY, "accepted")
    folder.outcome(0, SAMPLES[1], Axis.QUALITY, "rejected", "critic: it is worse: much")
    folder.outcome(0, SAMPLES[2], Axis.COMPLEXITY, "deferred", "beyond refinement.max_samples")
    return open_record(folder.path)


def shown(record: Record, **filters: object) -> list[str]:
    return [row.sample_id for row in page(record, Query(0, **filters)).rows]  # type: ignore[arg-type]


def facets(record: Record, name: str, **filters: object) -> dict[str, int]:
    found = page(record, Query(0, **filters)).facets[name]  # type: ignore[arg-type]
    return {facet.value: facet.count for facet in found}


def test_a_row_has_what_was_measured_and_decided(record: Record) -> None:
    row = next(row for row in page(record, Query(0)).rows if row.sample_id == IDS[1])
    assert (row.prompt, row.answer) == ("Question 1 about apples", "Answer 1.")
    assert (row.flags, row.fate, row.reason) == (
        *(("quality",), "rejected", "critic: it is worse: much"),
    )
    assert (row.cluster, row.complexity, row.density, row.quality) == (2, 1.0, None, 0.1)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {0, 1, 2, 3, 4, 5}),
        ({"axis": "complexity"}, {0, 2}),
        ({"axis": "quality"}, {0, 1}),
        ({"axis": "any"}, {0, 1, 2}),
        ({"axis": "none"}, {3, 4, 5}),
        ({"axis": "nonsense"}, set()),
        ({"fate": "accepted"}, {0}),
        ({"fate": "none"}, {3, 4, 5}),
        ({"fate": "nonsense"}, set()),
        ({"reason": "critic"}, {1}),
        ({"reason": "beyond refinement.max_samples"}, {2}),
        ({"reason": "nonsense"}, set()),
        ({"cluster": 2}, {0, 1}),
        ({"cluster": -1}, {3, 4, 5}),
        ({"text": "question 4"}, {4}),
        ({"text": "apples", "axis": "any", "cluster": 2, "fate": "rejected"}, {1}),
        ({"text": "'; DROP TABLE samples"}, set()),
    ],
)
def test_filters(record: Record, filters: dict[str, object], expected: set[int]) -> None:
    found = page(record, Query(0, **filters))  # type: ignore[arg-type]
    assert {row.sample_id for row in found.rows} == {IDS[n] for n in expected}
    assert found.total == len(expected)


def test_facets_are_counted_under_the_other_filters(record: Record) -> None:
    assert facets(record, "axis") == {"complexity": 2, "quality": 2, "any": 3, "none": 3}
    assert facets(record, "axis", axis="complexity") == facets(record, "axis")
    assert facets(record, "fate", axis="complexity") == {"accepted": 1, "deferred": 1}
    assert facets(record, "axis", fate="accepted") == {"complexity": 1, "quality": 1, "any": 1}
    assert facets(record, "cluster") == {"-1": 3, "0": 1, "2": 2}
    assert facets(record, "cluster", cluster=2, axis="quality") == {"2": 2}
    assert facets(record, "reason") == {"critic": 1, "beyond refinement.max_samples": 1}
    found = page(record, Query(0, text="nothing has this")).facets
    assert found == {"axis": (), "fate": (), "reason": (), "cluster": ()}


def test_rows_without_a_value_come_last_both_ways(record: Record) -> None:
    missing = sorted([IDS[3], IDS[5]])
    tied = sorted([IDS[2], IDS[4]])
    assert shown(record, order="complexity") == [IDS[1], *tied, IDS[0], *missing]
    assert shown(record, order="complexity", descending=True) == [IDS[0], *tied, IDS[1], *missing]
    assert shown(record, order="id", descending=True) == sorted(IDS, reverse=True)


def test_pages_are_cut_and_end(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, numbered(2 * PAGE_ROWS + 3))
    record = open_record(folder.path)
    pages = [page(record, Query(0, page=number)) for number in (1, 2, 3, 4)]
    assert [len(one.rows) for one in pages] == [PAGE_ROWS, PAGE_ROWS, 3, 0]
    assert {(one.total, one.pages) for one in pages} == {(2 * PAGE_ROWS + 3, 3)}
    ids = [row.sample_id for one in pages for row in one.rows]
    assert ids == sorted(ids) == [row.sample_id for row in rows(record, Query(0, page=3))]


def test_a_round_without_a_diagnosis_shows_its_data(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    found = page(open_record(folder.path), Query(0, text="question 3"))
    assert [row.sample_id for row in found.rows] == [IDS[3]]
    assert found.rows[0].quality is None
    assert found.facets["axis"] == (Facet("none", 1),)


def test_a_round_that_is_not_there_is_empty(record: Record) -> None:
    assert page(record, Query(9)).total == 0


def test_what_the_run_adds_is_seen(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    record = open_record(folder.path)
    assert page(record, Query(0, fate="none")).total == 6
    folder.diagnosis(0, {"quality": {IDS[0]: 0.1}}, [(IDS[0], Axis.QUALITY, "broken")])
    assert page(record, Query(0, axis="quality")).total == 1
    folder.outcome(0, SAMPLES[0], Axis.QUALITY, "accepted")
    assert page(record, Query(0, fate="accepted")).total == 1
    folder.fates(0, {IDS[0]: ("deferred", "more new samples were accepted")})
    assert page(record, Query(0, fate="accepted")).total == 0
    assert page(record, Query(0, reason="more new samples were accepted")).total == 1
    folder.dataset(1, [*SAMPLES[1:], sample("A new question")])
    assert page(record, Query(1, text="new question")).total == 1
    assert page(record, Query(0, text="new question")).total == 0
