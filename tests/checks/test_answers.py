import pytest

from middo.checks.answers import (
    check_copied,
    check_echo,
    check_empty,
    check_history,
    check_length,
    check_refusal,
    check_unchanged,
)
from middo.core.records import Axis, Message, Proposal
from middo.prompts.loader import load, sentences

from .proposals import context, proposal, sample


@pytest.mark.parametrize(
    "text", ["", " \n", "...", "[your answer here]", "N/A", "TODO", "<answer>"]
)
def test_stand_ins_are_empty(text: str) -> None:
    verdict = check_empty(proposal("Name a river.", ("Name one river.", text)))
    assert not verdict.passed and verdict.numbers["empty"] == ["answer"]
    assert check_empty(proposal("Name it.", (text, "The Nile."))).numbers["empty"] == ["prompt"]


@pytest.mark.parametrize("text", ["yes", "0", "C", "今", "The answer is here."])
def test_short_answers_are_not_empty(text: str) -> None:
    assert check_empty(proposal("Is it?", ("Is it so?", text))).passed


def test_an_emoji_may_replace_an_emoji() -> None:
    assert check_empty(proposal(("Your mood?", "😌"), ("What is your mood?", "😊"))).passed
    assert not check_empty(proposal(("Your mood?", "Good."), ("Your mood?", "😊"))).passed
    assert not check_empty(proposal(("Your mood?", "😌"), ("Your mood?", " "))).passed


@pytest.mark.parametrize(
    ("new", "passes"),
    [
        (("What is fog?", "A cloud."), False),
        (("what is  FOG?\n", "a cloud."), False),
        (("What is fog?", "A low cloud."), True),
        (("Explain fog.", "A cloud."), True),
    ],
)
def test_a_replacement_must_change_something(new: tuple[str, str], passes: bool) -> None:
    assert check_unchanged(proposal(("What is fog?", "A cloud."), new)).passed is passes


PROMPT = "Why is the sky blue on a clear day?"


@pytest.mark.parametrize(
    "answer",
    [PROMPT, "why is the sky blue on a clear day", PROMPT + " The sky is blue because of light."],
)
def test_an_echoed_prompt_is_no_answer(answer: str) -> None:
    assert not check_echo(proposal((PROMPT, "Light."), (PROMPT, answer))).passed


def test_echoes_that_are_asked_for_or_were_there_pass() -> None:
    asked = "Repeat this sentence word for word: the sky is blue today"
    assert check_echo(proposal("x", (asked, asked))).passed
    before = proposal((PROMPT, PROMPT + " Light."), (PROMPT, PROMPT + " It is light."))
    assert check_echo(before).passed
    assert check_echo(proposal("x", ("Paris", "Paris"))).passed
    assert check_echo(proposal("x", (PROMPT, "The sky is blue on a clear day."))).passed


def test_length_holds_for_long_answers() -> None:
    old = ("What is fog?", "word " * 100)

    def passes(count: int, axis: Axis = Axis.QUALITY) -> bool:
        new = ("What is fog?", "word " * count)
        return check_length(proposal(old, new, axis), context()).passed

    assert [passes(n) for n in (19, 20, 500, 501)] == [False, True, True, False]
    simpler = Axis.COMPLEXITY
    assert [passes(n, simpler) for n in (9, 10, 300, 301)] == [False, True, True, False]
    short = proposal(("What is fog?", "word " * 20), ("What is fog?", "word " * 900))
    assert check_length(short, context()).passed


def test_length_counts_signs_where_there_are_no_spaces() -> None:
    old = ("雾是什么？", "雾" * 100)
    verdict = check_length(proposal(old, ("雾是什么？", "雾" * 10)), context())
    assert not verdict.passed and verdict.numbers["ratio"] == 0.1
    assert not any(sign.isdigit() for sign in verdict.reason)


def test_the_history_stays() -> None:
    parent = sample("And then?", "Rain.", Message("system", "Be brief."), Message("user", "Hi"))
    kept = parent.with_exchange("What then?", "Snow.")
    assert check_history(Proposal(parent, Axis.QUALITY, 1, kept, False)).passed
    touched = (Message("system", "Be long."), *kept[1:])
    assert not check_history(Proposal(parent, Axis.QUALITY, 1, touched, False)).passed
    assert not check_history(Proposal(parent, Axis.QUALITY, 1, kept[-2:], False)).passed


def test_a_prompt_with_tool_turns_stays() -> None:
    messages = (
        Message("user", "Weather?"),
        Message("assistant", "call()", "function_call"),
        Message("tool", "fog"),
        Message("assistant", "It is foggy."),
    )
    parent = sample("x")
    parent = type(parent)("id", messages, "s")
    fixed = parent.with_exchange("Weather?", "There is fog.")
    assert check_history(Proposal(parent, Axis.QUALITY, 1, fixed, False)).passed
    moved = parent.with_exchange("What weather?", "There is fog.")
    assert not check_history(Proposal(parent, Axis.QUALITY, 1, moved, False)).passed


EXAMPLES = ("A pump fills the tube with air.", "Name two rivers.")


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("A pump fills the tube with air.", False),
        ("First of all: a pump fills the tube with air.", False),
        ("Name two rivers.", False),
        ("Name two rivers and a lake.", True),
        ("A pump fills the tyre.", True),
    ],
)
def test_examples_and_remarks_are_no_answers(answer: str, passes: bool) -> None:
    told = context(instructions=EXAMPLES)
    verdict = check_copied(proposal(("How?", "So."), ("How?", answer)), told)
    assert verdict.passed is passes
    own = proposal(("How?", "A pump fills the tube with air."), ("How?", answer))
    assert check_copied(own, told).passed is (passes or "pump" in answer)


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("I'm sorry, but I can't help with that request.", False),
        ("I am very sorry, I cannot answer this question.", False),
        ("Unfortunately, I am unable to do this.", False),
        ("I don’t know.", False),
        ("I can't help with that.", False),
        ("Sorry to hear that! Here is what you can do.", True),
        ("I know the answer: Paris.", True),
        ("Dear Ann, I am sorry that I missed your party last week.", True),
    ],
)
def test_a_refusal_is_no_answer(answer: str, passes: bool) -> None:
    assert check_refusal(proposal(("Why?", "So."), ("Why?", answer))).passed is passes
    refused = proposal(("Why?", "I cannot help with that."), ("Why?", answer))
    assert check_refusal(refused).passed


def test_a_sentence_of_the_instructions_is_no_answer() -> None:
    told = context(instructions=sentences())
    parroted = load("rewrite_answer_quality").messages[0][1]
    for new in (("Say it.", f"Here: {parroted}"), (f"{parroted} Say it.", "So it is.")):
        assert not check_copied(proposal(("Say it.", "It is."), new), told).passed
    old = ("Say it.", f"It is: {parroted}")
    assert check_copied(proposal(old, ("Say it.", parroted)), told).passed
    fair = ("Write one new sentence.", "Keep the good parts, and write a clear text.")
    assert check_copied(proposal(("Say it.", "It is."), fair), told).passed
