"""A command line run in this process, with what it printed and its exit code."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from middo.cli.boundary import carry_out
from middo.cli.main import parse


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture
def middo(capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = carry_out([str(word) for word in arguments], parse)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run
