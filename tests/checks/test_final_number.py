from decimal import Decimal

import pytest

from middo.checks.final_number import final_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She makes 9 * 2 = $<<9*2=18>>18 every day.\n#### 18", "18"),
        ("#### 1,234", "1234"),
        ("#### $1,250.00", "1250"),
        ("####-5", "-5"),
        ("#### −5 degrees", "-5"),
        ("First #### 3, no, wait.\n#### 4 apples", "4"),
        ("The answer is 18. She has 3 ducks left.", "18"),
        ("So the final answer is: 16 - 3 - 4 = 9 eggs.", "9"),
        ("ANSWER: 70,000 dollars", "70000"),
        (r"Thus \boxed{42} as 6 * 7 shows in 1 line", "42"),
        ("Two of 10 leave, so 8 remain.", "8"),
        ("8 of them, of 10, are left: 8", "8"),
        ("It costs 2.50", "2.5"),
        ("about 3 million people", "3000000"),
        ("#### \nThe number is 7", "7"),
        ("H2O and mp3 are no numbers, 5 is", "5"),
        ("no number at all", None),
        ("", None),
    ],
)
def test_the_number_that_an_answer_ends_on(text: str, number: str | None) -> None:
    assert final_number(text) == (None if number is None else Decimal(number))
