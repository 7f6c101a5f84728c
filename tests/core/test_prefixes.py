"""From the beginning of an id to the id, or to those that may have been meant."""

import pytest

from middo.core.prefixes import beginning, near, some

IDS = ["5a3f00aa", "5a3f00aa-2", "5a7b1111", "77bc2222"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("77", ["77bc2222"]),
        (" 77BC\n", ["77bc2222"]),
        ("5a3f00aa", ["5a3f00aa"]),
        ("5a3f", ["5a3f00aa", "5a3f00aa-2"]),
        ("", IDS),
        ("77bc22223", []),
        ("bc", []),
    ],
)
def test_a_beginning_means_an_id_or_several(text: str, meant: list[str]) -> None:
    assert beginning(text, IDS) == meant


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5b3f", ["5a3f00aa", "5a7b1111"]),
        ("77bc2223", ["77bc2222"]),
        ("bc77", ["77bc2222"]),
        ("zzzz", []),
        ("", []),
    ],
)
def test_near_ids_are_those_that_begin_alike(text: str, found: list[str]) -> None:
    assert near(text, IDS) == found


def test_of_many_ids_a_few_are_named() -> None:
    assert some(IDS) == "5a3f00aa, 5a3f00aa-2, 5a7b1111, 77bc2222"
    assert some([*IDS, "8"]) == "5a3f00aa, 5a3f00aa-2, 5a7b1111, 77bc2222 and more"
