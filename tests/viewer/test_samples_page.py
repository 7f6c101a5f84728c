"""The table of samples: what an address asks, and the links that change it."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from middo.core.errors import UsageError
from middo.inspection.samples import Query
from middo.viewer.pages.samples import parse

from .test_app import opened


def asked(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def test_the_round_defaults_to_the_latest_diagnosed_one() -> None:
    assert parse({}, [0, 1, 2], 1) == Query(round=1)
    assert parse({}, [0, 1, 2], None) == Query(round=2)


def test_every_filter_is_read_from_the_address() -> None:
    given = {
        **{"round": "0", "text": "a b", "axis": "quality", "fate": "rejected"},
        **{"reason": "critic", "cluster": "-1", "order": "density", "descending": "1"},
        "page": "3",
    }
    expected = Query(0, "a b", "quality", "rejected", "critic", -1, "density", True, 3)
    assert parse(given, [0], 0) == expected


@pytest.mark.parametrize(
    "given",
    [
        {"round": "1"},
        {"round": "0x0"},
        {"round": "9" * 5_000},
        {"order": "id; DROP TABLE"},
        {"cluster": "a"},
        {"page": "1.5"},
    ],
)
def test_what_there_is_not_is_refused_in_one_short_line(given: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(given, [0], 0)
    assert len(str(caught.value)) < 120 and "\n" not in str(caught.value)


def test_pages_stay_within_reason() -> None:
    assert parse({"page": "-5"}, [0], 0).page == 1
    assert parse({"page": "999999999999"}, [0], 0).page == 10_000_000


def links(browser: TestClient, address: str, start: str) -> dict[str, dict[str, Any]]:
    found = opened(browser, address).all("a")
    return {str(a["id"]): a for a in found if str(a.get("id") or "").startswith(start)}


def test_facets_choose_a_value_keep_the_others_and_let_go_again(browser: TestClient) -> None:
    found = links(browser, "/samples?round=0&axis=quality&page=1", "choose-")
    fate = asked(found["choose-fate-accepted"]["href"])
    assert fate == {"round": ["0"], "axis": ["quality"], "fate": ["accepted"]}
    chosen = found["choose-axis-quality"]
    assert chosen["aria-current"] == "true"
    assert asked(chosen["href"]) == {"round": ["0"]}
    assert "choose-cluster-3" in found


def test_heads_sort_the_worst_first_then_the_other_way_then_not(browser: TestClient) -> None:
    address, orders = "/samples?round=0", []
    for _ in range(3):
        address = links(browser, address, "sort-")["sort-complexity"]["href"]
        page = opened(browser, address)
        orders.append([th.get("aria-sort") for th in page.all("th") if th.get("aria-sort")])
    assert orders == [["descending"], ["ascending"], []]
    lowest = links(browser, "/samples?round=0", "sort-")["sort-quality"]["href"]
    assert asked(lowest) == {"round": ["0"], "order": ["quality"]}


def test_the_form_keeps_the_filters_of_the_address(browser: TestClient) -> None:
    page = opened(browser, "/samples?round=0&axis=quality&order=density")
    hidden = {i["name"]: i["value"] for i in page.all("input") if i.get("type") == "hidden"}
    assert hidden == {"round": "0", "axis": "quality", "order": "density"}
