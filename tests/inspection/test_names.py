"""From what is typed to an id, or one line that helps."""

import json
from pathlib import Path

import pytest

from middo.core.errors import UsageError
from middo.inspection.names import resolve
from middo.inspection.record import Record, open_record

from .folder import Folder, numbered, sample

SAMPLES = numbered(40)
IDS = sorted(one.id for one in SAMPLES)
HELD = sample("Held out", row=77)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    folder = Folder(tmp_path / "run")
    folder.holdout([HELD])
    folder.dataset(0, SAMPLES)
    line = {"source": "rows.jsonl:99", "reason": "empty answer", "row": {}}
    (folder.path / "quarantine.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return open_record(folder.path)


def test_an_id_and_a_unique_beginning_are_enough(record: Record) -> None:
    assert resolve(record, IDS[3]) == IDS[3]
    assert resolve(record, IDS[3][:12]) == IDS[3]
    assert resolve(record, f"  {IDS[3][:12].upper()} ") == IDS[3]


def test_a_whole_id_is_itself_beside_its_copies(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    one = SAMPLES[0]
    folder.dataset(0, [one, type(one)(f"{one.id}-2", one.messages, one.source)])
    with open_record(folder.path) as record:
        assert resolve(record, one.id) == one.id
        assert resolve(record, f"{one.id}-2") == f"{one.id}-2"
        with pytest.raises(UsageError, match="several samples"):
            resolve(record, one.id[:8])


def test_several_are_named(record: Record) -> None:
    first = next(d for d in "0123456789abcdef" if sum(n.startswith(d) for n in IDS) > 1)
    some = [name for name in IDS if name.startswith(first)]
    with pytest.raises(UsageError, match=f"several samples begin so: {some[0]}, {some[1]}"):
        resolve(record, first)


def test_a_wrong_id_suggests_near_ones(record: Record) -> None:
    wrong = IDS[5][:-1] + ("0" if IDS[5][-1] != "0" else "1")
    with pytest.raises(UsageError, match=f"near it: {IDS[5]}"):
        resolve(record, wrong)
    swapped = IDS[5][1] + IDS[5][0] + IDS[5][2:]
    if swapped != IDS[5]:
        with pytest.raises(UsageError, match=IDS[5]):
            resolve(record, swapped)


@pytest.mark.parametrize(
    "text", ["", "  ", "zzz", "'; DROP TABLE", "\0", "%", "\ud800", "\ud800:1", "x" * 99999]
)
def test_nonsense_is_one_line(record: Record, text: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(record, text)
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)


def test_a_held_out_row_is_said_to_be_one(record: Record) -> None:
    for text in (HELD.id, HELD.id[:9], HELD.source):
        with pytest.raises(UsageError, match="this row is held out"):
            resolve(record, text)


def test_a_place_names_its_sample(record: Record) -> None:
    assert resolve(record, "rows.jsonl:5") == SAMPLES[4].id
    with pytest.raises(UsageError, match="quarantined.*empty answer"):
        resolve(record, "rows.jsonl:99")
    with pytest.raises(UsageError, match="no sample of run came from there"):
        resolve(record, "rows.jsonl:1234")
