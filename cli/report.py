"""`middo report`: write the pages of a run as files, readable without a server.

middo report RUN --to DIR [--json]
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.amounts import several
from ..inspection.figures import count
from ..inspection.record import open_record
from ..viewer.placing import place
from ..viewer.report import Report, write_report
from .output import Reply, clean


def report(folder: Path, to: Path) -> Reply:
    """Write the report of a run into a folder that is new, empty or an earlier report."""
    with open_record(folder) as record:

        def write(new: Path) -> tuple[Report, dict[str, Any]]:
            made = write_report(record, new)
            return made, {"middo": __version__, **asdict(made)}

        made = place(to, write)
    document = {**asdict(made), "index": str(to / "index.html")}
    return Reply(document, _text(made, to))


def _text(made: Report, to: Path) -> str:
    flagged = several(made.flagged, "flagged sample")
    if made.samples < made.flagged:
        flagged += f", the first {count(made.samples)} of them with pages"
    lines = [
        f"{clean(made.run)} ({clean(made.status)}): {clean(to / 'index.html')}",
        f"{several(made.pages, 'page')}, {flagged}, {several(made.rows, 'row')} in samples.csv",
    ]
    return "\n".join(lines)
