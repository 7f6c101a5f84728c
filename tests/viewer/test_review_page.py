from pathlib import Path

from starlette.testclient import TestClient

from tests.paused import paused_run

from .conftest import served
from .test_app import opened


def test_what_waits_is_shown_with_the_commands_that_decide(tmp_path: Path) -> None:
    folder = paused_run(tmp_path / "run")
    for browser in served(folder):
        page = opened(browser, "/review")
        text = " ".join("".join(page.text).split())
        assert "3 proposals passed every gate" in text
        assert f"middo review {folder}" in text and f"middo resume {folder}" in text
        assert "The Aare." in text and "The Isar." not in text
        assert "/review" in [a["href"] for a in opened(browser, "/").all("a")]
        assert "Waiting for a person's review of round 0" in "".join(opened(browser, "/").text)


def test_a_run_that_is_not_paused_has_no_review(browser: TestClient) -> None:
    answer = browser.get("/review")
    assert answer.status_code == 404
    assert "the run is not paused" in answer.text
    assert "/review" not in [a["href"] for a in opened(browser, "/").all("a")]
