"""Fixtures that tests of several folders share."""

from pathlib import Path

import pytest

from .tiny import tiny_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a ChatML tokenizer."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama")
