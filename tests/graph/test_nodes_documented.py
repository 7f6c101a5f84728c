"""The pages on traces name every node of the loop, in its order."""

import re
from pathlib import Path

from middo.graph.build import NODES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_traces_names_every_node() -> None:
    page = (DOCS / "traces.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `node` \| (`prepare`.*) \|$", page, re.M)
    assert tuple(re.findall(r"`(\w+)`", row)) == NODES


def test_the_page_on_opentelemetry_names_every_node() -> None:
    page = (DOCS / "opentelemetry.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^  (\w+(?:, \w+)+)$", page, re.M)
    assert tuple(line.split(", ")) == NODES
