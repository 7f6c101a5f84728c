"""The Round and Compare pages over a real folder: what they show, and hostile text as text."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from middo.core.records import Axis
from middo.inspection.record import open_record
from middo.stores.lock import run_lock
from middo.viewer.app import make_app
from middo.viewer.security import Door, hosts_of

from ..inspection.diagnosed import diagnose, evaluate
from ..inspection.folder import Folder, numbered, rewritten, sample

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\u202e\x00&amp;'
SAMPLES = sorted([*numbered(11), sample(HOSTILE, HOSTILE, 12)], key=lambda one: one.id)
PLACE = next(n for n, one in enumerate(SAMPLES) if one.prompt == HOSTILE)
LOSSES = [4.5 if n == PLACE else 1.0 + n / 10 for n in range(12)]
QUALITY = [0.1 + 0.05 * n for n in range(12)]


class Reader(HTMLParser):
    """What a browser would find: tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def links(self) -> list[str]:
        return [found["href"] or "" for tag, found in self.tags if tag == "a" and "href" in found]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES, "baseline")
    flags = [(SAMPLES[PLACE], Axis.COMPLEXITY), (SAMPLES[0], Axis.QUALITY)]
    clusters = [0] * 6 + [1] * 4 + [-1] * 2
    settled: dict[str, Any] = {"quality": QUALITY, "flags": flags, "clusters": clusters}
    diagnose(folder, 0, SAMPLES, losses=LOSSES, **settled)
    folder.outcome(0, SAMPLES[PLACE], Axis.COMPLEXITY, "rejected", "critic: no")
    folder.document["rounds"][0] |= {
        "flagged": {"samples": 2, "complexity": 1, "diversity": 0, "quality": 1},
        "accepted": 1,
        "rejected": 1,
        "reasons": {"rejected: critic": 1},
    }
    made = rewritten(SAMPLES[0], HOSTILE + "!", HOSTILE, 0)
    second = sorted([made, *SAMPLES[1:]], key=lambda one: one.id)
    folder.dataset(1, second)
    diagnose(folder, 1, second, losses=[loss - 0.1 for loss in LOSSES], **settled)
    for number in (0, 1):
        evaluate(folder.path, number, {f"held{n}": 1.0 + n / 10 - number for n in range(30)})
    other = Folder(tmp_path / "other")
    other.dataset(0, SAMPLES)
    record = open_record(folder.path)
    app = make_app(record, Door(hosts_of(["127.0.0.1"], 8710)))
    yield TestClient(app, base_url="http://127.0.0.1:8710")
    record.close()


def page(client: TestClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text


def hints(html: str) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="points">(.*?)</script>', html, re.DOTALL
    )
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_hostile_samples_are_text(client: TestClient) -> None:
    for address in ("/rounds/0", "/rounds/0?colour=fate", "/compare?a=0&b=1"):
        html = page(client, address)
        tags = Reader(html).tags
        assert not [tag for tag, _ in tags if tag == "img"]
        scripts = [found for tag, found in tags if tag == "script"]
        assert all("src" in one or one.get("type") == "application/json" for one in scripts)
        assert not [name for _, found in tags for name in found if name.startswith("on")]
        assert not [found for _, found in tags if "style" in found]
        assert "\u202e" not in html
        assert "\x00" not in html


def test_what_a_pointer_shows_is_json_that_ends_no_script(client: TestClient) -> None:
    html = page(client, "/rounds/0")
    told = hints(html)
    assert len(told["ids"]) == len(told["prompts"]) == len(told["told"]) == 12
    assert len(told["scatter"]) == len(told["map"]) == 24
    at = told["ids"].index(SAMPLES[PLACE].id)
    assert told["prompts"][at].startswith("</script><script>alert(1)")
    assert "<U+202E>" in told["prompts"][at]
    assert told["told"][at] == "complexity, rejected"
    assert html.count("</script>") == html.count("<script")


def test_the_page_says_what_is_drawn(client: TestClient) -> None:
    html = page(client, "/rounds/0")
    assert "Drawn are all 2 flagged rows and all 10 others." in html
    assert html.count('class="chart ') == 8  # two for each axis, scatter and map


