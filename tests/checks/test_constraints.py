import pytest

from middo.checks.constraints import Constraint, check_constraints, find_constraints
from middo.checks.literals import masked, unmasked
from middo.core.records import Axis

from .proposals import context, proposal


@pytest.mark.parametrize(
    ("prompt", "kind", "target", "bounds"),
    [
        ("Describe rain in under 100 words.", "length", "words", (None, 99)),
        ("Describe rain in at most 100 words.", "length", "words", (None, 100)),
        ("It must not be longer than 50 words.", "length", "words", (None, 50)),
        ("Write a 300+ word summary.", "length", "words", (300, None)),
        ("Write a 200-word story.", "length", "words", (150, 250)),
        ("Use between 40 and 60 words.", "length", "words", (40, 60)),
        ("Keep it to 45 or less words.", "length", "words", (None, 45)),
        ("Sum it up in 3 short sentences.", "length", "sentences", (3, 3)),
        ("Answer with fewer than six sentences.", "length", "sentences", (None, 5)),
        ("At most two paragraphs, please.", "length", "paragraphs", (None, 2)),
        ("Your answer must contain exactly 4 bullet points.", "length", "bullets", (4, 4)),
        ("Give the whole output in JSON format.", "format", "json", (None, None)),
        ("Answer as an HTML page.", "format", "html", (None, None)),
        ("Put the prices in a table.", "format", "table", (None, None)),
        ("Return a comma-separated list of them.", "format", "comma list", (None, None)),
        ("Use bullet points.", "format", "list", (None, None)),
        ("Include the word river.", "keyword", "river", (1, None)),
        ('Include the keywords "fog" and "mist".', "keyword", "mist", (1, None)),
        ("The word fog should appear at least 3 times.", "keyword", "fog", (3, None)),
        ("Make sure to use the word fog less than twice.", "keyword", "fog", (None, 1)),
        ("Do not use the word weather.", "keyword", "weather", (0, 0)),
        ('Avoid the words "rain" or "snow".', "keyword", "snow", (0, 0)),
        ("Do not include keywords ['rain', 'snow'].", "keyword", "rain", (0, 0)),
        ("The letter q should appear at least 4 times.", "letter", "q", (4, None)),
        ("Don't use any commas and make sure the letter q appears once or more.", "letter", "q",
         (1, None)),
        ("Answer in French.", "language", "fr", (None, None)),
        ("Respond using only the Kannada language.", "language", "kn", (None, None)),
        ("Use all lowercase letters.", "case", "lower", (None, None)),
        ("No capital letters are allowed.", "case", "lower", (None, None)),
        ("Your entire response should be in all capital letters.", "case", "upper", (None, None)),
        ("Use at least 5 words in all caps.", "case", "capital words", (5, None)),
        ("Do not use any commas in your response.", "layout", "no commas", (None, None)),
        ("Give it a title in double angular brackets, such as <<rain>>.", "layout",
         "title in <<>>", (None, None)),
        ("Include at least 3 placeholders like [name].", "layout", "placeholders", (3, None)),
        ('End your answer with "That is all."', "ending", "That is all.", (None, None)),
    ],
)  # fmt: skip
def test_constraints_are_found(
    prompt: str, kind: str, target: str, bounds: tuple[float | None, float | None]
) -> None:
    found = [(item.kind, item.target, item.bounds) for item in find_constraints(prompt)]
    assert (kind, target, bounds) in found


@pytest.mark.parametrize(
    "prompt",
    [
        "Emily can type 60 words per minute. How many hours does she need?",
        "What are five words that rhyme with light?",
        "Correct these two sentences.",
        "What does the word imperialism mean?",
        "What is an additional meaning intended when the word component is used?",
        "List the places with no power.",
        'Is "answer in 3 sentences, in French" a fair demand?',
        "Each book has 20 paragraphs per page.",
    ],
)
def test_material_and_questions_name_no_constraint(prompt: str) -> None:
    assert find_constraints(prompt) == []


def test_long_paragraphs_are_material() -> None:
    story = "He wrote at least 300 words in French about it. " * 12
    assert find_constraints(f"Who is it about?\n\n{story}\n\nAnswer in one sentence.") == [
        Constraint("length", "sentences", (1, 1))
    ]


def test_one_demand_beside_a_ban_is_no_ban() -> None:
    prompt = 'The email must include the keywords "fog" and "mist" and should not use any commas.'
    found = {item.target: item.bounds for item in find_constraints(prompt)}
    assert found == {"fog": (1, None), "mist": (1, None), "no commas": (None, None)}


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ("Explain fog in 3 sentences.", "In three sentences, what is fog?", True),
        ("Explain fog in under 100 words.", "What is fog? Use fewer than 100 words.", True),
        ("Explain fog. Answer in French.", "What is fog? Respond in the French language.", True),
        ("Explain fog.", "Explain fog as a bulleted list.", True),
        ("Explain fog in 3 sentences.", "Explain fog.", False),
        ("Explain fog in under 100 words.", "Explain fog in under 200 words.", False),
        ("Explain fog. Answer in French.", "Explain fog. Answer in German.", False),
        ("Explain fog without using the word mist.", "Explain fog using the word mist.", False),
        ("Give the answer in JSON format.", "Give the answer.", False),
    ],
)
def test_constraints_must_stay(old: str, new: str, passes: bool) -> None:
    assert check_constraints(proposal(old, new), context()).passed is passes


def test_the_reason_quotes_the_demand_and_the_record_what_changed() -> None:
    verdict = check_constraints(
        proposal("Explain fog. Answer in 3 sentences.", "Explain fog as a list in JSON format."),
        context(),
    )
    assert "Answer in 3 sentences." in verdict.reason
    assert verdict.numbers["lost"] == ["length sentences: exactly 3"]
    assert "format json" in verdict.numbers["added"]


def test_complexity_may_drop_a_constraint_that_the_critic_named() -> None:
    changed = proposal("Explain fog. Answer in French.", "Explain fog.", Axis.COMPLEXITY)
    assert not check_constraints(changed, context()).passed
    verdict = check_constraints(changed, context(dropped=("Answer in French",)))
    assert verdict.passed and verdict.numbers["dropped"] == ["language fr"]


@pytest.mark.parametrize(
    "prompt",
    [
        "Please end your answer with: \ue005",
        "Use the word \ue010 twice.",
        "The letter \ue000 must appear 3 times.",
        "Include the keywords \ue001 and \uf8ff.",
    ],
)
def test_private_signs_in_a_prompt_are_no_quotations(prompt: str) -> None:
    assert find_constraints(prompt) == []


def test_more_quotations_than_there_are_private_signs_stay_as_they_are() -> None:
    quoted = " ".join(f'"w{number}"' for number in range(7_000))
    text, found = masked(quoted)
    assert len(found) == 6_400
    assert unmasked(text, found) == quoted
