"""Measure the viewer: how soon `middo view` answers, and how long each page takes.

    python -m benchmarks.viewer [--rows 52000] [--refined 5000] [--run FOLDER] [--json FILE]

A run folder of that size is made by `benchmarks.run_folder`, unless `--run` names one. Then
`middo view` is started anew five times and asked for `/` as soon as it listens: the time from the
start of the process to the first byte of the answer. Five more are asked for the Round page before
any other: the time of that request. Last, one server answers every page: once for the first time,
then twenty times more. It has two seconds after its first answer, in which it loads what other
pages need, as a reader would give it. Pages are asked for over one connection, one at a
time, with the interpreter and the files in the system's cache; times are of the client.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.machine import table, write

STARTS = 5
REPEATS = 20
READING = 2.0
"""Seconds that a reader looks at the first page."""
FIRST_BYTE_GOAL = 0.5
PAGE_GOAL = 0.150
ORDERS = ("complexity", "density", "quality", "loss_base", "loss_tuned", "cluster")
FILES = ("middo.css", "charts.css", "middo.js", "map.js", "htmx.min.js", "middo.svg")


def main() -> None:
    """Make a run where none is named, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=52_000)
    parser.add_argument("--refined", type=int, default=5_000)
    parser.add_argument("--data", default="demo", help="what the run's texts are made of")
    parser.add_argument("--run", type=Path, help="a run folder to measure instead")
    parser.add_argument("--json", help="write the figures here")
    choice = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = choice.run or _made(Path(work) / "run", choice)
        document = measure(folder)
    _show(document)
    if choice.json:
        write(choice.json, document)


def measure(folder: Path) -> dict[str, Any]:
    """Return the times of a run's pages, seconds."""
    addresses = pages(folder)
    starts = [first_byte(folder) for _ in range(STARTS)]
    straight = [first_page(folder, addresses["Round"]) for _ in range(STARTS)]
    with served(folder) as url, _connection(url) as connection:
        found = {"Run": _timed(connection, addresses.pop("Run"))}
        time.sleep(READING)
        found |= {name: _timed(connection, path) for name, path in addresses.items()}
    return {
        **_size(folder),
        "first_byte": {"median": round(statistics.median(starts), 3), "all": starts},
        "round_as_first_page": {"median": round(statistics.median(straight), 3), "all": straight},
        "goals": {"first_byte": FIRST_BYTE_GOAL, "page": PAGE_GOAL},
        "pages": found,
    }


def pages(folder: Path) -> dict[str, str]:
    """Return name -> address of every page that is measured."""
    from middo.inspection.record import open_record
    from middo.inspection.samples import Query
    from middo.inspection.table import page

    with open_record(folder) as record:
        plain = page(record, Query(round=0))
        flagged = page(record, Query(round=0, fate="rejected")).rows[0].sample_id
        usual = page(record, Query(round=0, axis="none")).rows[0].sample_id
    found = {
        "Run": "/",
        "Run, news": "/progress?seen=x",
        "Round": "/rounds/0",
        "Round, not diagnosed": "/rounds/1",
        "Round, map by axis": "/rounds/0?colour=axis",
        "Samples": _samples(),
        "Samples, last page": _samples(page=plain.pages),
        "Samples, a frequent word": _samples(text="the"),
        "Samples, two words": _samples(text="write story"),
        "Samples, no match": _samples(text="zzzzzz"),
        "Samples, an id": _samples(text=flagged[:8]),
        "Samples, the next round": "/samples?round=1",
    }
    for name, values in plain.facets.items():
        for facet in values[:4]:
            found[f"Samples, {name} {facet.value}"] = _samples(**{name: facet.value})
    for order in ORDERS:
        found[f"Samples by {order}"] = _samples(order=order, descending=1)
    return {
        **found,
        "Sample, refined": f"/samples/{flagged}",
        "Sample, not flagged": f"/samples/{usual}",
        "Compare": "/compare",
        **{f"File {name}": f"/static/{name}" for name in FILES},
    }


def _samples(**query: Any) -> str:
    return f"/samples?{urlencode({'round': 0, **query})}"


def first_byte(folder: Path) -> float:
    """Return the seconds from the start of `middo view` to the first byte of `/`."""
    began = time.perf_counter()
    with served(folder) as url, _connection(url) as connection:
        connection.request("GET", "/")
        with connection.getresponse() as response:
            response.read(1)
            return round(time.perf_counter() - began, 3)


def first_page(folder: Path, path: str) -> float:
    """Return the seconds that a page takes which is asked for before any other."""
    with served(folder) as url, _connection(url) as connection:
        began = time.perf_counter()
        connection.request("GET", path)
        with connection.getresponse() as response:
            response.read()
            return round(time.perf_counter() - began, 3)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run `middo view` and yield its address as soon as it is told."""
    command = [sys.executable, "-m", "middo", "view", str(folder), "--port", "0", "--no-open"]
    # A line with the address, not JSON, so that nothing has to be parsed meanwhile.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http"))
        finally:
            process.terminate()


@contextmanager
def _connection(url: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
    try:
        yield connection
    finally:
        connection.close()


def _timed(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    """Ask for an address again and again; return its times in seconds, and its size in bytes."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        connection.request("GET", path)
        with connection.getresponse() as response:
            body = response.read()
            times.append(time.perf_counter() - began)
            if response.status != 200:
                raise SystemExit(f"{path}: status {response.status}")
    warm = sorted(times[1:])
    return {
        "path": path,
        "first": round(times[0], 4),
        "median": round(statistics.median(warm), 4),
        "p95": round(warm[int(0.95 * (len(warm) - 1) + 0.5)], 4),
        "bytes": len(body),
    }


def _size(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    first = document["rounds"][0]
    return {
        "rows": first["dataset"]["rows"],
        "flagged": first["flagged"]["samples"],
        "refined": sum(first[fate] for fate in ("accepted", "rejected", "failed")),
    }


def _made(folder: Path, choice: argparse.Namespace) -> Path:
    # In a process of its own, whose memory is given back before anything is timed.
    command = [sys.executable, "-m", "benchmarks.run_folder", "--out", str(folder)]
    sizes = ["--rows", str(choice.rows), "--refined", str(choice.refined), "--data", choice.data]
    subprocess.run([*command, *sizes], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return folder


def _show(document: dict[str, Any]) -> None:
    print(
        f"{document['rows']:,} rows, {document['flagged']:,} flagged,"
        f" {document['refined']:,} refined\n\nfirst byte {document['first_byte']['median']} s"
        f" from the start of the process (goal {FIRST_BYTE_GOAL} s), of"
        f" {document['first_byte']['all']}\nthe Round page before any other"
        f" {document['round_as_first_page']['median']} s, of"
        f" {document['round_as_first_page']['all']}\n"
    )
    rows = [
        [
            name,
            *(round(1_000 * found[key], 1) for key in ("first", "median", "p95")),
            round(found["bytes"] / 1_000),
            "" if found["median"] < PAGE_GOAL else "slow",
        ]
        for name, found in document["pages"].items()
    ]
    print(table(rows, ["page", "first, ms", "median, ms", "p95, ms", "kB", ""]))


if __name__ == "__main__":
    main()
