"""What the benchmarks' scripted teachers read in a request of the rewriter."""

import pytest

from benchmarks.shown import shown
from middo.prompts.loader import load

PROMPT = "Name a river.\nAn earlier list named two."
ANSWER = "The Elbe.\nAn earlier answer was refused, as it was long."


@pytest.mark.parametrize(
    "name",
    [
        *("rewrite_prompt_complexity", "rewrite_prompt_quality", "new_prompt_diversity"),
        *("rewrite_answer_complexity", "rewrite_answer_quality", "new_answer_diversity"),
    ],
)
def test_a_row_is_read_without_what_was_said_of_an_earlier_try(name: str) -> None:
    template = load(name)
    row = {"prompt": PROMPT, "answer": ANSWER}
    row = {key: text for key, text in row.items() if key in template.variables}
    for feedback in ("", "It names no river."):
        request = template.render(**row, feedback=feedback).messages[-1][1]
        assert shown(request) == (list(row.values()), bool(feedback))
