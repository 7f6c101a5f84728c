"""Put what the benchmarks measured into `docs/results.md`: its tables and pictures.

    python -m benchmarks.published                     make all of them again from docs/results/
    python -m benchmarks.published --take FILE.json    first keep what a benchmark wrote

`--take` copies a document into `docs/results/`, under its own name, without the name of the system
and the figures of single rows. A repair keeps what its seeds are pooled from: `repair-7.json` and
`repair-8.json` make the tables of `repair`.

In `docs/results.md` the lines between `<!-- table NAME -->` and `<!-- end -->` are made; what
stands around them is written by people. A name that no document gives is an error, so no table can
outlive its figures.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.published_pictures import pictures
from benchmarks.published_tables import tables, together

DOCS = Path(__file__).parents[1] / "docs"
POOLED = ("seed", "counts", "losses")
"""What a repair's seeds are pooled from."""
OF_ROUND = ("round", "flagged", "accepted", "rejected", "gate", "difference", "times")
_MARKED = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(argv: Sequence[str], docs: Path = DOCS) -> int:
    """Take what is given, and make tables and pictures anew."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.published", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--take", nargs="+", type=Path, default=[], help="documents to keep")
    choice = parser.parse_args(argv)
    taken = {path.stem: _kept(_read(path)) for path in choice.take}
    try:
        documents = together({**read_documents(docs / "results"), **taken})
    except ValueError as error:
        sys.exit(f"docs/results/: {error}")
    for name, document in taken.items():
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        (docs / "results" / f"{name}.json").write_text(text, encoding="utf-8")
    page = docs / "results.md"
    page.write_text(filled(page.read_text(encoding="utf-8"), tables(documents)), encoding="utf-8")
    for name, drawn in pictures(documents).items():
        (docs / "images" / f"{name}.svg").write_text(drawn, encoding="utf-8")
    return 0


def _kept(document: dict[str, Any]) -> dict[str, Any]:
    kept = {**document, "machine": {**document["machine"]}}
    kept["machine"].pop("system", None)
    results = kept.pop("results", [])
    if kept["benchmark"] == "repair":
        kept["results"] = [_seed(one) for one in results]
        for made in ("arms", "differences"):  # pooled from the results, also of other documents
            kept.pop(made, None)
    return kept


def _seed(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a repair's seed: what it is pooled from, and what its runs did."""
    kept = {key: result[key] for key in POOLED}
    if "runs" in result:
        kept["runs"] = {
            arm: [{key: one.get(key) for key in OF_ROUND} for one in run["rounds"]]
            for arm, run in result["runs"].items()
        }
    return kept


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"--take {path}: can't be read ({error}); name what a benchmark wrote with --json")
    if not isinstance(document, dict) or not {"benchmark", "machine"} <= document.keys():
        sys.exit(f"--take {path}: is of no benchmark; name what one wrote with --json")
    if document["benchmark"] == "repair" and "arms" not in document:
        sys.exit(f"--take {path}: is kept already; name what the benchmark wrote with --json")
    return document


def read_documents(folder: Path) -> dict[str, dict[str, Any]]:
    """Return name -> document of every kept file, in order of name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def filled(page: str, found: Mapping[str, str]) -> str:
    """Return the page with every marked table made anew.

    Raises:
        SystemExit: a table is named that no document gives.
    """

    def put(match: re.Match[str]) -> str:
        name = match[2]
        if name not in found:
            sys.exit(f"docs/results.md: no kept document gives table {name!r}; --take it first")
        return f"{match[1]}{found[name]}\n{match[3]}"

    return _MARKED.sub(put, page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
