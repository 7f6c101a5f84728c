import pytest

from middo.checks.words import contains_words, named, normalise, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, 3.5%!", ["don", "t", "stop", "3", "5"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("今天 ok", ["今", "天", "ok"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ"]),
        ("snake_case", ["snake", "case"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("１２３", ["123"]),
        ("…!?", []),
    ],
)
def test_words_of_every_script(text: str, expected: list[str]) -> None:
    assert words(text) == tuple(expected)


def test_words_of_a_text_are_the_same_beside_another_script() -> None:
    text = "".join(map(chr, range(128))) + " don't snake_case 3.5% of A1-b2 "
    assert words(text + "天") == (*words(text), "天")


def test_normalise_forgets_case_white_space_and_unicode_forms() -> None:
    assert normalise("  What\u00a0IS\n\nthis? ") == "what is this?"
    assert normalise("e\u0301") == normalise("é")
    assert normalise("a b") != normalise("ab")


def test_contains_words_wants_an_unbroken_run() -> None:
    assert contains_words(("a", "b", "c"), ("b", "c"))
    assert contains_words(("a", "b", "a", "c"), ("a", "c"))
    assert contains_words(("a",), ())
    assert not contains_words(("a", "b", "c"), ("a", "c"))
    assert not contains_words(("a", "b"), ("b", "c"))
    assert not contains_words((), ("a",))


def test_named_lists_five_details_and_shortens_them() -> None:
    assert named(["1", "2"]) == "`1`, `2`"
    assert named(list("abcdef")).endswith("`e` and others")
    assert len(named(["x" * 500])) < 90
