import pytest

from middo.checks.wrapping import check_wrapper
from middo.core.ids import fence_of

from .proposals import proposal

OLD = ("What is fog?", "A cloud.")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Here is the rewritten answer: fog is a cloud.", "opener"),
        ("Sure! Here's what fog is: a cloud.", "opener"),
        ("Certainly, I can explain. Fog is a cloud.", "opener"),
        ("Here is a new answer to it. Fog is a cloud.", "opener"),
        ("**Revised answer:** Fog is a cloud.", "label"),
        ("Response: Fog is a cloud.", "label"),
        ("<think>They ask about fog.</think>Fog is a cloud.", "reasoning"),
        ("</think>\nFog is a cloud.", "reasoning"),
        ("Fog is a cloud.<|im_end|>", "template"),
        ("[INST] What is fog? [/INST] A cloud.", "template"),
        ("Fog is a cloud.</s>", "template"),
        ("Fog is a cloud.\n### Instruction:\nWhat is rain?", "template"),
        ("Fog is a cloud.\nUser: And rain?", "template"),
        ("As an AI language model, I think fog is a cloud.", "assistant"),
        ("I have simplified the answer. Fog is a cloud.", "rewriting"),
        ("Fog is a cloud. The original prompt was kept.", "rewriting"),
        (f"{fence_of('What is fog?')}\nFog is a cloud.", "fence"),
        ("```\nFog is a cloud.\n```", "code fence"),
    ],
)
def test_wrappers_are_refused(answer: str, kind: str) -> None:
    verdict = check_wrapper(proposal(OLD, ("What is fog?", answer)))
    assert not verdict.passed
    assert kind in verdict.numbers and verdict.reason


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What is fog?", "Fog is a cloud that lies on the ground."),
        ("What is fog?", "Here is where the cloud meets the ground."),
        ("What is fog?", "Sure as night, fog is a cloud."),
        ("Write a function.", "```python\ndef f(): ...\n```"),
        ("What is fog?", "Call it like this:\n```\nfog()\n```"),
        ("Strike it out in HTML.", "<s>fog</s> and rain"),
        ("What is its number?", "1234567890123456"),
        ("What is fog?", "yes"),
    ],
)
def test_plain_answers_pass(prompt: str, answer: str) -> None:
    assert check_wrapper(proposal(OLD, (prompt, answer))).passed


@pytest.mark.parametrize(
    "prompt",
    ["Rewritten prompt: What is fog?", "Here is the improved prompt: What is fog?",
     "Prompt: What is fog?", "```\nWhat is fog?\n```"],
)  # fmt: skip
def test_prompts_may_be_wrapped_no_more_than_answers(prompt: str) -> None:
    assert not check_wrapper(proposal(OLD, (prompt, "A cloud."))).passed


def test_what_the_original_says_is_no_wrapper() -> None:
    old = ("Who are you?", "As an AI, I have no name. Sure! Here is mine.")
    assert check_wrapper(proposal(old, ("Who are you?", "As an AI, I am nameless."))).passed
    token = proposal("What is <|im_end|>?", ("What does <|im_end|> do?", "<|im_end|> ends a turn."))
    assert check_wrapper(token).passed
    assert not check_wrapper(proposal(OLD, ("What is <|im_end|>?", "An end."))).passed
    assert not check_wrapper(proposal(OLD, ("Who are you?", "As an AI, I am nameless."))).passed
