"""What is remembered: as long as its state is the same, and no more than the last few."""

import gc
import weakref
from itertools import count
from pathlib import Path

from middo.inspection.memory import MOST_ROUNDS, Memory
from middo.inspection.record import open_record
from middo.inspection.samples import Query
from middo.inspection.table import page

from .folder import Folder, numbered

SAMPLES = numbered(5)
ROUNDS = MOST_ROUNDS + 2


def test_a_value_is_found_once_until_its_state_changes() -> None:
    memory, looks = Memory(), count(1)

    def found(state: int) -> int:
        return memory.remembered("table", 0, state, lambda: next(looks))

    assert [found(1), found(1), found(2), found(2), found(1)] == [1, 1, 2, 2, 3]


def test_those_asked_for_last_are_kept_of_each_kind() -> None:
    memory = Memory()
    looks: list[tuple[str, int]] = []

    def ask(kind: str, key: int, most: int | None) -> None:
        memory.remembered(kind, key, None, lambda: looks.append((kind, key)), most=most)

    for key in (1, 2, 1, 3, 1, 2):
        ask("few", key, 2)
        ask("all", key, None)
    assert [key for kind, key in looks if kind == "few"] == [1, 2, 3, 2]
    assert [key for kind, key in looks if kind == "all"] == [1, 2, 3]


def test_columns_of_rounds_seen_long_ago_are_let_go(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    for k in range(ROUNDS):
        folder.dataset(k, SAMPLES)
        folder.diagnosis(k, {"quality": {SAMPLES[0].id: 0.25}})
    with open_record(folder.path) as record:
        columns = []
        for k in range(ROUNDS):
            assert page(record, Query(k)).total == 5
            signals = record.signals(k)
            assert signals is not None
            columns.append(weakref.ref(signals["quality"]))
            del signals
        gc.collect()
        alive = [one() is not None for one in columns]
    assert alive == [False] * (ROUNDS - MOST_ROUNDS) + [True] * MOST_ROUNDS
