"""Make the run folders of this version that later versions must open and go on with.

    python -m tests.compatibility.make

Writes `tests/compatibility/<version>/runs.tar.xz`: a run that was killed among its LLM calls, the
same one finished (without weights, for readers) and the tiny base model; and `expected.json`, what
the killed one has to end with. Run it once per release, and never change an older one.
"""

import json
import os
import tarfile
import tempfile
from contextlib import chdir
from pathlib import Path

from middo import __version__
from middo.stores.runs import read_run
from tests.tiny import tiny_model
from tests.torture.damages import killed_half_way

HERE = Path(__file__).parent


def main() -> None:
    """Make both files."""
    to = (HERE / __version__).resolve()
    to.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["MIDDO_CACHE"] = str(Path(folder) / "cache")
        # Paths relative to where Middo is started: the folders open and resume anywhere.
        made = killed_half_way(Path(), tiny_model(Path("tiny")))
        document = read_run(made.finished)
        expected = {
            "rounds": [
                {name: entry[name] for name in ("dataset", "accepted", "flagged", "gate")}
                for entry in document["rounds"]
            ],
            "best_round": document["best_round"],
            "calls": document["tokens"]["calls"],
        }
        (to / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
        with tarfile.open(to / "runs.tar.xz", "w:xz") as archive:
            archive.add("tiny")
            archive.add("killed", filter=_without_index)
            archive.add("finished", filter=_light)


def _without_index(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is made again: the vector index, SQLite's own index of a log."""
    made_again = "/vectors" in entry.name or entry.name.endswith("-shm")
    return None if made_again else entry


def _light(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave weights out too."""
    return None if entry.name.endswith(".safetensors") else _without_index(entry)


if __name__ == "__main__":
    main()
