"""A run of an earlier version goes on: keys that came later leave its hash as it was."""

from middo.core.config import LATER, RunConfig, config_hash, hashed_part


def test_keys_that_came_later_are_hashed_only_where_they_are_set() -> None:
    plain = hashed_part(RunConfig())
    for dotted, default in LATER:
        section, key = dotted.split(".")
        assert key not in plain[section]
        assert RunConfig().model_dump(mode="json")[section][key] == default
    other = RunConfig.model_validate({"evaluation": {"exclude_overlap": False}})
    assert hashed_part(other)["evaluation"]["exclude_overlap"] is False
    assert config_hash(other) != config_hash(RunConfig())
