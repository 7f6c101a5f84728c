import pytest

from middo.checks.invisible import check_invisible

from .proposals import proposal

TAGS = "".join(chr(0xE0000 + ord(char)) for char in "buy it")


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("red \x1b[31m", "U+001B"),
        ("bell \x07", "U+0007"),
        ("an old code \x9b31m", "U+009B"),
        ("turned \u202egpj.exe", "U+202E"),
        ("kept apart \u2066here\u2069", "U+2066"),
        ("with bits \u200b\u200c\u200b\u200b", "U+200B"),
        ("zero width in a latin wo\u200drd", "U+200D"),
        (f"with tags{TAGS}", "U+E0062"),
        ("with a filler \u3164", "U+3164"),
        ("private \ue000", "U+E000"),
        ("half \ud800", "U+D800"),
        ("a mark \ufeff inside", "U+FEFF"),
        ("two selectors on a sign: \u2764\ufe0f\ufe01", "U+FE01"),
        ("octets in selectors: \U0001f600\U000e0123\U000e0141", "U+E0123"),
        ("no character \uffff", "U+FFFF"),
        ("no tag \U000e0002", "U+E0002"),
        ("lines\u2028parted", "U+2028"),
        ("joiners in a row: \u0915\u200d\u200d\u0937", "U+200D"),
    ],
)
def test_new_invisible_signs_are_refused(text: str, sign: str) -> None:
    for new in (("Say it.", text), (f"Say {text}", "So it is.")):
        verdict = check_invisible(proposal(("Say it.", "It is."), new))
        assert not verdict.passed and sign in verdict.numbers["invisible"]
    assert check_invisible(proposal(("Say it.", text), ("Say it.", f"{text}!"))).passed


@pytest.mark.parametrize(
    "text",
    [
        "Tabs\tand\nlines,\r\nall plain.",
        "می\u200cخواهم",  # Persian
        "क्\u200dष and क्\u200cष",  # Devanagari
        "a family \U0001f468\u200d\U0001f469\u200d\U0001f467 and a heart \u2764\ufe0f",
        "a flag \U0001f3f3\ufe0f\u200d\U0001f308, a nod \U0001f642\u200d\u2194\ufe0f",
        "an emoji that this Python may not know: \U0001fae9",
        "a variant \u845b\U000e0100 of a sign",
        "accents: e\u0301, ñ, Ω, Привет, 你好",
    ],
)
def test_what_writing_needs_passes(text: str) -> None:
    assert check_invisible(proposal(("Say it.", "It is."), ("Say it.", text))).passed


def test_other_bits_than_those_of_the_original_are_refused() -> None:
    old = ("Say it.", "It is\u200b\u200c\u200b so.")
    assert check_invisible(proposal(old, ("Say it.", "So\u200b\u200c\u200b it is."))).passed
    assert not check_invisible(proposal(old, ("Say it.", "So\u200c\u200c\u200b it is."))).passed
