"""Ask a model three short questions: does it answer, in which form, and how fast?"""

import time
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from ..core.chat import Answer, AnswerFailed, Prompt
from ..core.errors import ProviderError
from .line import Line
from .structured import Reply, ask


class _River(BaseModel):
    name: str = Field(max_length=60)
    country: str = Field(max_length=60)


class _Description(BaseModel):
    sentences: list[str] = Field(min_length=1, max_length=12)


_SHORT = "Name one river and a country that it flows through."
_LONG = "Describe a river, from its spring to the sea, in five sentences."


@dataclass(frozen=True, slots=True)
class Probe:
    """How a model answered.

    Attributes:
        rung: the form of structured output that it serves.
        repaired: True where one of its answers fitted the schema only after a repair turn.
        latency: seconds for a short answer, once the form was known.
        tokens_per_second: generated tokens over the seconds of a longer answer, the wait for its
            first token among them; None where no usage was reported.
        prompt_tokens: of all three calls; None where no usage was reported.
        completion_tokens: the same for what was generated.
        model: the name under which the provider says that it answered.
    """

    rung: str
    repaired: bool
    latency: float
    tokens_per_second: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str | None

    @property
    def reports_usage(self) -> bool:
        """True where every call came with its tokens."""
        return self.prompt_tokens is not None and self.completion_tokens is not None


async def probe(model: BaseChatModel, spec: str) -> Probe:
    """Return how a model answers; the first call finds the form, the others are timed.

    Raises:
        ProviderError: the provider is down, refuses, or gives no answer that fits.
    """
    line = Line(model, name=spec)
    first = await _asked(line, "probe-form", _SHORT, _River)
    began = time.monotonic()
    second = await _asked(line, "probe-latency", _SHORT, _River)
    latency = time.monotonic() - began
    began = time.monotonic()
    third = await _asked(line, "probe-speed", _LONG, _Description)
    seconds = time.monotonic() - began
    generated = third.usage.completion
    usages = (first.usage, second.usage, third.usage)
    return Probe(
        rung=third.method,
        repaired=first.repaired or second.repaired or third.repaired,
        latency=latency,
        tokens_per_second=None if generated is None else generated / max(seconds, 1e-9),
        prompt_tokens=_sum([usage.prompt for usage in usages]),
        completion_tokens=_sum([usage.completion for usage in usages]),
        model=third.model,
    )


async def _asked(
    line: Line,
    name: str,
    text: str,
    schema: type[Answer],
) -> Reply[Answer]:
    """Ask one question: the one place where the probe calls a model."""
    messages = (("system", "Answer in the form asked for."), ("user", text))
    prompt = Prompt(name=name, version=1, hash=name, messages=messages)
    try:
        return await ask(line, prompt, schema)
    except AnswerFailed as error:
        raise ProviderError(
            f"{line.name!r} answers, but in no form that can be used ({error}); "
            "give it more tokens in --param max_tokens=…, or take another model"
        ) from error


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
