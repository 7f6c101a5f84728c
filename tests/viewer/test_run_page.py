"""The Run page in every state of a run."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from middo.stores.lock import run_lock
from middo.stores.runs import write_run
from tests.inspection.folder import Folder, numbered

from .conftest import served
from .test_app import opened

TIMES = {"prepare": 1.0, "train": 65.0, "evaluate": 2.0, "gate": 0.0}


def folder(tmp_path: Path, status: str, **document: Any) -> Folder:
    made = Folder(tmp_path / "run")
    made.document |= {"status": status, **document}
    write_run(made.path, made.document)
    return made


def page(made: Folder, path: str = "/") -> str:
    for browser in served(made.path):
        return browser.get(path).text
    raise AssertionError


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_run_before_its_first_data_set(tmp_path: Path) -> None:
    made = folder(tmp_path, "interrupted")
    for browser in served(made.path):
        text = words(browser.get("/").text)
        assert "The run has no data set yet" in text
        assert "No round has begun." in text
        assert "middo resume" in text
        assert "no data set yet" in words(browser.get("/samples").text)


def test_a_running_run_is_asked_for_news_until_it_has_ended(tmp_path: Path) -> None:
    rounds = [{"round": 0, "times": TIMES}]
    made = folder(tmp_path, "running", rounds=rounds)
    with run_lock(made.path):
        for browser in served(made.path):
            html = browser.get("/").text
            (address,) = re.findall(r'hx-get="(/progress[^"]*)"', html)
            assert "At work: diagnose of round 0" in words(html)
            quiet = browser.get(address).text
            assert 'id="run"' not in quiet and "hx-get" in quiet
            made.document["rounds"][0]["times"] = {**TIMES, "diagnose": 3.0}
            write_run(made.path, made.document)
            news = browser.get(address).text
            assert '<div id="run" hx-swap-oob="innerHTML">' in news
            assert '<p id="announce" hx-swap-oob="innerHTML">At work: refine of round 0</p>' in news
            made.document["status"] = "finished"
            write_run(made.path, made.document)
            last = browser.get(address).text
            assert "hx-get" not in last
            assert "Finished" in words(last)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("interrupted", "Interrupted in diagnose of round 0"),
        ("budget", "Stopped at a cap of the budget in diagnose of round 0"),
        ("failed", "Failed in diagnose of round 0"),
    ],
)
def test_a_stopped_run_says_where_and_how_to_go_on(tmp_path: Path, status: str, said: str) -> None:
    html = page(folder(tmp_path, status, rounds=[{"round": 0, "times": TIMES}]))
    assert said in words(html)
    assert "middo resume" in html
    assert "hx-get" not in html


def test_a_finished_run_shows_rounds_decisions_and_times(browser: TestClient) -> None:
    text = "".join(opened(browser, "/").text)
    assert "the baseline that later rounds are held against" in text
    assert "2.0000 to 3.0000" in text
    assert "1 min 05 s" in text
    assert "middo export" in text
    page_ = opened(browser, "/")
    targets = [link["href"] for link in page_.all("a")]
    assert "/rounds/0" in targets
    assert "/samples?round=0&fate=accepted" in targets
    assert "/samples?round=0&axis=any" in targets


def test_a_run_with_a_data_set_and_no_diagnosis_lists_its_samples(tmp_path: Path) -> None:
    made = Folder(tmp_path / "run")
    made.dataset(0, numbered(60), gate="baseline")
    for browser in served(made.path):
        first = words(browser.get("/samples").text)
        assert "1 to 50 of 60 samples of round 0" in first
        assert "51 to 60 of 60 samples" in words(browser.get("/samples?page=2").text)
        assert "beyond the last one" in words(browser.get("/samples?page=7").text)
        assert "No sample of round 0 matches" in words(browser.get("/samples?text=zzzz").text)


def test_tasks_are_shown_beside_the_untuned_base(tmp_path: Path) -> None:
    plain = {"task": "<b>gsm8k</b>", "metric": "number", "rows": 30, "unscored": 0}
    base = {**plain, "score": 0.0333, "interval": [0.0059, 0.1667], "is_share": True}
    against = {"mean": 0.0667, "low": -0.0333, "high": 0.1667, "rows": 30}
    after = {**base, "score": 0.1, "interval": [0.0346, 0.2562], "against_base": against}
    made = folder(
        tmp_path,
        "interrupted",
        base_tasks=[{**base, "against_base": None}],
        rounds=[{"round": 0, "times": TIMES, "tasks": [after]}],
    )
    html = page(made)
    assert "<b>gsm8k" not in html
    text = words(html)
    assert "&lt;b&gt;gsm8k&lt;/b&gt;, number untuned 3.3% 0.6% to 16.7% - 30" in text
    assert "number round 0 10.0% 3.5% to 25.6% +6.7 points (-3.3 to +16.7) 30" in text
    assert "Tasks" not in words(page(folder(tmp_path / "other", "interrupted", rounds=[])))
