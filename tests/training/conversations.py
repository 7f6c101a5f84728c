"""Conversations that the scorer's tests measure, and how near two measurements have to be."""

import pytest

from middo.core.measures import Ask, Item, Measured
from middo.core.records import Message

ALL: frozenset[Ask] = frozenset({"embedding", "alone", "reverse", "ratings"})

LOSS = 1e-4
"""Nats; half of it is rounding."""
RATING = 1e-3
EMBEDDING = 1e-5

LOSSES = ("loss", "end", "alone", "prompt", "reverse", "copied", "looped")
DIFFERENCES = ("peak", "opening", "gain", "recoverability", "rating_mass")


def item(key: str, prompt: str, answer: str, system: str | None = None) -> Item:
    first = () if system is None else (Message("system", system),)
    return Item(key, (*first, Message("user", prompt), Message("assistant", answer)))


ITEMS = [
    item("a", "What is the sum of 12 and 30?", "It is 42, since 30 more than 12 is 42."),
    item("b", "Name the capital of France.", "Paris", system="Be kind, be short."),
    item("c", "Write a short poem about the sea.", "The sea is blue, it sings the land to sleep."),
    Item(
        "d",
        (
            Message("user", "How many apples?"),
            Message("assistant", "There are 10."),
            Message("user", "And when I eat 3?"),
            Message("assistant", "There are 7 apples left after you eat 3."),
        ),
    ),
    item("e", "Repeat: the sky is blue and wide.", "the sky is blue and wide, it is said."),
]


def assert_close(one: Measured, other: Measured, *, loose: float = 1.0) -> None:
    """Assert that two measurements differ by no more than the tolerances times `loose`."""
    assert one.unscored == other.unscored
    for name in LOSSES:
        expected = pytest.approx(getattr(other, name), abs=LOSS * loose)
        assert getattr(one, name) == expected, name
    for name in DIFFERENCES:
        expected = pytest.approx(getattr(other, name), abs=2 * LOSS * loose)
        assert getattr(one, name) == expected, name
    assert one.ratings == pytest.approx(other.ratings, abs=RATING * loose)
    assert one.embedding == pytest.approx(other.embedding, abs=EMBEDDING * loose)
