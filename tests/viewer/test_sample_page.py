"""The page of one sample: diffs, gates with their bounds, what the agents said."""

from typing import Any

from starlette.testclient import TestClient

from middo.core.records import Message
from middo.inspection.diff import word_diff
from middo.viewer.gauge import gauge
from middo.viewer.pages.compared import compared
from middo.viewer.visible import MOST_SHOWN
from tests.inspection.folder import pair

from .conftest import hostile
from .test_app import opened


def test_a_beginning_of_an_id_is_enough_and_a_wrong_one_is_told(browser: TestClient) -> None:
    row = hostile()[0]
    assert f"<title>{row.id}" in browser.get(f"/samples/{row.id[:10]}").text
    assert "no sample of run has this id" in browser.get("/samples/ffffffff").text


def test_a_refused_proposal_shows_its_diff_and_its_reason(browser: TestClient) -> None:
    page = opened(browser, f"/samples/{hostile()[1].id}")
    assert page.all("ins") and page.all("del")
    text = " ".join("".join(page.text).split())
    assert "removed:" in text and "added:" in text
    assert "1 check passed" in text
    assert "rejected" in text


def test_neighbours_are_links(browser: TestClient) -> None:
    rows = hostile()
    targets = [a["href"] for a in opened(browser, f"/samples/{rows[0].id}").all("a")]
    assert f"/samples/{rows[1].id}" in targets


def test_headings_are_in_order(browser: TestClient) -> None:
    for path in ("/", "/samples", f"/samples/{hostile()[1].id}"):
        levels = [int(tag[1]) for tag, _ in opened(browser, path).elements if tag in HEADS]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False)), (path, levels)


HEADS = {f"h{level}" for level in range(1, 7)}


def test_turns_that_stay_are_said_to_and_new_samples_are_not_compared() -> None:
    old, new = pair("a question", "an answer"), pair("a question", "a new answer")
    first, second = compared(old, new, adds=False)
    assert (first["is_same"], second["is_same"]) == (True, False)
    assert "".join(p.text for p in second["pieces"] if p.kind != "removed") == "a new answer"
    assert "".join(p.text for p in second["pieces"] if p.kind != "added") == "an answer"
    assert [p.kind for turn in compared(old, new, adds=True) for p in turn["pieces"]] == [
        "same"
    ] * 2
    assert compared(old, (), adds=False) == []


def test_a_system_turn_that_stays_is_left_out() -> None:
    system = Message("system", "Be brief.")
    old, new = (system, *pair("q", "a")), (system, *pair("q", "b"))
    assert [turn["role"] for turn in compared(old, new, adds=False)] == ["user", "assistant"]


def test_a_very_long_diff_keeps_what_changed_and_both_its_sides() -> None:
    before, after = "a " * 300_000, " z" * 300_000
    old = pair("q", f"{before}old word{after}")
    (_, turn) = compared(old, pair("q", f"{before}new word{after}"), adds=False)
    assert [(p.kind, p.text) for p in turn["pieces"][1:3]] == [("removed", "old"), ("added", "new")]
    first, last = turn["pieces"][0], turn["pieces"][-1]
    assert len(first.text + first.tail) + first.left_out == len(before)
    assert first.tail.endswith("a ") and last.text.startswith(" word z")
    assert shown_of(turn) <= MOST_SHOWN

    (_, turn) = compared(pair("q", "x" * 10**6), pair("q", "y" * 10**6), adds=False)
    assert [p.kind for p in turn["pieces"]] == ["removed", "added"]
    for piece, char in zip(turn["pieces"], "xy", strict=True):
        assert set(piece.text) == {char} and len(piece.text) >= 5_000
        assert len(piece.text) + piece.left_out == 10**6
    assert shown_of(turn) <= MOST_SHOWN


def test_of_a_diff_with_very_many_changes_the_first_are_shown_and_the_rest_counted() -> None:
    old = "".join(f"{n} {'x' * 90}.\n" for n in range(1_500))
    new = "".join(f"{n} {'y' * 90}.\n" for n in range(1_500))
    (_, turn) = compared(pair("q", old), pair("q", new), adds=False)
    assert shown_of(turn) <= MOST_SHOWN
    counted = sum(len(p.text + p.tail) + p.left_out for p in turn["pieces"])
    assert counted == sum(len(piece.text) for piece in word_diff(old, new))


def shown_of(turn: dict[str, Any]) -> int:
    return sum(len(piece.text + piece.tail) for piece in turn["pieces"])


def test_a_gauge_stays_inside_its_bar_and_shades_the_flagged_side() -> None:
    from middo.core.records import Axis
    from middo.inspection.life import Reading

    def drawn(score: float | None, *, high: bool) -> str | None:
        axis = Axis.COMPLEXITY if high else Axis.QUALITY
        return gauge(Reading(axis, True, score, 0.5, high, 1, 9, True, ""))

    assert drawn(None, high=True) is None
    far = drawn(99.0, high=True)
    assert far is not None and 'cx="216.0"' in far
    low = drawn(0.1, high=False)
    assert low is not None and 'class="flag-side" x="4.0" y="10" width="106.0"' in low
