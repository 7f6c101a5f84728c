"""Spoiled recordings and any words to search for: found, or one line of error."""

from pathlib import Path

import pytest

from middo.core.errors import DataError
from middo.stores.recording import DEMO_FILE, read_recording

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
