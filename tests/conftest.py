"""Fixtures that tests of several folders share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from .loop import config as small_config
from .loop import write_rows
from .tiny import tiny_model
from .torture.tally import PROPERTY, summed, table

# Test processes share the cores: threads that spin while they wait would starve each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The default run draws the same inputs every time; `make torture` draws many more by its seed.
settings.register_profile("sample", derandomize=True, database=None, deadline=None, max_examples=50)
settings.register_profile("torture", database=None, deadline=None, max_examples=2_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture-seed", type=int, help="draw many inputs, by this seed")


def pytest_configure(config: pytest.Config) -> None:
    seed = config.getoption("--torture-seed")
    settings.load_profile("sample" if seed is None else "torture")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    properties = [told for report in reports for told in report.user_properties]
    rows = summed(told for name, told in properties if name == PROPERTY)
    if rows:
        terminalreporter.section("what was borne")
        for line in table(rows):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def torture_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this torture; 0 in the default run."""
    return int(request.config.getoption("--torture-seed") or 0)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, so that no test sees what an earlier session measured.

    Converted weights, which take minutes to make, stay those of the user.
    """
    from middo.training.sources import cache_folder

    folder = tmp_path_factory.mktemp("cache")
    models = cache_folder()
    models.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIDDO_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a ChatML tokenizer."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A finished run folder; its data set lies beside it."""
    from middo import run

    folder = tmp_path_factory.mktemp("loop")
    run(small_config(write_rows(folder / "rows.jsonl"), tiny_folder), folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def document(finished: Path) -> dict[str, Any]:
    """The `run.json` of the finished run."""
    from middo.stores.runs import read_run

    return read_run(finished)
