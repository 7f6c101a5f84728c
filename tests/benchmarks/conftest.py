"""One small training and diagnosis of seeded defects, which several benchmarks look at."""

import argparse
from pathlib import Path

import pytest

from benchmarks.defects import parsed, parts_main
from tests.benchmarks.damaging import SETTINGS, write_disfluent, write_pairs


@pytest.fixture(scope="session")
def detected(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> argparse.Namespace:
    """The arguments of a detection that has run; `json` holds its figures."""
    folder = tmp_path_factory.mktemp("detected")
    data = [str(write_pairs(folder / "rows.jsonl")), str(write_disfluent(folder / "asked.json"))]
    arguments = ["--model", str(tiny_folder), "--out", str(folder / "out"), "--data", *data]
    sizes = ["--rows", "50", "--damaged", "4", "--json", str(folder / "found.json")]
    choice = parsed(["detection", *arguments, *sizes])
    choice.settings = {**SETTINGS, "model": {"base": str(tiny_folder), "max_length": 512}}
    assert parts_main(choice) == 0
    return choice
