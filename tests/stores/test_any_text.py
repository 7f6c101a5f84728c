"""Spoiled recordings and any words to search for: found, or one line of error."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import strategies as st

from middo.core.errors import DataError
from middo.core.records import Message, Sample, sample_id
from middo.stores.index import INDEX_DB, open_index
from middo.stores.indexing import index_writer
from middo.stores.recording import DEMO_FILE, read_recording
from middo.stores.samples import Version, write_version

from ..formats.arbitrary import PIECES
from ..formats.test_any_bytes import Change, changed, changes
from ..fuzzing import folder, fuzz
from ..torture.tally import RecordProperty

pytestmark = pytest.mark.fuzz


def test_a_spoiled_recording_is_read_or_refused(record_property: RecordProperty) -> None:
    start = b"\n".join(DEMO_FILE.read_bytes().split(b"\n")[:4]) + b"\n"

    def check(steps: list[Change]) -> None:
        with folder() as home:
            file = Path(home, "answers.jsonl")
            file.write_bytes(changed(start, steps))
            try:
                found = read_recording(str(file))
            except DataError as error:
                assert str(error).isprintable()
            else:
                assert len(found.digest) == 64

    fuzz(record_property, check, changes, few=50, torture=1_500)


def test_any_words_are_searched_for(record_property: RecordProperty) -> None:
    spoken = ["Who was Ångström?", 'a "quoted" NEAR(x) AND y*', "100%_\\ of it", "名前は何ですか"]
    samples = []
    for number, prompt in enumerate(spoken, 1):
        messages = (Message("user", prompt), Message("assistant", "An answer."))
        samples.append(Sample(sample_id(messages), messages, f"rows.jsonl:{number}"))
    with folder() as home:
        write_version(Path(home, "0"), samples, parent=None, made_by={})
        with index_writer(Path(home, INDEX_DB)) as writer:
            writer.add_version(0, Version(Path(home, "0")))
        index = open_index(Path(home, INDEX_DB))
        assert index is not None

        def check(drawn: list[str]) -> None:
            found = index.search("".join(drawn))
            assert found is None or set(found.tolist()) <= set(range(len(samples) + 1))

        words = st.sampled_from(
            [
                *PIECES,
                *spoken,
                '"',
                "*",
                "(",
                "NEAR",
                "OR ",
                "-",
                ":",
                "^",
                "%",
                "_",
                "abcd",
                "0" * 40,
            ]
        )
        with closing(index):
            for prompt in spoken:
                found = index.search(prompt)
                assert found is not None and len(found) == 1
            text = st.one_of(words, st.text(max_size=6))
            fuzz(record_property, check, st.lists(text, max_size=12), few=100, torture=2_000)
