"""What the benchmarks share: the machine that figures were made on, tables, JSON files."""

import json
import os
import platform
import resource
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("torch", "transformers", "trl", "peft", "chromadb", "numpy", "scikit-learn", "pyarrow"),
    *("langgraph", "vllm"),
)

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Headers, and rows of as many cells; None is an empty one."""


def describe() -> dict[str, Any]:
    """Return processor, cores, memory, system, and the versions of the installed libraries."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def peak_memory_mb() -> int:
    """Return the peak resident memory of this process plus that of its largest ended child, MB.

    Linux counts it in KiB. The two peaks need not fall together, so the sum is an upper bound.
    """
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(sum(one.ru_maxrss for one in usage) * 1024 / 1e6)


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> str:
    """Return rows as a text table; numbers are aligned to the right, None is empty."""
    cells = [["" if value is None else _text(value) for value in row] for row in rows]
    widths = [
        max(len(headers[i]), *(len(row[i]) for row in cells)) if cells else len(headers[i])
        for i in range(len(headers))
    ]
    right = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(headers))]

    def line(texts: Sequence[str]) -> str:
        parts = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, right, strict=True)
        )
        return "  ".join(parts).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *map(line, cells)])


def write(path: Path | str, document: dict[str, Any]) -> None:
    """Write a benchmark's result as JSON, with the machine under `machine`."""
    whole = {"machine": describe(), **document}
    Path(path).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
