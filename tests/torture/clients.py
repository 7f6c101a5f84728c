"""Eight readers of `middo view`, each with a connection of its own, until standard input ends.

    python -m tests.torture.clients URL WORD PAUSE ID...

Every reader asks for one page of round 0 again and again and takes a figure from it that may grow
and never shrink: how many samples are settled, or whether the run is over. When standard input
ends, each looks once more, and a JSON list tells per reader its page, its looks, the figures in the
order in which they came, and the seconds of its slowest look.
"""

import http.client
import json
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from urllib.parse import quote, urlsplit

PATIENCE = 120
_SETTLED = re.compile(
    r'id="choose-fate-(?:accepted|rejected|failed|deferred)".*?<span class="n">([\d,]+)</span>'
)
_SEEN = re.compile(r'hx-get="(/progress\?seen=\w+)"')


def settled(page: str) -> int:
    """Return how many of the listed samples have a fate, by the filters of the Samples page."""
    return sum(int(number.replace(",", "")) for number in _SETTLED.findall(page))


def badges(page: str) -> int:
    """Return how many samples of the Round page have a fate."""
    return page.count('class="badge fate ')


def is_over(page: str) -> int:
    """Return whether the Run page, or the news that it asks for, says that the run is finished."""
    assert "At work: " in page or "Finished" in page, page[:2_000]
    return int("Finished" in page)


def is_settled(page: str) -> int:
    """Return whether a flagged sample's page tells what became of it."""
    assert "flagged" in page, page[:2_000]
    return int("not settled yet" not in page)


class Reader:
    """Asks for pages of one kind over one connection."""

    def __init__(self, url: str, name: str, paths: list[str], figure: Callable[[str], int]) -> None:
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            str(place.hostname), place.port, timeout=PATIENCE
        )
        self._name = name
        self._figures: dict[str, list[int]] = {path: [] for path in paths}
        self._figure = figure
        self._looks = 0
        self._slowest = 0.0
        self._next = ""

    def look(self) -> None:
        """Ask for each of its pages once; of the news, for those since the last answer."""
        for path, figures in self._figures.items():
            began = time.monotonic()
            self._connection.request("GET", self._next or path)
            with self._connection.getresponse() as answer:
                page = answer.read().decode()
                assert answer.status == 200, (path, answer.status, page[-2_000:])
            self._slowest = max(self._slowest, time.monotonic() - began)
            if path == "/progress":
                known = _SEEN.search(page)
                self._next = known[1] if known else ""
            figure = self._figure(page)
            assert not figures or figure >= figures[-1], (path, figures, figure)
            if not figures or figure > figures[-1]:
                figures.append(figure)
            self._looks += 1

    def told(self) -> dict[str, object]:
        """Return what it saw."""
        return {
            "page": self._name,
            "looks": self._looks,
            "figures": list(self._figures.values()),
            "slowest": round(self._slowest, 3),
        }


def main(url: str, word: str, pause: str, *ids: str) -> None:
    """Look until standard input ends, and tell."""
    lives = [f"/samples/{name}" for name in ids]
    readers = [
        Reader(url, "run", ["/"], is_over),
        Reader(url, "news", ["/progress"], is_over),
        Reader(url, "round", ["/rounds/0"], badges),
        Reader(url, "map", ["/rounds/0?colour=fate"], badges),
        Reader(url, "samples", ["/samples?round=0"], settled),
        Reader(url, "search", [f"/samples?round=0&text={quote(word)}"], settled),
        Reader(url, "lives", lives[::2], is_settled),
        Reader(url, "more lives", lives[1::2], is_settled),
    ]
    end = Event()

    def look(reader: Reader) -> None:
        while not end.wait(float(pause)):
            reader.look()
        reader.look()

    with ThreadPoolExecutor(len(readers)) as threads:
        list(threads.map(Reader.look, readers))
        sys.stdout.write("holds\n")
        sys.stdout.flush()
        looking = [threads.submit(look, reader) for reader in readers]
        sys.stdin.read()
        end.set()
        for one in looking:
            one.result()
    sys.stdout.write(json.dumps([reader.told() for reader in readers]))


if __name__ == "__main__":
    main(*sys.argv[1:])
