"""The pages of a run that goes on: they follow it without being loaded again."""

import time
from pathlib import Path

from playwright.sync_api import Browser, expect

from middo.stores.runs import read_run
from tests.browser.conftest import served
from tests.browser.watching import LOOKS, every_look, watched


def waiting_in_refine(folder: Path) -> None:
    """Wait until the agents of a run have been asked; they wait for the gate."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "run.json").is_file():
            rounds = read_run(folder).get("rounds") or [{}]
            if rounds[0].get("flagged"):
                return
        time.sleep(0.2)
    raise AssertionError("the run did not come to refine")


def test_pages_follow_a_run_until_it_is_finished(browser: Browser, held: tuple[Path, Path]) -> None:
    folder, gate = held
    waiting_in_refine(folder)
    with served(folder) as url, watched(browser, url) as seen:
        for path in ("rounds/0", "samples", "compare"):
            assert every_look(seen, path, LOOKS[::3]) == []
        seen.open()
        expect(seen.page.locator("#now")).to_contain_text("At work: refine of round 0")
        assert seen.violations() == [] and seen.trouble() == []
        seen.page.evaluate("window.same = true")
        seen.page.locator("button.theme").focus()
        gate.touch()
        expect(seen.page.locator("#now .badge")).to_have_text("finished", timeout=120_000)
        expect(seen.page.locator("#run tbody").first).to_contain_text("Round 1")
        assert seen.page.evaluate("window.same")
        assert "theme" in seen.page.evaluate("document.activeElement.className")
        assert seen.page.locator("#now[hx-get]").count() == 0
        assert seen.trouble() == [] and seen.violations() == []
