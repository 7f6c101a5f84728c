"""The application as a browser without scripts sees it, over a run of hostile samples."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from middo.core.records import Axis
from middo.viewer.visible import MOST_SHOWN
from tests.inspection.diagnosed import diagnose
from tests.inspection.folder import Folder, numbered

from .conftest import BIDI, HANDLER, LONG, SCRIPT, hostile, served

PAGES = ("/", "/progress", "/samples", "/rounds/0", "/compare")


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def opened(browser: TestClient, address: str) -> Page:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.text[-400:]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


def addresses() -> list[str]:
    """Return all kinds of pages; the sample of a megabyte has its own test."""
    ids = [row.id for row in hostile() if LONG not in row.prompt]
    return [*PAGES, *(f"/samples/{name}" for name in ids), "/nope", "/samples/ffff"]


def test_no_page_runs_or_styles_anything_inline(browser: TestClient) -> None:
    for address in addresses():
        page = Page(browser.get(address).text)
        for tag, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on")], (address, tag)
            assert "style" not in attributes, (address, tag)
            assert not str(attributes.get("href") or "").lower().startswith("javascript"), address
        for script in page.all("script"):
            assert script["src"] is not None and script["src"].startswith("/static/")
        assert not page.all("style") and not page.all("iframe") and not page.all("img")


def test_every_address_of_a_page_is_on_this_server(browser: TestClient) -> None:
    for address in addresses():
        for tag, attributes in Page(browser.get(address).text).elements:
            for name in ("href", "src", "action", "hx-get"):
                target = attributes.get(name)
                assert target is None or re.match(r"/(?!/)|#", target), (address, tag, target)


def test_the_texts_of_a_sample_are_shown_as_texts(browser: TestClient) -> None:
    rows = hostile()
    page = opened(browser, f"/samples/{rows[0].id}")
    whole = "".join(page.text)
    assert f"{SCRIPT} prompt" in whole
    assert f"{SCRIPT} answer" in whole
    assert f"{HANDLER} new" in whole or HANDLER.split()[0] in whole
    assert "{{ 7*7 }} {% for x in y %} prompt" in "".join(
        opened(browser, f"/samples/{rows[4].id}").text
    )


def test_hidden_characters_never_reach_a_page(browser: TestClient) -> None:
    for address in addresses():
        html = browser.get(address).text
        assert not set(html) & set("\u202e\u2066\x00\x1b"), address
    shown = "".join(opened(browser, f"/samples/{hostile()[2].id}").text)
    assert "U+202E" in shown and "U+2066" in shown and "U+0000" in shown and "U+001B" in shown
    assert BIDI not in shown


ODD = 'odd" onclick=x \u202e\x1b'


def test_words_of_a_run_that_nobody_knows_are_marked_and_choose_no_look(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    rows = sorted(numbered(12), key=lambda row: row.id)
    ids = [row.id for row in rows]
    folder.dataset(0, rows, gate=ODD)
    diagnose(
        folder, 0, rows, losses=[2.0] * 12, quality=[0.5] * 12, flags=[(rows[0], Axis.QUALITY)]
    )
    folder.outcome(0, rows[0], Axis.QUALITY, "rejected", f"{ODD}: x")
    folder.finish(best=0)
    for browser in served(folder.path):
        for path in ("/", "/rounds/0", "/samples", f"/samples/{ids[0]}", "/compare"):
            check_classes(browser.get(path))
        folder.fates(0, {ids[0]: (ODD, f"{ODD}: x")})
        for path in ("/", "/rounds/0", f"/samples/{ids[0]}"):
            check_classes(browser.get(path))


def check_classes(answer: Any) -> None:
    assert answer.status_code == 200, answer.url
    assert not set(answer.text) & set("\u202e\x1b"), answer.url
    for tag, attributes in Page(answer.text).elements:
        for name in ("class", "id"):
            words = str(attributes.get(name) or "").split()
            assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", word) for word in words), (tag, words)
            assert "odd" not in words and "onclick=x" not in words


def test_a_line_of_a_megabyte_is_cut_in_the_table_and_on_its_page(browser: TestClient) -> None:
    row = hostile()[3]
    assert len(browser.get("/samples").text) < 200_000
    answer = browser.get(f"/samples/{row.id}")
    whole = "".join(Page(answer.text).text)
    assert f"{LONG} prompt"[:MOST_SHOWN] in whole
    assert f"{len(LONG) + len(' prompt') - MOST_SHOWN:,} characters more" in whole
    assert len(answer.text) < 500_000


@pytest.mark.parametrize(
    "words",
    [
        '"',
        "'; DROP TABLE samples; --",
        "NEAR(a b)",
        "* OR 1=1",
        "prompt:x",
        "-",
        "a\x00b",
        SCRIPT,
        HANDLER,
        "\u202e",
        "%' UNION SELECT * FROM texts --",
        "x" * 30_000,
    ],
)
def test_nothing_in_the_search_box_is_syntax(browser: TestClient, words: str) -> None:
    page = opened(browser, f"/samples?text={quote(words)}")
    (box,) = [one for one in page.all("input") if one.get("name") == "text"]
    assert box["value"] is not None
    assert len([one for one in page.all("script") if "src" not in one]) == 0
    if words == SCRIPT:
        assert "1 sample" in "".join(page.text)


def test_a_search_finds_a_sample_and_can_be_let_go(browser: TestClient) -> None:
    page = opened(browser, "/samples?round=0&text=7*7")
    links = [one["href"] for one in page.all("a") if str(one["href"]).startswith("/samples/")]
    assert links == [f"/samples/{hostile()[4].id}"]
    assert {"href": "/samples?round=0", "class": "badge live-off"} in page.all("a")


@pytest.mark.parametrize(
    "path",
    [
        "/samples/..%2f..%2fetc%2fpasswd",
        "/samples/../../etc/passwd",
        "/samples/%00",
        "/samples/" + "a" * 5_000,
        "/samples/'%20OR%201=1",
        "/static/..%2fapp.py",
        "/static/../app.py",
        "/static/__init__.py",
        "/static/htmx.LICENSE.txt",
        "/static/%2e%2e%2f%2e%2e%2frun.json",
        "/rounds/..%2f0",
        "/rounds/99",
        "/rounds/-1",
        "/run.json",
        "/ledger.db",
        "/review",
        "/samples?round=99",
        "/samples?round=../../x",
        "/samples?order=id;drop",
        "/samples?cluster=1e9",
        "/samples?page=x",
        "/samples?page=1_000",
        "/samples?page=%D9%A1",
        "/samples?page=%2B1",
        "/samples?cluster=--1",
        "/compare?run=..%2f..%2fetc",
    ],
)
def test_an_address_that_names_nothing_is_one_clear_line(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404, path
    assert "Traceback" not in answer.text and "root:" not in answer.text
    page = Page(answer.text)
    assert len(page.all("h1")) == 1


def small(path: Path) -> Folder:
    """Make a run of one diagnosed round."""
    folder = Folder(path)
    rows = numbered(3)
    folder.dataset(0, rows, gate="baseline")
    folder.diagnosis(0, {"quality": {row.id: 0.5 for row in rows}})
    folder.finish(best=0)
    return folder


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Hold that nothing is written to the terminal."""
    yield
    assert capfd.readouterr() == ("", "")


