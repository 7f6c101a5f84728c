"""`middo explain`: the life of one sample, from its import to what became of it.

middo explain RUN SAMPLE [--json]
"""

from dataclasses import asdict
from pathlib import Path

from ..inspection.lives import life
from ..inspection.names import resolve
from ..inspection.record import open_record
from .life_text import life_text
from .output import Reply


def explain(folder: Path, sample: str, *, colour: bool) -> Reply:
    """Tell a sample's life; `colour` draws differences in colours instead of brackets."""
    with open_record(folder) as record:
        found = life(record, resolve(record, sample))
    return Reply(asdict(found), life_text(found, colour=colour))
