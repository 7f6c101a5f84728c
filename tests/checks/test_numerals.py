from decimal import Decimal

import pytest

from middo.checks.numerals import Numeral, check_numbers, numerals, spelled_numerals
from middo.core.records import Axis

from .proposals import proposal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,000", [("1000", "")]),
        ("1\u202f000 and 1\u00a0000", [("1000", "")]),
        ("1.234,56 €", [("1234.56", "€")]),
        ("1.000.000", [("1000000", "")]),
        ("3.5% or 3.5 percent", [("3.5", "%")]),
        ("$2, 2 dollars, USD 2", [("2", "$")]),
        ("3,5 kg", [("3.5", "")]),
        ("-5 degrees, a range of 10-20", [("-5", ""), ("10", ""), ("20", "")]),
        ("2021-03-05 at 10:30", [("2021", ""), ("3", ""), ("5", ""), ("10", ""), ("30", "")]),
        ("2 million dollars", [("2000000", "$")]),
        ("x² and x^2", [("2", "")]),
        ("the 21st", [("21", "")]),
        ("version .5", [("0.5", "")]),
        ("１２ apples", [("12", "")]),
        ("no numbers", []),
    ],
)
def test_numerals_are_values_with_units(text: str, expected: list[tuple[str, str]]) -> None:
    assert set(numerals(text)) == {Numeral(Decimal(value), unit) for value, unit in expected}


def test_digits_behind_letters_are_part_of_a_name() -> None:
    assert set(numerals("H2O as an mp3")) == {Numeral("h2", ""), Numeral("mp3", "")}


def test_spelled_numbers() -> None:
    assert spelled_numerals("twenty-one men, three hundred, the third") == {
        Numeral(Decimal(21), ""),
        Numeral(Decimal(300), ""),
        Numeral(Decimal(3), ""),
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("She sold 48 clips for $2.", "For 2 dollars each she sold 48 clips."),
        ("Add 1,000 and 5.", "What is 1000 plus five?"),
        ("Add three and 4.", "Add 3 and 4."),
        ("It grew by 3.5%.", "It grew by 3.5 percent."),
        ("Compare 3 laptops.", "Compare these:\n1. price\n2. weight\nof 3 laptops"),
        ("Write about rain.", "Write about rain in 100 words."),
        ("In March 5, 2021", "On 5 March 2021"),
        ("Solve it. 5 + 5", "solve it.  5 + 5"),
    ],
)
def test_kept_numbers_pass(old: str, new: str) -> None:
    assert check_numbers(proposal(old, new)).passed


@pytest.mark.parametrize(
    ("old", "new", "lost", "added"),
    [
        ("She sold 48 clips in 2 days.", "She sold clips in 2 days.", ["48"], []),
        ("It grew by 3.5%.", "It grew by 3.5.", ["3.5%"], ["3.5"]),
        ("It costs $2.", "It costs €2.", ["$2"], ["€2"]),
        ("It is -5 degrees.", "It is 5 degrees.", ["-5"], ["5"]),
        ("She has 1,000 clips.", "She has 1.000 clips.", ["1,000"], ["1.000"]),
        ("She has 48 clips.", "She has 48 clips and 24 more.", [], ["24"]),
        ("In 1914 it began.", "In 1941 it began.", ["1914"], ["1941"]),
        ("What is H2O?", "What is H3O?", ["H2"], ["H3"]),
    ],
)
def test_changed_numbers_fail(old: str, new: str, lost: list[str], added: list[str]) -> None:
    verdict = check_numbers(proposal(old, new))
    assert not verdict.passed
    assert (verdict.numbers["lost"], verdict.numbers["added"]) == (lost, added)
    assert all(f"`{detail}`" in verdict.reason for detail in [*lost, *added])


def test_complexity_may_not_drop_a_number() -> None:
    changed = proposal("Name 3 rivers of Peru.", "Name rivers of Peru.", Axis.COMPLEXITY)
    assert not check_numbers(changed).passed