def test_reasons_lead_to_the_samples_behind_them(client: TestClient) -> None:
    links = Reader(page(client, "/rounds/0")).links()
    assert "/samples?round=0&fate=rejected&reason=critic" in links
    assert "/samples?round=0&axis=quality" in links
    assert "/samples?round=0&cluster=-1" in links
    for link in links:
        if link.startswith("/samples"):
            assert client.get(link).status_code == 200, link


def test_cautions_are_text(client: TestClient) -> None:
    assert "&lt;b&gt;a caution&lt;/b&gt;" in page(client, "/rounds/0")


@pytest.mark.parametrize("colour", ["cluster", "axis", "fate"])
def test_only_the_map_is_sent_where_only_the_map_is_swapped(
    client: TestClient, colour: str
) -> None:
    whole = page(client, f"/rounds/0?colour={colour}")
    answer = client.get(f"/rounds/0?colour={colour}", headers={"HX-Target": "map"})
    assert answer.text.startswith('<div id="map"')
    assert answer.text.strip() in whole
    assert f"coloured by {colour}" in answer.text


@pytest.mark.parametrize(
    "address",
    [
        *("/rounds/7", "/rounds/-1", "/rounds/00", "/rounds/x", "/rounds/..%2f0"),
        *("/rounds/0?colour=red", "/compare?a=9", "/compare?a=0&b=x", "/compare?run=..%2frun"),
        *("/compare?run=nobody", "/compare?a=0&b=1&by=id", "/compare?a=0&b=1&order=up;drop"),
        "/compare?a=0&b=1&only=mine",
    ],
)
def test_what_is_not_there_is_one_clear_line(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_a_comparison_names_the_better_round_and_its_interval(client: TestClient) -> None:
    html = page(client, "/compare?a=0&b=1")
    sentence = (
        "Round 1 is better than round 0 by 1.0000 nats per token on 30 held-out rows and one seed"
    )
    assert sentence in html
    assert "another seed may turn a difference of this size round" in html
    assert "rewritten" in html


def test_another_run_is_compared_by_its_name(client: TestClient) -> None:
    html = page(client, "/compare?a=1&run=other&b=0")
    assert "other, round 0" in html
    assert "is not evaluated yet" in html
    assert "The two runs have the same configuration." in html


def test_one_round_twice_is_nothing_to_compare(client: TestClient) -> None:
    assert "Choose two different rounds." in page(client, "/compare?a=1&b=1")


def test_a_round_without_diagnosis_has_a_page(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    with open_record(folder.path) as record:
        app = make_app(record, Door(hosts_of(["127.0.0.1"], 8710)))
        client = TestClient(app, base_url="http://127.0.0.1:8710")
        assert "was the last one and was not diagnosed" in page(client, "/rounds/0")
        assert "nothing to compare it with" in page(client, "/compare")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("running", "they are being refined."),
        ("paused", "their proposals wait for a person&#39;s review."),
        ("failed", "the run stopped before all were refined."),
    ],
)
def test_a_round_that_is_not_settled_says_where_it_stands(
    tmp_path: Path, status: str, told: str
) -> None:
    folder = Folder(tmp_path / "run")
    folder.document["status"] = status
    folder.dataset(0, SAMPLES)
    flags = [(SAMPLES[0], Axis.QUALITY)]
    diagnose(folder, 0, SAMPLES, losses=LOSSES, quality=QUALITY, flags=flags)
    with run_lock(folder.path), open_record(folder.path) as record:
        app = make_app(record, Door(hosts_of(["127.0.0.1"], 8710)))
        client = TestClient(app, base_url="http://127.0.0.1:8710")
        assert f"12 rows were looked at and 1 of them flagged; {told}" in page(client, "/rounds/0")


def test_where_nothing_is_flagged_the_page_says_so(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    diagnose(folder, 0, SAMPLES, losses=LOSSES, quality=QUALITY)
    with open_record(folder.path) as record:
        app = make_app(record, Door(hosts_of(["127.0.0.1"], 8710)))
        client = TestClient(app, base_url="http://127.0.0.1:8710")
        html = page(client, "/rounds/0")
    assert "12 rows were looked at, and none is flagged." in html
    assert "There is nothing to refine." in html
    assert "Drawn are no flagged row, since there is none, and all 12 others." in html
