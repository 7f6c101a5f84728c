"""A real browser, real runs, and the real server between them.

All tests of this folder belong to one group of one process: they share the runs. The browser is
closed after each module, since Playwright keeps an event loop of its own in the main thread.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from middo import run
from tests.browser.runs import settings, write_hostile

ROOT = Path(__file__).parents[2]
NAMED = os.environ.get("MIDDO_CHROMIUM")
CHROMIUM = NAMED or shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of this folder into one group, and skip them where there is no browser."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.xdist_group("browser"))
        if CHROMIUM is None:
            reason = "no chromium on PATH; install it or name it in MIDDO_CHROMIUM"
            item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program beside the tests and end it with them."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        # A run would finish what is in flight first, and its agents wait for ever.
        process.kill()
        process.communicate()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a run by `middo view` in a process of its own, and yield its address."""
    arguments = ["-m", "middo", "view", str(folder), "--port", "0", "--no-open", "--json"]
    with child(*arguments) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1].rstrip() != "}":
            lines.append(process.stdout.readline())
            assert lines[-1], "the server ended before it told its address"
        yield json.loads("".join(lines))["url"]


@pytest.fixture(scope="session")
def hostile_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of which some rows attack whoever shows them."""
    return write_hostile(tmp_path_factory.mktemp("hostile") / "rows.jsonl")


@pytest.fixture(scope="session")
def held(
    tmp_path_factory: pytest.TempPathFactory, hostile_rows: Path, tiny_folder: Path
) -> Iterator[tuple[Path, Path]]:
    """A run that goes on and waits in `refine` for a file: its folder, and that file."""
    folder = tmp_path_factory.mktemp("held")
    arguments = (str(path) for path in (hostile_rows, tiny_folder, folder / "run", folder / "gate"))
    with child("-m", "tests.browser.runs", *arguments):
        yield folder / "run", folder / "gate"


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory,
    hostile_rows: Path,
    tiny_folder: Path,
    held: tuple[Path, Path],
) -> Path:
    """A finished run; the one that is held is made beside it, to save time."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    run(settings(hostile_rows, tiny_folder), folder)
    return folder


@pytest.fixture(scope="session")
def address(finished_run: Path) -> Iterator[str]:
    """The address at which the finished run is served."""
    with served(finished_run) as url:
        yield url


@pytest.fixture(scope="module")
def browser(finished_run: Path) -> Iterator[Browser]:
    """A headless Chromium; the runs are made before it, as they need the event loop."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-component-update", "--disable-sync"],
        )
        yield started
        started.close()
