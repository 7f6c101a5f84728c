"""Fixtures that tests of several folders share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tiny import tiny_model

# Test processes share the cores: threads that spin while they wait would starve each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
