"""Where pages are: the one place that knows addresses, so that templates serve two ways.

A served page links to absolute paths; a page of the static report links to files beside it.
"""

from typing import Protocol
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

    def compare(self, **query: object) -> str:
        """Return the address of a comparison."""
        return _with("/compare", query)

    def review(self) -> str:
        """Return the address of the page of waiting proposals."""
        return "/review"

    def asset(self, name: str) -> str:
        """Return the address of a file of `viewer/static`."""
        return f"/static/{name}"


def _with(path: str, query: dict[str, object]) -> str:
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
