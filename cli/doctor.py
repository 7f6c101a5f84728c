"""`middo doctor`: has this machine what the demo needs, and what to install where not."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..core.errors import MiddoError
from ..inspection.figures import aligned
from .output import Reply, clean

PACKAGES = (
    "accelerate",
    "chromadb",
    "datasets",
    "langchain",
    "langchain-core",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "numpy",
    "peft",
    "pyarrow",
    "scikit-learn",
    "sentence-transformers",
    "torch",
    "transformers",
    "trl",
)
OPTIONAL = {"lm-eval": 'pip install "middo[evaluation]"'}
"""What only some configurations need, and the line that installs it."""
DEMO_MEMORY_GB = 6.0
DEMO_DISK_GB = 2.0
_DEMO_MODEL = "smollm2-135m"


def examine() -> Reply:
    """Look at Python, packages, hardware and models; exit code 2 where the demo can't run."""
    packages = {name: _version(name) for name in PACKAGES}
    parts = _demo_parts()
    missing = [f'pip install "{name}"' for name, found in packages.items() if found is None]
    missing += [part["install"] for part in parts.values() if part["install"]]
    machine = _machine()
    compute = _torch() if packages["torch"] else None
    if compute is not None and "error" in compute:
        missing.append("pip install --force-reinstall torch")
    document = {
        "ok": not missing,
        "python": platform.python_version(),
        "packages": packages,
        "torch": compute,
        "machine": machine,
        "demo": parts,
        "optional": {name: _version(name) for name in OPTIONAL},
        "missing": missing,
        "cautions": _cautions(machine),
        "cache": str(_cache()),
    }
    return Reply(document, _text(document), 0 if document["ok"] else 2)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _demo_parts() -> dict[str, dict[str, str | None]]:
    """Return for each part of the demo where it was found, or the line that installs it."""
    from ..providers.embedders import MINILM_INSTALL, embedder_source
    from ..providers.local.llamacpp import model_file

    return {
        "weights": _part(lambda: str(model_file(_DEMO_MODEL))),
        "gguf": _part(lambda: _module("gguf"), "pip install gguf"),
        "xllamacpp": _part(_engine),
        "embedder": _part(lambda: embedder_source("minilm"), MINILM_INSTALL),
    }


def _engine() -> str | None:
    from ..providers.local.llamacpp import check_engine

    check_engine()
    return _module("xllamacpp")


def _part(find: Callable[[], str | None], install: str | None = None) -> dict[str, str | None]:
    try:
        found, error = find(), ""
    except MiddoError as missing:
        found, error = None, str(missing)
    if found is None and install is None:  # the message has the line to run between backticks
        install = error.split("`")[1] if "`" in error else error
    return {"found": found, "install": None if found else install}


def _module(name: str) -> str | None:
    spec = importlib.util.find_spec(name)
    return None if spec is None else str(spec.origin)


def _torch() -> dict[str, Any]:
    """Return what torch computes on, or the error of an installation that doesn't load."""
    from ..training.device import pick_device, pick_dtype

    try:
        device = pick_device()
        dtype = pick_dtype("auto", device)
    except (ImportError, OSError) as error:
        return {"error": clean(error)}
    return {"device": device, "dtype": dtype, "threads": os.environ.get("OMP_NUM_THREADS")}


def _machine() -> dict[str, Any]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(pages * size / 2**30, 1),
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
    }


def _cautions(machine: dict[str, Any]) -> list[str]:
    found = []
    if machine["memory_gb"] < DEMO_MEMORY_GB:
        found.append(f"{machine['memory_gb']} GB of memory; the demo may need {DEMO_MEMORY_GB} GB")
    if machine["disk_free_gb"] < DEMO_DISK_GB:
        found.append(f"{machine['disk_free_gb']} GB of disk free; the demo needs {DEMO_DISK_GB} GB")
    return found


def _cache() -> Path:
    from ..training.sources import cache_folder

    return cache_folder()


def _text(document: dict[str, Any]) -> str:
    machine, torch = document["machine"], document["torch"]
    table = [
        ["Python", f"{document['python']} ({sys.executable})"],
        [
            "Machine",
            f"{machine['cores']} cores, {machine['memory_gb']} GB of memory, "
            f"{machine['disk_free_gb']} GB of disk free",
        ],
    ]
    if torch is not None and "error" in torch:
        table.append(["Compute", f"torch does not load: {torch['error']}"])
    elif torch is not None:
        threads = torch["threads"] or "as many threads as OpenMP chooses"
        named = f"{threads} threads" if torch["threads"] else threads
        table.append(["Compute", f"{torch['device']}, {torch['dtype']}, {named}"])
    table.append(["Cache", document["cache"]])
    table += [[name, found or "missing"] for name, found in document["packages"].items()]
    table += [[name, part["found"] or "missing"] for name, part in document["demo"].items()]
    table += [
        [name, found or f"not installed; for tasks of its own: {OPTIONAL[name]}"]
        for name, found in document["optional"].items()
    ]
    lines = aligned(table, [False, False])
    lines += [f"caution: {caution}" for caution in document["cautions"]]
    if document["ok"]:
        return "\n".join([*lines, "", "Everything the demo needs is there: run `middo run`."])
    return "\n".join([*lines, "", "Missing; run:", *(f"  {m}" for m in document["missing"])])
