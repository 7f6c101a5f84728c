"""Word differences: exact when put together, readable in every script, bounded in time."""

import random
import time

import pytest

from middo.inspection.diff import Piece, word_diff

ALPHABET = [
    "a",
    "the",
    "apple",
    "Äpfel",
    " ",
    "  ",
    "\n",
    "\t",
    "。",
    "東",
    "京",
    "🍎",
    "-",
    "\u200d",
    "é",
]


def old_of(pieces: tuple[Piece, ...]) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != "added")


def new_of(pieces: tuple[Piece, ...]) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != "removed")


def test_pieces_put_together_are_the_two_texts() -> None:
    rng = random.Random(5)
    for _ in range(400):
        old = "".join(rng.choices(ALPHABET, k=rng.randrange(30)))
        parts = list(old)
        for _ in range(rng.randrange(5)):
            place = rng.randrange(len(parts) + 1)
            parts[place : place + rng.randrange(4)] = rng.choices(ALPHABET, k=rng.randrange(4))
        new = "".join(parts)
        pieces = word_diff(old, new)
        assert (old_of(pieces), new_of(pieces)) == (old, new)
        assert all(piece.text for piece in pieces)
        kinds = [piece.kind for piece in pieces]
        assert all(one != other for one, other in zip(kinds, kinds[1:], strict=False))


def test_only_the_changed_word_is_marked() -> None:
    assert word_diff("Name three red apples.", "Name four red apples.") == (
        Piece("same", "Name "),
        Piece("removed", "three"),
        Piece("added", "four"),
        Piece("same", " red apples."),
    )


def test_neighbouring_changes_are_one() -> None:
    pieces = word_diff("say one two now", "say three four now")
    assert [piece.text for piece in pieces] == ["say ", "one two", "three four", " now"]


def test_scripts_without_spaces_are_compared_by_character() -> None:
    pieces = word_diff("東京の天気は良い", "東京の天気は悪い")
    assert Piece("removed", "良") in pieces
    assert Piece("added", "悪") in pieces


def test_letters_with_marks_stay_in_their_word() -> None:
    pieces = word_diff("Größe und Maß", "Größen und Maß")
    assert pieces[:2] == (Piece("removed", "Größe"), Piece("added", "Größen"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ()),
        ("same", "same", (Piece("same", "same"),)),
        ("", "new", (Piece("added", "new"),)),
        ("old", "", (Piece("removed", "old"),)),
    ],
)
def test_empty_and_equal_texts(old: str, new: str, expected: tuple[Piece, ...]) -> None:
    assert word_diff(old, new) == expected


@pytest.mark.parametrize("unit", ["word ", "x", "東", "a\n", " "])
def test_a_megabyte_takes_a_moment(unit: str) -> None:
    old = unit * (1_000_000 // len(unit))
    new = old[: len(old) // 2] + "something else entirely" + old[len(old) // 2 + 7 :]
    began = time.perf_counter()
    pieces = word_diff(old, new)
    assert time.perf_counter() - began < 5
    assert (old_of(pieces), new_of(pieces)) == (old, new)


def test_a_megabyte_of_other_words_is_bounded() -> None:
    rng = random.Random(3)
    old = " ".join(str(rng.randrange(1000)) for _ in range(250_000))
    new = " ".join(str(rng.randrange(1000)) for _ in range(250_000))
    began = time.perf_counter()
    pieces = word_diff(old, new)
    assert time.perf_counter() - began < 5
    assert (old_of(pieces), new_of(pieces)) == (old, new)


def test_of_a_long_text_the_words_of_changed_sentences_are_compared() -> None:
    sentences = [f"Sentence number {n} says that {n} is one more than {n - 1}." for n in range(900)]
    changed = list(sentences)
    changed[3] = changed[3].replace("says", "claims")
    changed[880] = changed[880].replace("more", "better")
    pieces = word_diff(" ".join(sentences), " ".join(changed))
    marked = [(piece.kind, piece.text) for piece in pieces if piece.kind != "same"]
    assert marked == [
        *(("removed", "says"), ("added", "claims")),
        *(("removed", "more"), ("added", "better")),
    ]


@pytest.mark.parametrize("letters", [2, 20, 19_999])
@pytest.mark.parametrize("gap", [" ", ""])
def test_texts_that_have_nothing_in_common_take_a_moment(letters: int, gap: str) -> None:
    rng = random.Random(4)
    old, new = (
        gap.join(chr(0x4E00 + rng.randrange(letters)) for _ in range(5_000)) for _ in range(2)
    )
    began = time.perf_counter()
    pieces = word_diff(old, new)
    assert time.perf_counter() - began < 3
    assert (old_of(pieces), new_of(pieces)) == (old, new)
