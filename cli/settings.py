"""`middo config`: print the defaults, what a run would use, and the schema."""

import json
from collections.abc import Sequence
from pathlib import Path

from ..core.config import RunConfig
from ..core.errors import UsageError
from ..formats.config_reference import annotated_default, config_schema
from ..formats.configuration import dump_config, load_config
from .output import Reply


def init(to: Path | None) -> Reply:
    """Print the annotated defaults, or write them to a new file.

    Raises:
        UsageError: the file exists already or can't be written.
    """
    defaults = RunConfig.model_validate({}).model_dump(mode="json")
    if to is None:
        return Reply(defaults, annotated_default().rstrip("\n"))
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(annotated_default())
    except FileExistsError:
        raise UsageError(f"{to}: exists already; name a new file") from None
    except OSError as error:
        raise UsageError(f"{to}: can't be written ({error.strerror})") from error
    return Reply({"path": str(to)}, f"{to} written; start it with `middo run {to}`")


def show(path: Path | None, sets: Sequence[str]) -> Reply:
    """Print the configuration of a run with this file and these settings."""
    config = load_config(path, sets=sets)
    return Reply(config.model_dump(mode="json"), dump_config(config).rstrip("\n"))


def schema() -> Reply:
    """Print the JSON schema."""
    return Reply(config_schema(), json.dumps(config_schema(), indent=2))
