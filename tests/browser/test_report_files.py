"""The static report, opened as files: no server, no network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from middo.cli.report import report
from tests.browser.watching import LOOKS, Watched, every_look, watched


@pytest.fixture(scope="module")
def folder(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files") / "report"
    report(finished_run, made)
    return made


@pytest.fixture
def seen(browser: Browser, folder: Path) -> Iterator[Watched]:
    with watched(browser, f"{folder.as_uri()}/") as page:
        yield page


PAGES = ["index", "round-0-axis", "samples", "others", "compare"]


@pytest.mark.parametrize("name", PAGES)
def test_a_file_looks_right(seen: Watched, name: str) -> None:
    assert every_look(seen, f"{name}.html", LOOKS[::3]) == []


def test_every_sample_of_a_report_opens(seen: Watched, folder: Path) -> None:
    names = sorted(path.name for path in (folder / "samples").iterdir())
    assert len(names) > 10
    for name in names:
        seen.open(f"samples/{name}")
        assert seen.trouble() == []
    assert every_look(seen, f"samples/{names[0]}", LOOKS[::3]) == []


def test_styles_and_theme_work_from_files(seen: Watched) -> None:
    seen.open("index.html")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(paper)
    seen.page.locator("button.theme").click()
    dark = seen.page.evaluate(paper)
    assert light != dark
    seen.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Samples").click()
    expect(seen.page.locator("h1")).to_have_text("Samples")
    assert seen.page.evaluate(paper) == dark
    seen.page.locator("tbody a").first.click()
    expect(seen.page.locator("h1")).to_have_class("sample-title")
    assert "/samples/" in seen.page.url
    assert seen.page.evaluate(paper) == dark
    assert seen.trouble() == []


def test_an_inline_script_would_not_run_in_a_report(seen: Watched) -> None:
    seen.open("index.html")
    seen.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p onclick=\"hacked=1\">x')")
    seen.page.evaluate("document.body.lastElementChild.click()")
    assert seen.page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in line for line in seen.events)
