"""What all sections of the configuration have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values can't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
