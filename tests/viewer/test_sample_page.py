"""The page of one sample: diffs, gates with their bounds, what the agents said."""

from starlette.testclient import TestClient

from middo.core.records import Message
from middo.viewer.gauge import gauge
from middo.viewer.pages.compared import compared
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
