import base64

import pytest

from middo.checks.leakage import check_leakage
from middo.core.records import Axis, Message, Proposal

from .proposals import proposal, sample

OLD = ("What is at https://a.org/x?", "Mail jo@a.org.")


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-" + "a1B2" * 8,
        "AKIA" + "ABCD1234" * 2,
        "ghp_" + "a1" * 18,
        "hf_" + "Ab" * 17,
        "AIza" + "a" * 35,
        "-----BEGIN RSA PRIVATE KEY-----",
        "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + "." + "c" * 12,
        "password = hunter2hunter2",
        "postgres://user:pw@host/db",
    ],
)
def test_secrets_are_refused_and_not_recorded(text: str) -> None:
    verdict = check_leakage(proposal(OLD, ("What is it?", f"Use {text} there.")))
    assert not verdict.passed and verdict.numbers["secrets"]
    assert text not in str(verdict.as_dict())
    assert not check_leakage(proposal(OLD, (f"Use {text}.", "Yes."))).passed
    assert check_leakage(proposal((f"What is {text}?", "A key."), ("What?", f"{text}."))).passed


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("See https://a.org/x and jo@a.org.", True),
        ("See http://www.a.org/x/.", True),
        ("See https://b.org.", False),
        ("See www.b.org.", False),
        ("Write to me@b.org.", False),
        ("Write to you@example.com at https://example.org/a.", True),
        ("A password has letters. My secret: none.", True),
    ],
)
def test_addresses_must_be_known(answer: str, passes: bool) -> None:
    assert check_leakage(proposal(OLD, ("What is it?", answer))).passed is passes


def test_an_address_of_the_history_is_known() -> None:
    parent = sample("And?", "Yes.", Message("user", "Look at https://b.org/1."))
    messages = parent.with_exchange("And?", "It is https://b.org/1.")
    assert check_leakage(Proposal(parent, Axis.QUALITY, 1, messages, False)).passed


def test_an_address_that_only_the_new_prompt_has_is_foreign() -> None:
    new = ("Look at https://c.org.", "It is https://c.org.")
    assert not check_leakage(proposal(OLD, new, adds=True)).passed


KEY = b"OPENAI_API_KEY=a key that no pattern knows by its form"


@pytest.mark.parametrize("text", [base64.b64encode(KEY).decode(), KEY.hex()])
def test_coded_text_is_refused_unless_the_task_is_about_such(text: str) -> None:
    verdict = check_leakage(proposal(OLD, ("What is it?", f"It is {text}.")))
    assert verdict.numbers["secrets"] == ["coded text"] and text not in str(verdict.as_dict())
    assert check_leakage(proposal((f"What is {text}?", "It."), ("What?", f"{text}."))).passed
    assert check_leakage(proposal(("Encode it in base64.", "?"), ("Encode it.", text))).passed


@pytest.mark.parametrize(
    "text",
    [
        "a/path/of/a/library/with/40/letters/and/more.py",
        "Donaudampfschifffahrtsgesellschaftskapitaen2",
        "https://a.org/x",
        "1234567890123456789012345678901234567890123",
    ],
)
def test_long_words_are_not_coded_text(text: str) -> None:
    assert check_leakage(proposal(OLD, ("What is it?", f"It is {text}."))).passed


def test_a_text_from_which_a_key_was_taken_is_refused() -> None:
    assert not check_leakage(proposal(OLD, ("What is it?", "The key is [redacted]."))).passed
    old = ("What does [redacted] mean?", "Taken out.")
    assert check_leakage(proposal(old, ("What?", "[redacted] means taken out."))).passed
