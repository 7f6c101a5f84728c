"""Draw inputs for a check, few in the default run and many under torture, and count them."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, example, given, settings
from hypothesis.strategies import SearchStrategy

from .torture.tally import RecordProperty, tell

Drawn = TypeVar("Drawn")
SLOWEST = 5.0
"""Seconds of processor time that one input may take: far above what any needs, far below a hang."""


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that goes away, in memory where there is such a place: hundreds are made."""
    memory = "/dev/shm"
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


def many(few: int, torture: int) -> settings:
    """Return how many inputs to draw in the run at hand."""
    tortured = settings.default is not None and settings.default.max_examples > 50
    return settings(
        max_examples=torture if tortured else few, suppress_health_check=list(HealthCheck)
    )


def fuzz(
    record_property: RecordProperty,
    check: Callable[[Drawn], object],
    inputs: SearchStrategy[Drawn],
    *,
    few: int = 50,
    torture: int = 2_000,
    always: Sequence[Drawn] = (),
) -> None:
    """Run a check on drawn inputs; one that takes longer than `SLOWEST` fails.

    Args:
        record_property: pytest's fixture of that name.
        check: what must not raise.
        inputs: what to draw from.
        few: inputs of the default run.
        torture: inputs under torture.
        always: inputs that are tried each time.
    """
    tried = 0

    def timed(drawn: Drawn) -> None:
        nonlocal tried
        tried += 1
        began = time.process_time()
        check(drawn)
        took = time.process_time() - began
        assert took < SLOWEST, f"took {took:.1f} seconds"

    run = given(inputs)(timed)
    for one in always:
        run = example(one)(run)
    try:
        many(few, torture)(run)()
    finally:
        tell(record_property, "inputs fuzzed", inputs=tried)
