"""What an arm spent, and what a comparison changes of its configuration."""

from typing import Any

import pytest

from middo.core.config import RunConfig
from middo.core.errors import ConfigError
from middo.curation.comparison import Spent, arm_config, spent


def entry(**counts: int | None) -> dict[str, Any]:
    usual = {"accepted": 3, "rejected": 4, "failed": 1, "deferred": 9}
    return {**usual, **counts}


def test_what_an_arm_spent_is_what_it_refined() -> None:
    document = {"rounds": [entry(), entry(accepted=1), entry(accepted=None)]}
    assert spent(document) == Spent(2, 14, 4)
    assert spent(document).per_round == 7
    assert Spent(2, 15, 4).per_round == 8
    assert spent({"rounds": [entry(accepted=None)]}).per_round == 0


def test_arms_differ_in_what_they_refine_and_in_nothing_else() -> None:
    config = RunConfig.model_validate({"rounds": 4, "seed": 3, "signals": {"share": 0.2}})
    budget = Spent(2, 15, 6)
    plain = config.model_dump(mode="json")
    assert arm_config(config, "middo", 3, None) == config
    assert arm_config(config, "none", 3, None).model_dump(mode="json") == {**plain, "rounds": 0}
    for arm, selection in (("random", "random"), ("rewrite-all", "all")):
        found = arm_config(config, arm, 5, budget).model_dump(mode="json")  # type: ignore[arg-type]
        assert found == {
            **plain,
            "seed": 5,
            "rounds": 2,
            "signals": {**plain["signals"], "selection": selection},
            "refinement": {**plain["refinement"], "max_samples": 8},
        }
    with pytest.raises(ConfigError, match="add middo to the arms"):
        arm_config(config, "random", 3, None)
