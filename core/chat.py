"""What an agent sees of an LLM: a prompt goes in, a checked answer comes out.

Agents hold a `Chat`; who pays, caches, limits and records the call is not their business.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel

from .errors import MiddoError

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: `messages` are (role, text) pairs; `hash` is that of its template."""

    name: str
    version: int
    hash: str
    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls; None where the provider did not say."""

    prompt: int | None
    completion: int | None


class AnswerFailed(MiddoError):
    """The model gave no answer that fits the schema, a repair turn included."""


class Chat(Protocol):
    """Ask the model behind a role."""

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        """Return the model's answer as the schema's type.

        Raises:
            AnswerFailed: no answer fitted; the sample's work unit fails, the original stays.
            ProviderError: the provider is down or refuses; the run stops, resumable.
            BudgetReached: a cap was met before the call.
        """
        ...
