"""The static report: the viewer's pages as files that open by a double click and can be mailed.

Pages are written because others link to them: one page asks for the next until none is missing, so
a link of a report leads somewhere by construction. Flagged samples have pages of their own, as many
as `MOST_SAMPLES`; what else is linked to stands on one page together.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.errors import MiddoError
from ..inspection import table
from ..inspection.record import Record
from ..inspection.samples import Query, Row
from .links import Asked, Filed, Shelf
from .pages import compare, round, run, sample
from .pages.colours import COLOURS
from .pages.frame import frame
from .rendering import render
from .spreadsheet import write_table

MOST_SAMPLES = 2_000
_OTHER_CHARACTERS = 400
_NOT_HERE = ("Folder", "Export")
"""Details of the Run page that are paths of the machine of the run."""
_NOT_SHIPPED = ("htmx.",)
"""Static files that only a served page needs."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        run: name of the run.
        status: of the run, when it was written.
        pages: HTML files.
        flagged: samples that were flagged in any round.
        samples: of these, with a page of their own.
        rows: lines of `samples.csv`.
    """

    run: str
    status: str
    pages: int
    flagged: int
    samples: int
    rows: int


def write_report(record: Record, folder: Path, most: int = MOST_SAMPLES) -> Report:
    """Write the report of a run, as it is now, into an empty folder.

    Args:
        record: of the run; it may be going on.
        folder: there, and empty.
        most: samples with a page of their own.

    Raises:
        MiddoError: the run can't be read.
        OSError: a file can't be written.
    """
    return _Writer(record, folder, most).write()


class _Writer:
    """Writes one report; `shelf` grows with what its pages link to."""

    def __init__(self, record: Record, folder: Path, most: int) -> None:
        self._record = record
        self._folder = folder
        self._flagged = _flagged(record)
        every = sorted({row.sample_id for rows in self._flagged.values() for row in rows})
        self._ids = every[:most]
        self._all = len(every)
        self._shelf = Shelf(frozenset(self._ids))
        self._links = Filed(self._shelf)
        self._pages = 0

    def write(self) -> Report:
        self._assets()
        self._page("index.html", "run.html", self._run())
        (self._folder / "samples").mkdir()
        inner = Filed(self._shelf, "../")
        for name in self._ids:
            context = sample.context(self._record, name)
            self._page(inner.sample(name).removeprefix("../"), "sample.html", context, inner)
        # What every page's head links to is asked for by now; the rest is found on the way.
        written = 0
        while written < len(self._shelf.asked):
            for name, asked in list(self._shelf.asked.items())[written:]:
                self._asked(name, asked)
                written += 1
        self._page("samples.html", "report_samples.html", self._samples())
        self._page("others.html", "report_others.html", self._others())
        rows = write_table(self._record, self._folder / "samples.csv")
        document = self._record.document()
        return Report(
            self._record.name,
            str(document.get("status", "unknown")),
            self._pages,
            self._all,
            len(self._ids),
            rows,
        )

    def _asked(self, name: str, asked: Asked) -> None:
        try:
            if asked.kind == "round":
                colour = dict(asked.query).get("colour", "cluster")
                context = round.context(self._record, asked.number, COLOURS[colour])
                points = context["picture"].points
                if points is not None:
                    self._shelf.others.update(
                        dict.fromkeys(i for i in points.ids if not self._links.has_page(i))
                    )
                self._page(name, "round.html", context)
            else:
                context = compare.context(self._record, self._compared(asked))
                self._page(name, "compare.html", context)
        except MiddoError as error:
            context = {**frame(self._record, "error"), "status_code": "-", "line": str(error)}
            self._page(name, "error.html", context)

    def _compared(self, asked: Asked) -> dict[str, str]:
        """Return what a comparison is asked for; of itself the first round with the best."""
        given = dict(asked.query)
        rounds, best = self._record.rounds(), self._record.document().get("best_round")
        if not given and best in rounds[1:]:
            return {"b": str(best)}
        return given

    def _run(self) -> dict[str, Any]:
        context = run.context(self._record)
        details = [pair for pair in context["details"] if pair[0] not in _NOT_HERE]
        return {**context, "details": details, "next_step": None}

    def _samples(self) -> dict[str, Any]:
        rounds = {
            number: [row for row in rows if self._links.has_page(row.sample_id)]
            for number, rows in self._flagged.items()
        }
        return {
            **frame(self._record, "samples"),
            "rounds": rounds,
            "counts": {number: len(rows) for number, rows in self._flagged.items()},
            "flagged": self._all,
            "paged": len(self._ids),
        }

    def _others(self) -> dict[str, Any]:
        ids = sorted(self._shelf.others)
        heads = self._record.index.heads(ids, _OTHER_CHARACTERS) if ids else {}
        places = [self._links.other(name).partition("#")[2] for name in ids]
        rows = [
            (place, name, *heads.get(name, ("", "")))
            for place, name in zip(places, ids, strict=True)
        ]
        return {**frame(self._record, "samples"), "place": "others", "rows": rows}

    def _page(
        self, name: str, template: str, context: dict[str, Any], links: Filed | None = None
    ) -> None:
        html = render(template, links or self._links, context)
        # A lone surrogate, which a JSON file can hold and UTF-8 can't, is shown as its code point.
        (self._folder / name).write_bytes(html.encode("utf-8", "backslashreplace"))
        self._pages += 1

    def _assets(self) -> None:
        folder = self._folder / "assets"
        folder.mkdir()
        for found in files("middo.viewer").joinpath("static").iterdir():
            if found.name.endswith((".css", ".js", ".svg")) and not found.name.startswith(
                _NOT_SHIPPED
            ):
                (folder / found.name).write_bytes(found.read_bytes())


def _flagged(record: Record) -> dict[int, list[Row]]:
    """Return the flagged rows of every round, in order of id."""
    if not record.rounds():
        return {}
    return {k: list(table.rows(record, Query(round=k, axis="any"))) for k in record.rounds()}
