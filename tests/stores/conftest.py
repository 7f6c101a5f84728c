"""Folders that can't be written."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def foreign() -> Iterator[Path]:
    """Return a folder that is made unwritable within the test."""
    home = Path(tempfile.mkdtemp(prefix="middo-read-only-"))
    yield home
    home.chmod(0o755)
    shutil.rmtree(home)
