"""Seeded defects: real rows are damaged on purpose, and Middo has to find and repair them.

    python -m benchmarks.defects detection --data FILE... --out FOLDER [--json FILE]
    python -m benchmarks.defects remedies --out FOLDER [--json FILE]
    python -m benchmarks.defects repair --data FILE... --out FOLDER [--json FILE]

`--data` takes data sets in any form that Middo imports, and files of disfluent and clean questions
in the form of Disfl-QA, which show how people stumble. The modules named like the parts
say what each measures. An interrupted one is gone on with by the same command.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import detection, remedies, repair

PARTS = {"detection": detection, "remedies": remedies, "repair": repair}


def main(argv: Sequence[str]) -> int:
    """Run one part."""
    return parts_main(parsed(argv))


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; `settings` are further keys of the runs' configuration, for tests."""
    parser = argparse.ArgumentParser(prog="benchmarks.defects", description=_first(__doc__))
    parts = parser.add_subparsers(dest="part", required=True)
    for name, module in PARTS.items():
        part = parts.add_parser(name, description=_first(module.__doc__))
        part.add_argument("--out", type=Path, required=True, help="folder that keeps everything")
        part.add_argument("--json", type=Path, help="also write the figures to this file")
        module.add_arguments(part)
    choice = parser.parse_args(argv)
    choice.settings = {}
    return choice


def parts_main(choice: argparse.Namespace) -> int:
    """Run the chosen part."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.ERROR)
    code: int = PARTS[choice.part].main(choice)
    return code


def _first(text: str | None) -> str:
    return (text or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
