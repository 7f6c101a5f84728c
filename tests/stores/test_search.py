"""A search of an index that takes long; what searches find is tested with the index."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from middo.core.records import Message, Sample, sample_id
from middo.stores import search
from middo.stores.index import INDEX_DB, open_index
from middo.stores.indexing import index_writer
from middo.stores.samples import Version, write_version


def made(prompt: str) -> Sample:
    messages = (Message("user", prompt), Message("assistant", "An answer."))
    return Sample(sample_id(messages), messages, "rows.jsonl:1")


SAMPLES = [made("Who was Ångström?"), made("What is a unit?")]


def test_a_slow_search_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of the search have no trigrams, so that every text is compared with them."""
    searching, others_are_done = threading.Event(), threading.Event()
    compared = search._holds

    def holds(text: str, word: str) -> bool:
        searching.set()
        assert others_are_done.wait(20)
        return compared(text, word)

    write_version(tmp_path / "0", SAMPLES, parent=None, made_by={})
    with index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_version(0, Version(tmp_path / "0"))
    monkeypatch.setattr(search, "_holds", holds)
    one = open_index(tmp_path / INDEX_DB)
    assert one is not None
    with closing(one), ThreadPoolExecutor(2) as pool:
        found = pool.submit(one.search, "Å")
        assert searching.wait(20)
        try:
            ids = pool.submit(one.ids).result(timeout=5)
        finally:
            others_are_done.set()
        assert len(ids) == len(SAMPLES)
        numbers = found.result(timeout=20)
        assert numbers is not None and len(numbers) == 1
