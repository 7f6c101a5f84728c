"""What neither ruff's nor bandit's rules see: arguments that keep other people's files harmless."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKS = sorted(path.name for path in (ROOT / "middo").iterdir() if path.is_symlink())
NEVER = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}


def sources() -> list[Path]:
    return [file for name in LINKS for file in sorted((ROOT / name).rglob("*.py"))]


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def given(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def faults(file: Path) -> list[str]:
    """Return what a file does that opens the door to code in other people's files."""
    found = []
    for name, call in calls(file):
        place = f"{file.name}:{call.lineno}: {name}"
        last = name.rpartition(".")[2]
        if name in ("torch.load", "load_torch") and given(call, "weights_only") != "True":
            found.append(f"{place} without weights_only")
        if last in ("from_pretrained", "SentenceTransformer") and name.startswith(("Auto", "Sent")):
            opened = [k for k in call.keywords if k.arg is None]
            if given(call, "trust_remote_code") != "False" and not opened:
                found.append(f"{place} without trust_remote_code=False")
        if given(call, "trust_remote_code") not in (None, "False"):
            found.append(f"{place} trusts remote code")
        if given(call, "allow_pickle") not in (None, "False"):
            found.append(f"{place} allows pickles")
        if last in ("extractall", "mktemp") or (last == "load" and name == "yaml.load"):
            found.append(place)
        session = name.startswith(("requests.", "httpx.", "self._session."))
        if session and last in ("get", "post", "put", "request") and not given(call, "timeout"):
            found.append(f"{place} without a timeout")
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = [alias.name for alias in getattr(node, "names", ()) if isinstance(node, ast.Import)]
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        found += [f"{file.name}: imports {n}" for n in names if n.partition(".")[0] in NEVER]
    return found


def test_no_file_of_the_package_opens_what_can_run_code() -> None:
    assert len(sources()) > 150
    assert [fault for file in sources() for fault in faults(file)] == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "AutoTokenizer.from_pretrained(folder)",
        "AutoModel.from_pretrained(folder, trust_remote_code=True)",
        "np.load(file, allow_pickle=True)",
        "tar.extractall(folder)",
        "yaml.load(text)",
        "requests.get(url)",
        "import pickle",
        "from joblib import load",
    ],
)
def test_the_search_finds_each_of_them(line: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(line + "\n", encoding="utf-8")
    assert faults(file)


def test_transformers_resumes_from_tensors_only() -> None:
    """A resumed training reads `optimizer.pt` and `rng_state.pth`, which are pickles in form."""
    from transformers import trainer

    loads = re.findall(r"torch\.load\((?:[^()]|\([^()]*\))*\)", inspect.getsource(trainer))
    assert len(loads) >= 5
    assert [load for load in loads if "weights_only=True" not in load] == []


def test_litellm_is_not_asked_for() -> None:
    """Two of its releases carried malware in March 2026."""
    for name in ("pyproject.toml", "constraints-cpu.txt"):
        assert "litellm" not in (ROOT / name).read_text("utf-8")
