"""`docs/configuration.md` has a true row for every key, and no row for another."""

import re
from pathlib import Path

import yaml

from middo.core.config import CHANGEABLE, RunConfig
from middo.formats.config_reference import config_keys
from middo.formats.configuration import load_config

DOC = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_every_key_has_its_row() -> None:
    rows = [line for line in DOC.splitlines() if line.startswith("| `")]
    expected = [
        f"| `{key.name}` | {'required' if key.default is None else f'`{key.default}`'} "
        f"| {key.expected} | {key.meaning} |"
        for key in config_keys()
    ]
    assert rows == expected
    assert len(rows) > 40


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", DOC, re.S)[0], encoding="utf-8")
    config = load_config(path, environ={})
    assert config.rounds == 2
    assert config.agents.rewriter.params == yaml.safe_load("{temperature: 0.7}")


def test_what_resume_may_change_is_named() -> None:
    present = [key for key in CHANGEABLE if key.split(".")[0] in RunConfig.model_fields]
    assert present
    assert all(f"`{key}`" in DOC.split("middo resume --set")[1] for key in present)
