"""Fixtures that tests of several folders share."""

import os
from pathlib import Path

import pytest

from .tiny import tiny_model

# Test processes share the cores: threads that spin while they wait would starve each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a ChatML tokenizer."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama")
