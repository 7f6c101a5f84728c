import pytest

from middo.checks.markup import check_markup

from .proposals import proposal

ACTIVE = [
    "<script>alert(1)</script>",
    "so<script src=x>",
    "< SCRIPT src=x>",
    "<img src=x onerror=alert(1)>",
    "<b title='a'onclick=alert(1)>here</b>",
    "<svg/onload=alert(1)>",
    "<iframe src='https://example.com'>",
    "[read](javascript:alert(1))",
    "[read](data:text/html;base64,PHN2Zz4=)",
    "![seen](//collect.example/p.png)",
    "<img src='//collect.example/p.png'>",
    "<form action=x><input name=p>",
    "<style>p{}</style>",
]


@pytest.mark.parametrize("text", ACTIVE)
def test_markup_that_acts_is_refused_unless_it_was_there(text: str) -> None:
    for new in (("Say it.", f"So: {text}"), (f"Say {text}", "So it is.")):
        assert not check_markup(proposal(("Say it.", "It is."), new)).passed
    assert check_markup(proposal(("Say it.", f"It is {text}."), ("Say it.", f"So: {text}"))).passed


@pytest.mark.parametrize("text", ACTIVE)
def test_a_task_about_markup_may_be_answered_with_it(text: str) -> None:
    assert check_markup(proposal(("Write a page in HTML.", "No."), ("Write it.", text))).passed
    new = ("Write a script tag for a web page.", text)
    assert check_markup(proposal(("Name a river.", "Rhine."), new, adds=True)).passed
    # A rewritten prompt does not make its own task.
    assert not check_markup(proposal(("Name a river.", "Rhine."), new)).passed


@pytest.mark.parametrize(
    "text",
    [
        "JavaScript: the good parts.",
        "If a < b and c > d, go on = yes.",
        "Use <b>bold</b>, <p>paragraphs</p> and a <br> in between.",
        "The form has an input; a link, a style and a script of the play.",
        "data: text, and more // of it",
        "Generics look like List<Object> and Map<String, Integer>.",
        "How people react to a template with tags.",
    ],
)
def test_talk_about_it_is_no_markup(text: str) -> None:
    assert check_markup(proposal(("Say it.", "It is."), ("Say it.", text))).passed
