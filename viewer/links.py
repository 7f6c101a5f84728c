"""Where pages are: the one place that knows addresses, so that templates serve two ways.

A served page links to absolute paths; a page of the static report links to files beside it.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import quote, urlencode


class Links(Protocol):
    """Addresses of pages and assets, as they stand in an `href` before it is escaped.

    Attributes:
        live: whether a server answers: searching, sorting and refreshing need one.
    """

    @property
    def live(self) -> bool:
        """Whether a server answers."""
        ...

    def run(self) -> str:
        """Return the address of the Run page."""
        ...

    def round(self, k: int, **query: object) -> str:
        """Return the address of a round's page."""
        ...

    def samples(self, **query: object) -> str:
        """Return the address of the table of samples; None and empty values are left out."""
        ...

    def sample(self, sample_id: str) -> str:
        """Return the address of a sample's page."""
        ...

    def has_page(self, sample_id: str) -> bool:
        """Return whether a sample has a page of its own."""
        ...

    def compare(self, **query: object) -> str:
        """Return the address of a comparison."""
        ...

    def review(self) -> str:
        """Return the address of the page of waiting proposals."""
        ...

    def asset(self, name: str) -> str:
        """Return the address of a file of `viewer/static`."""
        ...


class Served:
    """Addresses of a server: absolute paths of its one origin."""

    live = True

    def run(self) -> str:
        """Return the address of the Run page."""
        return "/"

    def round(self, k: int, **query: object) -> str:
        """Return the address of a round's page."""
        return _with(f"/rounds/{k}", query)

    def samples(self, **query: object) -> str:
        """Return the address of the table of samples; None and empty values are left out."""
        return _with("/samples", query)

    def sample(self, sample_id: str) -> str:
        """Return the address of a sample's page."""
        return f"/samples/{quote(sample_id, safe='')}"

    def has_page(self, sample_id: str) -> bool:
        """Return True: every sample has one."""
        return True

    def compare(self, **query: object) -> str:
        """Return the address of a comparison."""
        return _with("/compare", query)

    def review(self) -> str:
        """Return the address of the page of waiting proposals."""
        return "/review"

    def asset(self, name: str) -> str:
        """Return the address of a file of `viewer/static`."""
        return f"/static/{name}"


ANY_SAMPLE = "__ID__"
"""Stands in an address for an id that a script fills in."""
Kind = Literal["round", "compare"]
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A page of the report that another one links to; `query` is what it shows."""

    kind: Kind
    number: int = 0
    query: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Shelf:
    """What files a report has, and which more its pages ask for.

    Attributes:
        samples: ids with a page of their own.
        asked: file name -> page, in the order in which they were linked to.
        others: ids that were linked to and have no page; one page tells of all.
    """

    samples: frozenset[str]
    asked: dict[str, Asked] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)

    def ask(self, name: str, kind: Kind, query: dict[str, str], number: int = 0) -> str:
        """Return a file's name, and remember that it has to be there."""
        self.asked.setdefault(name, Asked(kind, number, tuple(query.items())))
        return name


class Filed:
    """Addresses of files, relative to a page that lies `up` from the report's folder."""

    live = False

    def __init__(self, shelf: Shelf, up: str = "") -> None:
        """Link to the files of a shelf; `up` is empty or `../`."""
        self._shelf = shelf
        self._up = up

    def run(self) -> str:
        """Return the address of the Run page."""
        return f"{self._up}index.html"

    def round(self, k: int, **query: object) -> str:
        """Return the address of a round's page, with the map in the colour that is asked for."""
        given = {name: value for name, value in _given(query).items() if value != "cluster"}
        name = "-".join([f"round-{k}", *(_file(value) for value in given.values())])
        return self._up + self._shelf.ask(f"{name}.html", "round", given, k)

    def samples(self, **query: object) -> str:
        """Return where the table of flagged samples is; of filters, the round alone is kept."""
        number = query.get("round")
        return f"{self._up}samples.html" + ("" if number in (None, "") else f"#round-{number}")

    def sample(self, sample_id: str) -> str:
        """Return the address of a sample's page, else of its place among the others."""
        if sample_id == ANY_SAMPLE:
            return f"{self._up}samples/{sample_id}.html"
        if self.has_page(sample_id):
            return f"{self._up}samples/{_file(sample_id)}.html"
        self._shelf.others.setdefault(sample_id)
        return self.other(sample_id)

    def other(self, sample_id: str) -> str:
        """Return the place of a sample on the page of those that have none of their own."""
        name = sample_id if sample_id == ANY_SAMPLE else _file(sample_id)
        return f"{self._up}others.html#s-{name}"

    def has_page(self, sample_id: str) -> bool:
        """Return whether a sample has a page of its own."""
        return sample_id in self._shelf.samples

    def compare(self, **query: object) -> str:
        """Return the address of a comparison."""
        given = _given(query)
        name = "-".join(["compare", *(_file(value) for value in given.values())])
        return self._up + self._shelf.ask(f"{name}.html", "compare", given)

    def review(self) -> str:
        """Return the address of the Run page: decisions are made at the machine of the run."""
        return self.run()

    def asset(self, name: str) -> str:
        """Return the address of a file of `viewer/static`."""
        return f"{self._up}assets/{name}"


def _file(text: str) -> str:
    """Return a text as a part of a file name; one with other than plain characters is hashed."""
    if _PLAIN.fullmatch(text) and text != ANY_SAMPLE:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _given(query: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value not in (None, "")}


def _with(path: str, query: dict[str, object]) -> str:
    given = _given(query)
    return f"{path}?{urlencode(given)}" if given else path
