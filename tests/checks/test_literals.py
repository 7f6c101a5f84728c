import pytest

from middo.checks.literals import (
    addresses,
    check_code,
    check_quotes,
    check_urls,
    code_spans,
    masked,
    quotations,
)
from middo.core.records import Axis

from .proposals import context, proposal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Rewrite "The cat sat." now', ["The cat sat."]),
        ("Rewrite “The cat sat.” now", ["The cat sat."]),
        ("Traduis « le chat dort » vite", ["le chat dort"]),
        ("Übersetze „Guten Tag“ bitte", ["Guten Tag"]),
        ("翻译「今天天气很好」", ["今天天气很好"]),
        ("Use the word 'rain' twice", ["rain"]),
        ("It's the dogs' bowl, isn't it", []),
        ("He is 5'10\" tall and she is 5'2\"", []),
        ('`"code"` is no quotation', []),
        ('"one" and "two"', ["one", "two"]),
    ],
)
def test_quotations(text: str, expected: list[str]) -> None:
    assert quotations(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://a.org/x_(y).", ["https://a.org/x_(y)"]),
        ("(see www.a.org/b?c=1)", ["www.a.org/b?c=1"]),
        ("Mail to jo.doe+x@mail.co.uk.", ["jo.doe+x@mail.co.uk"]),
        ("https://a.org, https://a.org", ["https://a.org"]),
        ("a.b and 3@4", []),
    ],
)
def test_addresses(text: str, expected: list[str]) -> None:
    assert addresses(text) == expected


def test_code_spans() -> None:
    text = "Fix `x = 1` in\n```python\nprint(x)\n```\nand ``a`b``."
    assert code_spans(text) == ["print(x)", "x = 1", "a`b"]


def test_masked_numbers_the_quotations() -> None:
    text, quoted = masked('Say "a" or "b"')
    assert text == "Say \ue000 or \ue001"
    assert quoted == ["a", "b"]


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ('Who said "to be or not to be"?', "Who is the author of «To be, or not to be»?", True),
        ('Who said "to be or not to be"?', "Who said “to be”?", False),
        ("Explain 'irony' to a child", "Explain irony to a small child", True),
        ("Explain 'irony' to a child", "Explain sarcasm to a small child", False),
        ("翻译「今天天气很好」", "请把「今天天气很好」译成英文", True),
        ("翻译「今天天气很好」", "请把「天气」译成英文", False),
        ('Split it at "," please', "Split it at ',' now", True),
        ('Split it at "," please', "Split it now", False),
        ("No quotations", "None at all", True),
    ],
)
def test_quotations_stay_word_for_word(old: str, new: str, passes: bool) -> None:
    verdict = check_quotes(proposal(old, new), context())
    assert verdict.passed is passes
    assert bool(verdict.reason) is not passes


def test_addresses_stay() -> None:
    old = "Sum up https://a.org/News for jo@a.org"
    assert check_urls(proposal(old, "For jo@a.org: sum up https://a.org/news."), context()).passed
    verdict = check_urls(proposal(old, "Sum up https://a.org/new for jo@a.org"), context())
    assert verdict.numbers["lost"] == ["https://a.org/News"]


def test_code_stays_but_white_space_may_differ() -> None:
    old = "Explain\n```\nfor i in x:\n    print(i)\n```\nand `len(x)`"
    kept = "What do `len(x)` and this do?\n```python\nfor i in x:\n  print(i)\n```"
    assert check_code(proposal(old, kept), context()).passed
    lost = check_code(proposal(old, kept.replace("print", "show")), context())
    assert len(lost.numbers["lost"]) == 1


def test_only_complexity_may_drop_what_the_critic_named() -> None:
    old, new = 'Explain "irony" using "Emma"', "Explain irony"
    dropped = context(dropped=("the example “Emma” was left out",))
    simpler = check_quotes(proposal(old, new, Axis.COMPLEXITY), dropped)
    assert simpler.passed and simpler.numbers["dropped"] == ["Emma"]
    assert not check_quotes(proposal(old, new, Axis.COMPLEXITY), context()).passed
    assert not check_quotes(proposal(old, new, Axis.QUALITY), dropped).passed
    other = context(dropped=("the", "irony"))
    assert not check_quotes(proposal(old, new, Axis.COMPLEXITY), other).passed
