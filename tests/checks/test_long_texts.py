"""Every check takes a time that grows with the length of a text, whatever is repeated in it."""

import time

import pytest

from middo.checks.language import language_of
from middo.checks.literals import addresses
from middo.checks.suite import cheap_checks
from middo.core.records import Axis, Proposal

from .proposals import context, sample

LENGTH = 16_000
SECONDS = 6.0
"""Of processor time. What grew with the square took minutes."""
DEMANDS = (
    "Answer in 3 sentences as JSON, YAML, HTML and XML, with 2 bullet points, *highlights* and"
    ' [placeholders]. Use the word "cat" twice and the letter q once.'
)
PARTS = (
    *("` ", "`", "~", "\n```a", "\n~~~~\n```", "« ", "‹ ", '"a ', " 'a", "a@a.", "<a", "<think>"),
    *("word 0 ", "word : ", "; word ", "use the words a and ", "at least one ", "not be more "),
    *(
        "+",
        "\n",
        "- ",
        "\n- ",
        ".",
        "...a",
        "a.",
        "A'",
        "\n### input      ",
        *("the original prompt ", "\r", "b"),
    ),
    *("eyJaaaaaaaaaa-", "password=", "sk-a-", "-----BEGIN A ", "0123456789abcdef ", "a ", "P. "),
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", PARTS)
def test_checks_of_a_long_text_take_seconds(part: str) -> None:
    text = part * (LENGTH // len(part))
    parent = sample(f"{DEMANDS} {text}?", f"It is so. {text}?")
    proposals = [
        Proposal(parent, Axis.COMPLEXITY, 1, parent.with_exchange(f"{DEMANDS} Why?", "So."), False),
        Proposal(sample(DEMANDS), Axis.QUALITY, 1, parent.messages, False),
        *(
            Proposal(parent, Axis.QUALITY, 1, parent.with_exchange(DEMANDS, start + text), False)
            for start in ("Here is the ", "```")
        ),
    ]
    began = time.process_time()
    for proposal in proposals:
        cheap_checks(proposal, context())
    assert time.process_time() - began < SECONDS


@pytest.mark.timeout(120)
def test_an_address_of_brackets_and_an_unfenced_text_take_seconds() -> None:
    began = time.process_time()
    assert addresses("http://a.b/" + ")" * 300_000) == ["http://a.b/"]
    assert language_of("\n```" * 100_000 + "\nHow is the cat of the house and what is it?") == "en"
    assert time.process_time() - began < SECONDS
