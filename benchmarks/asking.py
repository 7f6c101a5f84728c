"""A critic outside of a run: any model by its name, without ledger or budget."""

from collections.abc import Iterator
from contextlib import contextmanager

from middo.agents.critic import Critic
from middo.core.chat import Answer, Prompt
from middo.core.config import RunConfig
from middo.formats.configuration import load_config
from middo.providers.line import Line
from middo.providers.resolve import chat_model
from middo.providers.structured import ask


class Asked:
    """A `Chat` without ledger or budget."""

    def __init__(self, line: Line) -> None:
        """Ask through a line."""
        self._line = line

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        """Return the model's answer."""
        return (await ask(self._line, prompt, schema)).value


@contextmanager
def opened_critic(spec: str) -> Iterator[Critic]:
    """Open the model `provider:model` as a critic, one call at a time, and close it after."""
    flags = {"agents.critic.model": spec}
    named = load_config(None, flags=flags, environ={}).agents.roles["critic"].chain[0]
    params = {"max_tokens": 256} if spec.startswith("llamacpp:") else {}
    teacher = named.model_copy(update={"params": params})
    model = chat_model(teacher, seed=RunConfig().seed, concurrency=1)
    try:
        yield Critic(Asked(Line(model, name=spec)))
    finally:
        close = getattr(model, "close", None)
        if callable(close):
            close()
