"""The layout of the repository: who imports whom, what is packaged, what stays unloaded."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MIDDLE = (
    *("prompts", "signals", "checks", "formats", "curation", "providers", "stores", "training"),
    "telemetry",
)
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    **{name: {"core"} for name in MIDDLE},
    "agents": {"core", *MIDDLE},
    "graph": {"core", *MIDDLE, "agents"},
    "inspection": {"core", "formats", "signals", "stores"},
    "viewer": {"core", "inspection", "stores"},
    "cli": {"core", *MIDDLE, "agents", "graph", "inspection", "viewer"},
}
"""Folder -> folders that it may import beside itself."""

HOMES = {
    "torch": ("training/", "providers/local/"),
    "chromadb": ("stores/vectors.py",),
    "langgraph": ("graph/",),
    "opentelemetry": ("telemetry/",),
    "openinference": ("telemetry/",),
    "sqlite3": ("stores/",),
    "starlette": ("viewer/",),
    "uvicorn": ("viewer/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
}
"""Third-party package -> the only places that may import it."""

HEAVY = (
    *("torch", "langgraph", "chromadb", "transformers", "starlette", "uvicorn"),
    *("opentelemetry", "openinference"),
)


def modules() -> list[Path]:
    return sorted(path for folder in ALLOWED for path in (ROOT / folder).rglob("*.py"))


@cache
def imports(path: Path) -> list[tuple[str, int]]:
    return list(walked(path))


def walked(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every imported module by its full name, `middo.*` for relative imports too."""
    package = ("middo", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*base, *([node.module] if node.module else [])])
            # `from .. import x` names folders; `from ..core.records import Sample` a module.
            names = [f"{start}.{alias.name}" for alias in node.names]
            for name in names if node.module is None else [start]:
                yield name, node.lineno


def test_imports_point_one_way() -> None:
    wrong = []
    for path in modules():
        folder = path.relative_to(ROOT).parts[0]
        for name, line in imports(path):
            parts = name.split(".")
            if parts[0] != "middo" or len(parts) < 2 or parts[1] not in ALLOWED:
                continue
            if parts[1] != folder and parts[1] not in ALLOWED[folder]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_walk_sees_relative_and_lazy_imports(tmp_path: Path) -> None:
    path = ROOT / "cli" / "loop.py"
    found = {name for name, _ in imports(path)}
    assert {"middo.core.config", "middo.graph.run", "middo.cli.plan", "os"} <= found
    assert "middo.__version__" in {name for name, _ in imports(ROOT / "cli" / "main.py")}


def test_packages_are_imported_relatively() -> None:
    absolute = [
        f"{path.relative_to(ROOT)}: {node.module}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and not node.level and node.module
        if node.module.split(".")[0] in {"middo", *ALLOWED}
    ]
    assert not absolute, "\n".join(absolute)


@pytest.mark.parametrize("package", sorted(HOMES))
def test_a_library_is_imported_only_in_its_home(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        for name, line in imports(path)
        if name.split(".")[0] == package
        and not str(path.relative_to(ROOT)).startswith(HOMES[package])
    ]
    assert not wrong, "\n".join(wrong)


def test_what_architecture_claims_of_libraries_is_what_is_tested() -> None:
    told = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    claims = re.findall(
        r"[Oo]nly\s((?:`[\w/.]+`(?:\sand\s)?)+)\s(?:load\s)?(\w+(?:\sand\s\w+)?)[,.]", told
    )
    homes = {
        package: tuple(re.findall(r"`(.+?)`", places))
        for places, packages in claims
        for package in packages.split(" and ")
    }
    assert {"torch", "chromadb", "langgraph", "starlette", "uvicorn", "opentelemetry"} == set(homes)
    assert homes == {package: HOMES[package] for package in homes}
    assert homes.keys() <= set(HEAVY)


def test_no_line_of_architecture_is_too_long() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert not [line for line in lines if len(line) > 110 and not line.startswith("|")]


def test_core_needs_nothing_but_pydantic() -> None:
    outside = {
        name.split(".")[0] for path in (ROOT / "core").rglob("*.py") for name, _ in imports(path)
    } - set(sys.stdlib_module_names)
    assert outside <= {"middo", "pydantic", "annotated_types", "typing_extensions"}


def test_no_module_is_too_long_or_named_after_nothing() -> None:
    vague = {"utils", "helpers", "common", "manager", "misc"}
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in modules()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert not long, "\n".join(long)
    assert not [path for path in modules() if path.stem in vague]


# --- packaging ---


def project() -> dict[str, dict[str, object]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def setuptools_table() -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = project()["tool"]["setuptools"]  # type: ignore[assignment]
    return table


def real_packages() -> set[str]:
    found = {"middo"}
    for folder in ALLOWED:
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join(["middo", *init.parent.relative_to(ROOT).parts]))
    return found


def test_the_list_of_packages_is_the_tree() -> None:
    listed = setuptools_table()["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == real_packages()


def test_every_folder_with_modules_is_a_package() -> None:
    bare = {path.parent for path in modules() if not (path.parent / "__init__.py").exists()}
    assert not bare


def test_each_folder_is_mapped_and_linked() -> None:
    mapped: dict[str, Any] = {**setuptools_table()["package-dir"]}
    expected = {"middo": "middo", **{f"middo.{name}": name for name in ALLOWED}}
    assert mapped == expected
    for name in ALLOWED:
        link = ROOT / "middo" / name
        assert link.is_symlink(), name
        assert os.readlink(link) == f"../{name}"


def test_every_data_file_of_a_package_is_shipped() -> None:
    patterns = setuptools_table()["package-data"]
    lost = []
    for folder in ALLOWED:
        for path in (ROOT / folder).rglob("*"):
            if path.is_dir() or path.suffix in {".py", ".pyc"}:
                continue
            package = ".".join(["middo", *path.parent.relative_to(ROOT).parts])
            if not any(fnmatch(path.name, pattern) for pattern in patterns.get(package, [])):
                lost.append(str(path.relative_to(ROOT)))
    assert not lost, "\n".join(lost)


# --- what stays unloaded ---


def loaded_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh Python has loaded after running `code`."""
    script = f"{code}\nimport json, sys\nprint('LOADED', json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "tests",
        timeout=60,
    )
    line = done.stdout.rsplit("LOADED ", 1)[1]
    return {name.split(".")[0] for name in json.loads(line)}


@pytest.mark.parametrize(
    "code",
    [
        "import middo; assert middo.__version__",
        "import middo; assert middo.RunConfig().rounds == 3",
        "from middo.cli.main import parse; assert parse(['--help']) == 0",
        "from middo.cli.main import parse; parse(['config', 'show'])()",
        "from middo.cli.main import parse; parse(['config', 'schema'])()",
    ],
)
def test_light_commands_load_nothing_heavy(code: str) -> None:
    loaded = loaded_after(code)
    assert "middo" in loaded
    assert not loaded.intersection(HEAVY)


def test_the_list_of_loaded_modules_can_show_heavy_ones() -> None:
    assert "chromadb" in loaded_after("import sys; sys.modules['chromadb.api'] = sys")
