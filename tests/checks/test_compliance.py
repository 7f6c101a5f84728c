import pytest

from middo.checks.compliance import check_answer_constraints
from middo.core.records import Axis

from .proposals import context, proposal

FRENCH = "Le brouillard est un nuage qui touche le sol et dans lequel on ne voit pas loin."
GERMAN = "Nebel ist eine Wolke, die den Boden berührt und in der man nicht weit sieht."
ENGLISH = "Fog is a cloud that touches the ground and in which you can not see far."


@pytest.mark.parametrize(
    ("prompt", "kept", "broken"),
    [
        ("Explain fog in under 20 words.", ENGLISH, "Fog is a cloud. " * 20),
        ("Explain fog in at least 50 words.", "Fog is low. " * 20, ENGLISH),
        ("Explain fog in 3 sentences.", "One. Two. Three.", "A. B. C. D. E. F. G."),
        ("Explain fog in 2 sentences.", "Mr. Poe saw it. He sat.", "One. Two. Three. Four. Five."),
        ("Explain fog in two paragraphs.", "One.\n\nTwo.", "One.\n\nTwo.\n\nThree.\n\nFour."),
        ("Use exactly 2 bullet points.", "* a\n* b", "* a\n* b\n* c"),
        ("Answer in JSON format.", '```json\n{"fog": [1]}\n```', "fog: 1"),
        ("Answer in JSON format.", 'Here: {"fog": "low"}', '{"fog": low'),
        ("Put it in a table.", "| a | b |\n|---|---|\n| 1 | 2 |", "a is 1 and b is 2"),
        ("Answer as an HTML page.", "<p>Fog</p>", "Fog"),
        ("Explain fog. Include the word cloud.", ENGLISH, "It is clouded air."),
        ("Explain fog. Do not use the word cloud.", "It is clouded air.", ENGLISH),
        ("The word fog should appear at least 2 times.", "Fog, fog.", "Fog."),
        ("The letter q should appear at least 2 times.", "Quite quick.", "Quite."),
        ("Explain fog. Answer in French.", FRENCH, ENGLISH),
        ("Explain fog. Answer in French.", "Oui.", GERMAN),
        ("Explain fog in all lowercase letters.", "fog is low.", "Fog is low."),
        ("Explain fog in all capital letters.", "FOG IS LOW.", "FOG IS low."),
        ("Explain fog. Do not use any commas.", "Fog is low.", "Fog, as you know, is low."),
        ('Explain fog. End with "That is all."', "It is low. That is all!", "That is all. Bye."),
        ("Add a title in double angular brackets.", "<<Fog>>\nIt is low.", "Fog\nIt is low."),
        ("Include at least 2 placeholders such as [name].", "[a] and [b]", "[a]"),
    ],
)
def test_answers_are_held_to_the_proposed_prompt(prompt: str, kept: str, broken: str) -> None:
    old = ("Explain something else.", "It is so.")
    assert check_answer_constraints(proposal(old, (prompt, kept)), context()).passed
    verdict = check_answer_constraints(proposal(old, (prompt, broken)), context())
    assert not verdict.passed
    assert verdict.numbers["broken"] and verdict.reason


def test_an_answer_that_switches_language_fails() -> None:
    prompt = "What is fog and how does it come about in the mountains?"
    old = (prompt, ENGLISH)
    assert check_answer_constraints(proposal(old, (prompt, ENGLISH + " Yes.")), context()).passed
    verdict = check_answer_constraints(proposal(old, (prompt, GERMAN)), context())
    assert not verdict.passed and verdict.numbers["language"] == "de"
    assert "language" in verdict.reason
    assert not check_answer_constraints(
        proposal(old, (prompt, "雾是接触地面的云。")), context()
    ).passed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("Say it to me in the other one of the two.", GERMAN),
         ("Say it to me in the other one, would you?", GERMAN + " Ja.")),
        (("x", "y"), ("Translate the following sentence to German: fog is a cloud", GERMAN)),
        (("x", "y"), ("How do you say that it is foggy in French?", ENGLISH)),
        (("x", "y"), ("What is the name of the island that is near it?", "Las Palmas")),
        (("x", "y"), ("List them, so that we have all of the countries.", "Italy\nSpain\nPeru")),
    ],
)  # fmt: skip
def test_another_language_passes_where_the_task_is_about_languages(
    old: tuple[str, str], new: tuple[str, str]
) -> None:
    assert check_answer_constraints(proposal(old, new), context()).passed


def test_a_constraint_that_the_sound_original_breaks_too_is_doubtful() -> None:
    prompt = "Explain fog in 3 sentences."
    old = (prompt, "A. " * 30)
    new = (prompt, "A word. " * 20)
    sound = check_answer_constraints(
        proposal(old, new, Axis.COMPLEXITY), context(flagged=frozenset({Axis.COMPLEXITY}))
    )
    assert sound.passed and sound.numbers["doubtful"] == ["length sentences: exactly 3"]
    assert not check_answer_constraints(proposal(old, new), context()).passed


@pytest.mark.parametrize("answer", ["yes", "Paris", "42", "🙂"])
def test_one_word_answers_pass(answer: str) -> None:
    new = ("What is the capital of France, and is it there?", answer)
    assert check_answer_constraints(proposal("Name it.", new), context()).passed
