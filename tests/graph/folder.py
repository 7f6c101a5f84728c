"""An open run folder with a small data set, as the nodes get it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from middo.core.config import RunConfig
from middo.core.progress import Event
from middo.graph.deps import Deps, open_run


def write_rows(path: Path, count: int, first: int = 0, broken: int = 0) -> Path:
    """Write rows that have little in common; the broken ones, which come last, hold no answer."""
    rows: list[dict[str, Any]] = [
        {"instruction": f"Say {number * 7919} in {number} ways", "output": f"{number * 104729}!"}
        for number in range(first, first + count)
    ]
    rows += [{"instruction": f"Left open {number}", "output": ""} for number in range(broken)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@contextmanager
def opened(folder: Path, events: list[Event] | None = None, **sections: Any) -> Iterator[Deps]:
    """Open a run folder; its events go into the list."""
    config = RunConfig.model_validate(sections)
    deps = open_run(folder, config, report=([] if events is None else events).append)
    try:
        yield deps
    finally:
        deps.close()
