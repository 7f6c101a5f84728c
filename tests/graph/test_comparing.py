"""A comparison of real runs of a tiny model: equal terms, gone on with, and told plainly."""

import json
from pathlib import Path
from typing import Any

import pytest

from middo.core.config import RunConfig
from middo.core.errors import ConfigError, Interrupted, RunLocked, UsageError
from middo.core.progress import Event, Started
from middo.graph.comparing import compare
from middo.stores.database import read_database
from middo.stores.facts import Facts
from middo.stores.lock import run_lock
from middo.stores.runs import read_json, read_run
from tests.loop import config, write_rows

pytestmark = pytest.mark.xdist_group("one comparison")
ARMS: Any = ("none", "random", "middo")


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> RunConfig:
    place = tmp_path_factory.mktemp("compared")
    return config(
        write_rows(place / "rows.jsonl"),
        tiny_folder,
        rounds=1,
        refinement={"attempts": 1, "concurrency": 4},
    )


@pytest.fixture(scope="module")
def stopped(chosen: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A comparison that was interrupted while its third run, of the second arm's, refined."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    begun: list[str] = []

    def stop(event: Event) -> None:
        if isinstance(event, Started):
            begun.append(event.node)
            if event.node == "refine" and begun.count("refine") == 2:
                raise Interrupted("enough")

    with pytest.raises(Interrupted, match="enough"):
        compare(chosen, ARMS, 1, out, report=stop)
    return out, read_json(out / "comparison.json")


@pytest.fixture(scope="module")
def compared(stopped: tuple[Path, Any], chosen: RunConfig) -> tuple[Path, Any]:
    out, _ = stopped
    before = (out / "middo-7/run.json").stat().st_mtime_ns
    document = compare(chosen, ARMS, 1, out)
    assert (out / "middo-7/run.json").stat().st_mtime_ns == before  # found, not run again
    return out, document


def test_what_was_done_is_kept_where_a_run_stops(stopped: tuple[Path, Any]) -> None:
    out, document = stopped
    assert document["status"] == "interrupted"
    assert [one["arm"] for one in document["runs"]] == ["middo", "none"]
    assert (document["compared_seeds"], document["differences"]) == ([], [])
    assert read_run(out / "random-7")["status"] == "interrupted"


def test_it_goes_on_and_compares_every_pair(compared: tuple[Path, Any]) -> None:
    out, document = compared
    assert document == read_json(out / "comparison.json")
    assert (document["status"], document["arms"]) == ("finished", ["middo", "none", "random"])
    assert document["seeds"] == document["compared_seeds"] == [7]
    pairs = {(one["arm"], one["against"], one["of"]) for one in document["differences"]}
    assert pairs == {
        (arm, other, of)
        for arm, other in (("middo", "none"), ("random", "none"), ("middo", "random"))
        for of in ("last", "export")
    }


def test_arms_are_on_equal_terms(compared: tuple[Path, Any]) -> None:
    out, document = compared
    middo, none, drawn = document["runs"]
    assert none["refined"] == 0
    # Rows without a place for another answer can't be drawn; the budget is never exceeded.
    assert middo["refined"] / 2 < drawn["refined"] <= middo["refined"]
    # Of the same model on the same rows, whoever set some of them aside.
    first = next(one for one in document["differences"] if one["against"] == "none")["difference"]
    assert middo["last_loss"] - none["last_loss"] == pytest.approx(first["mean"], abs=2e-4)
    assert none["last_loss"] == none["export_loss"]
    assert middo["steps"] == none["steps"] == drawn["steps"]
    kept = read_run(out / "random-7")["rounds"][0]
    assert "signals.selection is random" in kept["cautions"][0]
    trained = [read_run(out / f"{arm}-7")["rounds"][0]["training"] for arm in document["arms"]]
    assert len({training["weights"] for training in trained}) == 1
    assert [training["reused"] for training in trained] == [False, True, True]
    # What a model has said of the rows, the next arm doesn't ask it again.
    asked = [
        read_json(out / f"{arm}-7/rounds/0/diagnosis.json")["scoring"]["tokens"]
        for arm in ("middo", "random")
    ]
    assert asked[0] > 0 == asked[1]


def set_aside(out: Path, arms: list[str]) -> set[str]:
    """Return the hold-out rows of seed 7 that any arm found broken."""
    found: set[str] = set()
    for arm in arms:
        database = read_database(out / f"{arm}-7" / "ledger.db")
        found.update(Facts(database).get("set_aside", []))
        database.close()
    return found


def test_differences_are_those_of_the_rows(compared: tuple[Path, Any]) -> None:
    out, document = compared
    losses = {}
    for arm, number in (("middo", 1), ("none", 0)):
        found = json.loads((out / f"{arm}-7/rounds/{number}/evaluation.json").read_text("utf-8"))
        losses[arm] = {row["id"]: (row["loss"], row["tokens"]) for row in found["tuned"]["rows"]}
    aside = set_aside(out, document["arms"])
    apart = next(
        one["difference"]
        for one in document["differences"]
        if (one["arm"], one["against"], one["of"]) == ("middo", "none", "last")
    )
    assert apart["rows"] == len(losses["none"]) - len(aside)
    kept = {name: found for name, found in losses["none"].items() if name not in aside}
    total = sum(tokens for _, tokens in kept.values())
    mean = sum((losses["middo"][name][0] - v) * n for name, (v, n) in kept.items()) / total
    assert apart["mean"] == pytest.approx(mean, abs=1e-4)
    assert apart["low"] <= apart["mean"] <= apart["high"]
    assert "over rows alone" in document["pooling"]


def test_another_configuration_is_refused_by_its_keys(
    compared: tuple[Path, Any], chosen: RunConfig
) -> None:
    out, _ = compared
    other = chosen.model_copy(update={"rounds": 2})
    with pytest.raises(ConfigError, match="rounds: 1 -> 2"):
        compare(other, ARMS, 1, out)


def test_what_can_not_be_compared_is_refused_at_once(chosen: RunConfig, tmp_path: Path) -> None:
    out: Any = tmp_path / "out"
    refused: list[tuple[Any, int, RunConfig, str]] = [
        (("middo", "best"), 1, chosen, "no arm 'best'"),
        ((), 1, chosen, "name at least one"),
        (("random",), 1, chosen, "add middo"),
        (("none",), 0, chosen, "give 1 or more"),
        (("none",), 1, chosen.model_copy(update={"review": True}), "can't wait for a person"),
    ]
    for arms, seeds, settings, words in refused:
        with pytest.raises(ConfigError, match=words):
            compare(settings, arms, seeds, out)
    assert not out.exists()
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        compare(chosen, ("none",), 1, tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        compare(chosen, ("none",), 1, tmp_path / "notes.txt")


def test_a_run_folder_and_a_folder_at_work_are_refused(
    compared: tuple[Path, Any], chosen: RunConfig
) -> None:
    out, _ = compared
    with pytest.raises(UsageError, match="is a run folder"):
        compare(chosen, ARMS, 1, out / "none-7")
    with run_lock(out), pytest.raises(RunLocked):
        compare(chosen, ARMS, 1, out)


def test_more_seeds_and_arms_go_on_from_what_is_there(
    compared: tuple[Path, Any], chosen: RunConfig
) -> None:
    out, before = compared
    told = (out / "middo-7/run.json").stat().st_mtime_ns
    document = compare(chosen, (*ARMS, "rewrite-all"), 2, out)
    assert (out / "middo-7/run.json").stat().st_mtime_ns == told
    assert document["compared_seeds"] == [7, 8]
    runs = {(one["arm"], one["seed"]): one for one in document["runs"]}
    assert len(runs) == 8
    for seed in (7, 8):
        most = runs["middo", seed]["refined"]
        assert 0 < runs["rewrite-all", seed]["refined"] <= most
        assert len({runs[arm, seed]["steps"] for arm in document["arms"]}) == 1
    assert "over seeds" in document["pooling"]
    assert len(document["differences"]) == 2 * len(before["differences"])
    for one in document["differences"]:
        apart = one["difference"]
        assert len(apart["each"]) == 2
        assert apart["mean"] == pytest.approx(sum(apart["each"]) / 2, abs=1e-4)
        assert "one seed" not in apart["says"]
        if (one["of"], one["against"]) == ("export", "none"):
            assert apart["says"] not in {"better", "worse"}