DEEP = "[" * 100_000
BROKEN: tuple[str, ...] = (
    "{",
    DEEP,
    "\x00",
    "[]",
    "null",
    "{}",
    '{"rounds":[1]}',
    '{"status":"x","rounds":{}}',
)
BROKEN += ('{"status":"x","rounds":[{}]}', '{"status":1,"rounds":[]}')


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("held", BROKEN)
def test_a_broken_document_of_the_run_is_one_line_without_a_traceback(
    tmp_path: Path, held: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = small(tmp_path / "run")
    for browser in served(folder.path):
        (folder.path / "run.json").write_text(held, encoding="utf-8")
        for path in ("/", "/samples", "/rounds/0", "/compare", "/progress"):
            answer = browser.get(path)
            assert answer.status_code == 500
            page = Page(answer.text)
            assert len(page.all("h1")) == 1 and "Not found" not in answer.text
            assert "run.json: " in "".join(page.text), path
        assert browser.get("/nope").status_code == 404
    assert caplog.records == []


def test_another_run_whose_document_is_broken_is_not_offered(tmp_path: Path) -> None:
    folder = small(tmp_path / "run")
    for held in BROKEN:
        other = tmp_path / "other"
        other.mkdir(exist_ok=True)
        (other / "run.json").write_text(held, encoding="utf-8")
        for browser in served(folder.path):
            assert "other" not in [
                one["value"] for one in opened(browser, "/compare").all("option")
            ]


@pytest.mark.parametrize("held", ["{", DEEP, "[]", "{}", '{"source_round":"x"}', "null"])
def test_a_broken_diagnosis_is_one_line(
    tmp_path: Path, held: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = small(tmp_path / "run")
    (folder.path / "rounds" / "0" / "diagnosis.json").write_text(held, encoding="utf-8")
    assert_one_line(folder, ("/rounds/0", "/samples/" + first()), "diagnosis.json: ")
    assert caplog.records == []


@pytest.mark.parametrize("held", [b"", b"PAR1" + b"x" * 300 + b"PAR1", None])
def test_a_damaged_table_of_signals_is_one_line(
    tmp_path: Path, held: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder = small(tmp_path / "run")
    path = folder.path / "rounds" / "0" / "signals.parquet"
    if held is None:
        pq.write_table(pq.read_table(path, columns=["id"]), path)
    else:
        path.write_bytes(held)
    assert_one_line(folder, ("/rounds/0", "/samples"), "signals.parquet: ")
    assert caplog.records == []


def test_a_fate_that_there_is_not_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = small(tmp_path / "run")
    folder.fates(0, {first(): ("vanished", "")})
    assert_one_line(folder, ("/samples",), "unknown fate 'vanished'")
    assert caplog.records == []


def first() -> str:
    return min(row.id for row in numbered(3))


def assert_one_line(folder: Folder, paths: tuple[str, ...], said: str) -> None:
    for browser in served(folder.path):
        for path in paths:
            answer = browser.get(path)
            assert answer.status_code == 500
            assert said in "".join(Page(answer.text).text), path
        assert browser.get("/nope").status_code == 404


def test_static_files_are_those_of_the_package(browser: TestClient) -> None:
    for name, kind in (("middo.css", "text/css"), ("htmx.min.js", "text/javascript")):
        answer = browser.get(f"/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "no-store"
    assert browser.head("/static/middo.js").status_code == 200


def test_htmx_is_told_to_evaluate_nothing(browser: TestClient) -> None:
    metas: list[dict[str, Any]] = opened(browser, "/").all("meta")
    (config,) = [one["content"] for one in metas if one.get("name") == "htmx-config"]
    for setting in (
        '"allowEval":false',
        '"includeIndicatorStyles":false',
        '"selfRequestsOnly":true',
    ):
        assert setting in config
