"""`middo view` as a process: the address, a page, and a quiet end."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.inspection.folder import Folder, numbered

ROOT = Path(__file__).parents[2]


@contextmanager
def viewing(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "middo", "view", str(folder), "--no-open", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Folder(tmp_path / "run")
    made.dataset(0, numbered(3), gate="baseline")
    return made.path


def status_of(url: str, **headers: str) -> int:
    host = url.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", url.removeprefix(f"http://{host}"), headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_address_is_printed_a_page_is_served_and_ctrl_c_is_quiet(folder: Path) -> None:
    with viewing(folder, "--json") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1].strip() != "}":
            lines.append(process.stdout.readline())
        document = json.loads("".join(lines))
        assert document["run"] == "run"
        assert document["url"].startswith("http://127.0.0.1:")
        assert status_of(document["url"]) == 200
        assert status_of(document["url"], Host="evil.example") == 421
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with viewing(tmp_path) as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert out == "" and err.count("\n") == 1 and "no run folder" in err
