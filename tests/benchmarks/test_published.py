"""`docs/results.md` says what the kept documents say, and nothing is told without one."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.published import DOCS, filled, main, read_documents
from benchmarks.published_pictures import pictures
from benchmarks.published_tables import markdown, tables, together
from benchmarks.repair_figures import pooled
from tests.benchmarks.test_repair import result


def test_tables_and_pictures_of_the_page_are_those_of_the_documents() -> None:
    documents = together(read_documents(DOCS / "results"))
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    found = tables(documents)
    assert filled(page, found) == page, "run python -m benchmarks.published"
    told = {name.partition("/")[0] for name in found if f"<!-- table {name} -->" in page}
    assert told == {name.partition("/")[0] for name in found}
    drawn = pictures(documents)
    assert drawn
    for name, svg in drawn.items():
        assert (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8") == svg, name
        assert f"images/{name}.svg" in page


def test_a_document_is_kept_without_its_rows_and_fills_its_table(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "images").mkdir()
    page = tmp_path / "results.md"
    page.write_text("Before.\n<!-- table gates/groups -->\nold\n<!-- end -->\nAfter.\n")
    chain = {"asked": 4, "accepted": 3, "low": 0.3, "high": 0.95}
    group = {"data": "a", "side": "sound", "gates": {"chain": chain, "proof": {"asked": 0}}}
    document = {
        **{"benchmark": "critic", "groups": [group], "kinds": [], "results": [1, 2]},
        "machine": {"cores": 2, "system": "x"},
    }
    (tmp_path / "gates.json").write_text(json.dumps(document))
    assert main(["--take", str(tmp_path / "gates.json")], docs=tmp_path) == 0
    kept = json.loads((tmp_path / "results" / "gates.json").read_text())
    assert "results" not in kept
    assert kept["machine"] == {"cores": 2}
    table = "| data | side | chain |\n| --- | --- | --- |\n| a | sound | 3 of 4 (0.30–0.95) |"
    told = f"Before.\n<!-- table gates/groups -->\n{table}\n<!-- end -->\nAfter.\n"
    assert page.read_text() == told
    assert (tmp_path / "images" / "gates.svg").is_file()
    assert main([], docs=tmp_path) == 0
    assert page.read_text() == told


def repair(seed: int, **other: Any) -> dict[str, Any]:
    rounds = [{"round": 0, "gate": "baseline", "flagged": 3, "dataset": {"rows": 16}}]
    one = {**result(seed), "runs": {"middo": {"rounds": rounds}}}
    about = {"benchmark": "repair", "rows": 16, "teacher": "a table", **other}
    return {
        **about,
        "machine": {"cores": seed},
        "seeds": [seed],
        **pooled([one]),
        "results": [one],
    }


def test_seeds_of_a_repair_that_ran_apart_are_pooled(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "images").mkdir()
    page = tmp_path / "results.md"
    page.write_text("<!-- table repair/holdout -->\n<!-- end -->\n")
    files = [tmp_path / f"repair-{seed}.json" for seed in (7, 17)]
    for seed, file in zip((7, 17), files, strict=True):
        file.write_text(json.dumps(repair(seed)))
    assert main(["--take", *map(str, reversed(files))], docs=tmp_path) == 0
    documents = read_documents(tmp_path / "results")
    kept = documents["repair-7"]
    assert not kept.keys() & {"arms", "differences"}
    assert kept["results"][0].keys() == {"seed", "counts", "losses", "runs"}
    (first,) = kept["results"][0]["runs"]["middo"]
    assert (first["gate"], first["flagged"]) == ("baseline", 3) and "dataset" not in first
    whole = together(documents)["repair"]
    assert whole["seeds"] == [7, 17]
    assert whole.items() >= pooled([result(7), result(17)]).items()
    assert "| middo |" in page.read_text()
    assert (tmp_path / "images" / "repair.svg").is_file()


def test_seeds_that_were_measured_otherwise_are_not_pooled() -> None:
    with pytest.raises(ValueError, match="repair: its seeds differ in rows; measure them alike"):
        together({"repair-7": repair(7), "repair-8": repair(8, rows=32)})
    apart = repair(8)
    apart["results"][0]["losses"]["none"]["another"] = (1.0, 10)
    with pytest.raises(ValueError, match="differ in hold-out rows"):
        together({"repair-7": repair(7), "repair-8": apart})
    for name in ("repair", "repair-8"):
        with pytest.raises(ValueError, match="a seed is there twice"):
            together({name: repair(7), "repair-7": repair(7)})


def test_a_table_that_no_document_gives_is_an_error() -> None:
    with pytest.raises(SystemExit, match="no kept document gives table 'x/y'"):
        filled("<!-- table x/y -->\n<!-- end -->\n", {})


def test_an_empty_cell_is_none() -> None:
    assert markdown(["a", "b"], [[1, None]]) == "| a | b |\n| --- | --- |\n| 1 |  |"


KEPT = '{"benchmark": "repair", "machine": {}, "results": []}'
"""A repair's document as `docs/results/` holds it, without what is pooled."""


@pytest.mark.parametrize("text", ["{", "[1]", '{"benchmark": "repair"}', KEPT])
def test_what_no_benchmark_wrote_so_is_not_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(SystemExit, match=r"other\.json.*name what"):
        main(["--take", str(tmp_path / "other.json")], docs=tmp_path)
