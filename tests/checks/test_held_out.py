"""No row of the evaluation data passes, however it is spoken."""

import pytest
from hypothesis import strategies as st

from middo.checks.decontamination import EvaluationIndex, check_decontamination
from middo.checks.words import words
from middo.core.records import Axis, Proposal

from ..formats.arbitrary import PIECES
from ..fuzzing import fuzz
from ..torture.tally import RecordProperty
from .proposals import sample


@pytest.mark.fuzz
def test_a_held_out_row_is_refused(record_property: RecordProperty) -> None:
    texts = st.lists(st.one_of(st.sampled_from([*PIECES, " "]), st.text(max_size=9)), max_size=20)

    def check(drawn: tuple[list[str], list[str], bool]) -> None:
        prompt, answer = (f"a {' '.join(parts)} b" for parts in drawn[:2])
        index = EvaluationIndex.of([sample(prompt, answer)])
        parent = sample("Another question?", "Another answer.")
        changed = (prompt.swapcase(), answer) if drawn[2] else (prompt, f"  {answer}\n")
        if words(changed[0]) != words(prompt):
            changed = (prompt, answer)
        proposal = Proposal(parent, Axis.QUALITY, 1, parent.with_exchange(*changed), False)
        assert not check_decontamination(proposal, index).passed

    fuzz(record_property, check, st.tuples(texts, texts, st.booleans()), few=100, torture=3_000)
