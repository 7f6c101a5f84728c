"""The pages of a finished run in a real browser."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from middo.core.amounts import several
from middo.core.records import Axis
from middo.inspection.record import Record, open_record
from middo.inspection.samples import Query
from middo.inspection.table import rows
from middo.viewer.visible import MOST_SHOWN
from tests.browser.conftest import served
from tests.browser.runs import HIDDEN, LONG
from tests.browser.watching import NARROW, Watched, every_look, watched
from tests.inspection.folder import Folder, proposal, rewritten, sample


@pytest.fixture
def seen(browser: Browser, address: str) -> Iterator[Watched]:
    with watched(browser, address) as page:
        yield page


@pytest.fixture(scope="module")
def record(finished_run: Path) -> Iterator[Record]:
    with open_record(finished_run) as opened:
        yield opened


def attacked(record: Record) -> list[str]:
    """Return the ids of the hostile samples, the refined ones first."""
    found = [row for row in rows(record, Query(round=0)) if "in attack" in row.prompt]
    return [row.sample_id for row in sorted(found, key=lambda row: row.fate is None)]


@pytest.mark.parametrize(
    "path",
    ["", "rounds/0", "rounds/2", "samples", "compare?a=0&b=1"]
    + ["samples?text=zzzz", "samples?round=0&axis=any&order=quality"],
)
def test_a_page_looks_right_in_every_way(seen: Watched, path: str) -> None:
    assert every_look(seen, path) == []


def test_a_refined_sample_looks_right(seen: Watched, record: Record) -> None:
    accepted = [row.sample_id for row in rows(record, Query(round=0, fate="accepted"))]
    assert every_look(seen, f"samples/{accepted[0]}") == []
    seen.page.locator("details.call summary").first.click()
    expect(seen.page.locator("details.call pre").first).to_be_visible()
    assert seen.violations() == []


def test_hostile_samples_are_text(seen: Watched, record: Record) -> None:
    ids = attacked(record)
    assert len(ids) >= 3
    for name in ids:
        seen.open(f"samples/{name}")
        assert seen.trouble() == []
        assert "in attack" in seen.page.locator("main").inner_text()
    assert every_look(seen, f"samples/{ids[0]}") == []
    seen.open("samples?round=0&text=attack")
    assert seen.page.locator(".hidden-char", has_text="U+202E").count() >= len(ids)
    assert HIDDEN not in seen.page.content()


def test_a_very_long_word_does_not_widen_a_phone(seen: Watched, record: Record) -> None:
    long = next(
        row.sample_id for row in rows(record, Query(round=0)) if row.prompt.startswith("www")
    )
    seen.page.set_viewport_size(NARROW)
    seen.open(f"samples/{long}")
    assert LONG[:MOST_SHOWN] in seen.page.locator("main").inner_text()
    assert seen.sideways() <= 0


def test_the_page_of_a_line_of_a_megabyte_opens_at_once(browser: Browser, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    old = sample("x<" * 500_000, "y " + "z" * 1_000_000, 1)
    new = rewritten(old, "x<" * 500_000 + "new", "Y " + "w" * 1_000_000, 0)
    folder.dataset(0, [old], gate="baseline")
    folder.diagnosis(
        0, {"quality": {old.id: 0.1}}, [(old.id, Axis.QUALITY, "broken")], vectors={old.id: (1.0,)}
    )
    made = proposal(old, new, Axis.QUALITY, "accepted")
    folder.outcome(0, old, Axis.QUALITY, "accepted", proposals=[made])
    folder.dataset(1, [new])
    folder.finish(best=0)
    with served(folder.path) as address, watched(browser, address) as seen:
        seen.open()
        begun = time.monotonic()
        seen.open(f"samples/{old.id}")
        assert "characters more" in seen.page.locator("main").inner_text()
        assert seen.sideways() <= 0
        assert time.monotonic() - begun < 5
        assert seen.trouble() == [] and seen.violations() == []


def test_what_a_search_box_holds_is_no_syntax(seen: Watched) -> None:
    for text in ("' OR 1=1 --", '"a" NEAR(b', "*", "<script>alert(1)</script>", "%", "\u202e"):
        seen.open("samples")
        seen.page.fill("#text", text)
        seen.page.press("#text", "Enter")
        expect(seen.page.locator("#text")).to_have_value(text)
        expect(seen.page.locator("h1")).to_have_text("Samples")
        assert seen.trouble() == []


def test_no_address_of_a_page_that_is_missing_tells_more_than_that(seen: Watched) -> None:
    for path in ("nowhere", "samples/..%2f..%2fetc%2fpasswd", "rounds/99", "samples?round=99"):
        seen.open(path)
        assert "Not found" in seen.page.inner_text("h1")
        assert [line for line in seen.trouble() if "404" not in line] == []
        assert seen.violations() == []


def test_the_theme_is_remembered(seen: Watched) -> None:
    seen.open()
    button = seen.page.locator("button.theme")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(paper)
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    dark = seen.page.evaluate(paper)
    assert dark != light
    seen.open("samples")
    assert seen.page.evaluate(paper) == dark
    seen.page.locator("button.theme").click()
    seen.page.reload()
    assert seen.page.evaluate(paper) == light
    assert seen.trouble() == []


def reached(seen: Watched, steps: int) -> list[str]:
    """Press Tab, and return what had the focus each time, by id, class or text."""
    script = """() => {
        const it = document.activeElement;
        return it.id || it.className || it.textContent.trim();
    }"""
    found = []
    for _ in range(steps):
        seen.page.keyboard.press("Tab")
        found.append(seen.page.evaluate(script))
    return found


def test_everything_can_be_reached_with_the_keyboard(seen: Watched) -> None:
    seen.open("samples")
    order = reached(seen, 60)
    places = [order.index(name) for name in ("skip", "mark", "Run", "theme", "text")]
    assert places == sorted(places)
    assert any(name.startswith("choose-axis-") for name in order)
    assert any(name.startswith("sort-") for name in order)
    assert order.index("choose-axis-any") > order.index("text")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert seen.page.evaluate(outline) != "none"


def test_the_skip_link_leads_to_the_content(seen: Watched) -> None:
    seen.open("rounds/0")
    seen.page.keyboard.press("Tab")
    expect(seen.page.locator(".skip")).to_be_focused()
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("scripted", [True, False])
def test_search_facets_order_and_pages(
    browser: Browser, address: str, record: Record, scripted: bool
) -> None:
    total = len(list(rows(record, Query(round=0))))
    with watched(browser, address, java_script_enabled=scripted) as seen:
        page, line = seen.page, seen.page.locator(".result-line")
        count = line.locator("strong").last
        seen.open("samples?round=0")
        expect(count).to_have_text(several(total, "sample"))
        page.locator("#page-next").click()
        expect(line).to_contain_text(f"51 to {total}")
        page.locator("#page-previous").click()
        expect(line).to_contain_text("1 to 50")
        page.locator("#sort-loss_base").click()
        expect(page.locator("th[aria-sort=descending]")).to_contain_text("Loss before")
        losses = [float(text) for text in page.locator("tbody td:nth-child(6)").all_inner_texts()]
        assert losses == sorted(losses, reverse=True)
        page.locator("#choose-axis-any").click()
        some = len(list(rows(record, Query(round=0, axis="any"))))
        expect(count).to_have_text(several(some, "sample"))
        page.fill("#text", "nothing like this")
        page.press("#text", "Enter")
        expect(count).to_have_text("0 samples")
        page.get_by_role("link", name="Remove all", exact=True).click()
        expect(count).to_have_text(several(total, "sample"))  # else the words go to the old form
        page.fill("#text", "apples Paris")
        page.press("#text", "Enter")
        found = len(list(rows(record, Query(round=0, text="apples Paris"))))
        expect(count).to_have_text(several(found, "sample"))
        assert parse_qs(urlsplit(page.url).query)["text"] == ["apples Paris"]
        page.locator("tbody a").first.click()
        expect(page.locator("h1")).to_contain_text("apples in Paris")
        assert seen.events == []


def test_typing_searches_and_keeps_the_focus(seen: Watched, record: Record) -> None:
    found = len(list(rows(record, Query(round=0, text="rivers"))))
    seen.open("samples?round=0")
    seen.page.locator("#text").press_sequentially("rivers", delay=20)
    expect(seen.page.locator("#said")).to_have_text(several(found, "sample"))
    assert seen.page.evaluate("document.activeElement.id") == "text"
    seen.page.go_back()
    expect(seen.page.locator(".result-line")).not_to_contain_text(f"of {found} samples")
    assert seen.trouble() == []


def test_a_point_of_the_map_shows_its_sample_and_opens_it(seen: Watched, record: Record) -> None:
    seen.open("rounds/0")
    picture = seen.page.locator("figure[data-points=map] svg")
    box = picture.bounding_box()
    island = seen.page.evaluate("JSON.parse(document.getElementById('points').textContent)")
    spots = island["map"]
    first = next(n for n in range(0, len(spots), 2) if spots[n] is not None)
    assert box is not None
    unit = box["width"] / picture.evaluate("svg => svg.viewBox.baseVal.width")
    x, y = (at * unit for at in spots[first : first + 2])
    picture.hover(position={"x": x, "y": y})
    tip = seen.page.locator(".tip")
    expect(tip).to_be_visible()
    shown = tip.locator("code").inner_text()
    assert shown in island["ids"]
    picture.click(position={"x": x, "y": y})
    seen.page.wait_for_url(f"**/samples/{shown}")
    assert seen.trouble() == []


def test_the_map_changes_its_colours_in_place(seen: Watched) -> None:
    seen.open("rounds/0")
    seen.page.evaluate("window.same = true")
    seen.page.locator("#map a", has_text="axis").click()
    expect(seen.page.locator("#map a[aria-current]")).to_have_text("axis")
    assert seen.page.evaluate("window.same")
    assert seen.trouble() == []
