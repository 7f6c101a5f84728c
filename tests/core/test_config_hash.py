"""A run of an earlier version goes on as it began: later keys leave its hash as it was."""

from pathlib import Path
from typing import Any

from middo.core.config import LATER, RunConfig, config_hash, hashed_part
from middo.formats.configuration import dump_config, load_kept


def earlier() -> dict[str, Any]:
    """Return the settings of a version that knew none of the later keys."""
    plain = RunConfig().model_dump(mode="json")
    for dotted, _ in LATER:
        section, key = dotted.split(".")
        del plain[section][key]
    return plain


def test_a_configuration_of_an_earlier_version_means_what_that_version_did(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(RunConfig()).replace("  seeds: 3\n", ""), encoding="utf-8")
    kept = load_kept(file)
    assert kept.gate.seeds == 1
    assert kept.evaluation.exclude_overlap  # it is in the file
    assert load_kept(file, ["gate.seeds=2"]).gate.seeds == 2


def test_what_earlier_versions_did_is_hashed_only_where_something_else_is_done() -> None:
    values: dict[str, Any] = {}
    for dotted, before in LATER:
        section, key = dotted.split(".")
        values.setdefault(section, {})[key] = before
    as_before = RunConfig.model_validate(values)
    assert set(hashed_part(as_before)["gate"]) == set(earlier()["gate"])
    assert set(hashed_part(as_before)["evaluation"]) == set(earlier()["evaluation"])
    assert set(hashed_part(as_before)["signals"]) == set(earlier()["signals"])
    assert hashed_part(RunConfig())["gate"]["seeds"] == 3
    assert config_hash(RunConfig()) != config_hash(as_before)
