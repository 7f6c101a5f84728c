"""`docs/reliability.md` names a test for each promise: it must be there."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w./]+\.py)(?:::(\w+))?`")


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_promise_names_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| \w", line)]
    promises = [row for row in rows if not row.startswith("| Promise")]
    assert len(promises) > 20
    assert [row for row in promises if not NAMED.search(row)] == []


def test_no_test_that_is_named_has_gone() -> None:
    for file, function in NAMED.findall(PAGE):
        assert (ROOT / file).is_file(), file
        assert not function or function in functions(file), f"{file}::{function}"
