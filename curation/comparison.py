"""Arms of a loop against each other: the same rows, seeds and budget, and what differs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..core.config import RunConfig
from ..core.errors import ConfigError

Arm = Literal["middo", "none", "random", "rewrite-all"]
ARMS: tuple[Arm, ...] = get_args(Arm)
BUDGETED: dict[Arm, str] = {"random": "random", "rewrite-all": "all"}
"""Arms that get the budget of `middo`, and what they select by."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an arm did: refinements, samples refined in them, proposals accepted."""

    rounds: int
    refined: int
    accepted: int

    @property
    def per_round(self) -> int:
        """Samples per refinement, rounded up: the budget of the arms that get as much."""
        return math.ceil(self.refined / self.rounds) if self.rounds else 0


def spent(document: Mapping[str, Any]) -> Spent:
    """Return what a finished run did, from `run.json`; what was deferred is not refined."""
    done = [entry for entry in document["rounds"] if entry.get("accepted") is not None]
    fates = ("accepted", "rejected", "failed")
    refined = sum(entry[fate] for entry in done for fate in fates)
    return Spent(len(done), refined, sum(entry["accepted"] for entry in done))


def arm_config(config: RunConfig, arm: Arm, seed: int, budget: Spent | None) -> RunConfig:
    """Return the configuration of an arm.

    `middo` is the configuration as it is, `none` trains and evaluates alone; the others refine as
    often as `middo` did with this seed, and as many samples.

    Args:
        config: of the comparison.
        arm: which.
        seed: of the run.
        budget: what `middo` spent; needed for the arms in `BUDGETED`.

    Raises:
        ConfigError: such an arm, and no budget.
    """
    plain = config.model_dump(mode="json")
    signals = {**plain["signals"], "selection": BUDGETED.get(arm, "signals")}
    changes: dict[str, Any] = {"seed": seed, "signals": signals}
    if arm == "none":
        changes["rounds"] = 0
    elif arm in BUDGETED:
        if budget is None:
            raise ConfigError(f"--arms: {arm} gets the budget of middo; add middo to the arms")
        changes["rounds"] = budget.rounds
        changes["refinement"] = {**plain["refinement"], "max_samples": budget.per_round}
    return RunConfig.model_validate({**plain, **changes})
