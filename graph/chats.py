"""The `Chat` that agents get: ledger first, then budget, then the model.

An answer is in the ledger before an agent sees it. The same question, asked again by a resumed run,
is answered from there, and so is a failure: what did not fit the schema once is not paid for again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from langchain_core.language_models import BaseChatModel

from ..core.chat import Answer, AnswerFailed, Prompt
from ..core.config import RoleConfig, RunConfig
from ..core.errors import BudgetReached
from ..core.ids import canonical_json, content_hash
from ..core.records import Axis
from ..providers.resolve import chat_model, model_identity
from ..providers.structured import NoAnswer, Reply, ask, json_schema
from ..stores.ledger import Ledger, Unit


@dataclass(frozen=True, slots=True)
class Case:
    """The work that a call is part of, for the record."""

    role: str
    round: int
    sample_id: str
    axis: Axis


class Chats:
    """The chat models of a run, loaded on first use, one per role."""

    def __init__(
        self, config: RunConfig, ledger: Ledger, *, seconds_used: Callable[[], float]
    ) -> None:
        """Remember what to load; nothing is opened here."""
        self._config = config
        self.ledger = ledger
        self._seconds_used = seconds_used
        self._models: dict[str, BaseChatModel] = {}
        self._methods: dict[str, dict[str, str]] = {}
        self._identities: dict[str, dict[str, Any]] = {}
        self._loading = Lock()
        self._specs = {
            name: canonical_json(self.role(name).model_dump(mode="json"))
            for name in ("rewriter", "critic")
        }

    def chat(self, case: Case) -> "LedgerChat":
        """Return the chat of one role for one sample."""
        return LedgerChat(self, case)

    def role(self, name: str) -> RoleConfig:
        """Return a role's configuration."""
        agents = self._config.agents
        return agents.rewriter if name == "rewriter" else agents.judge

    def identity(self, name: str) -> dict[str, Any]:
        """Return what decides a role's answers, for keys; weights are looked at once."""
        if name not in self._identities:
            self._identities[name] = model_identity(self.role(name), seed=self._config.seed)
        return self._identities[name]

    def method_memory(self, name: str) -> dict[str, str]:
        """Return what was learned about a role's way to structured output."""
        return self._methods.setdefault(self._specs[name], {})

    def loaded(self, name: str) -> BaseChatModel | None:
        """Return a role's chat model if it is there already."""
        return self._models.get(self._specs[name])

    def model(self, name: str) -> BaseChatModel:
        """Return a role's chat model, loading it the first time."""
        spec = self._specs[name]
        with self._loading:
            if spec not in self._models:
                self._models[spec] = chat_model(
                    self.role(name),
                    seed=self._config.seed,
                    concurrency=self._config.refinement.concurrency,
                )
            return self._models[spec]

    def check_budget(self) -> None:
        """Raise before a call that would go past a cap.

        Raises:
            BudgetReached: the message names the cap and how to raise it.
        """
        budget = self._config.budget
        if budget.max_tokens is not None:
            tokens = self.ledger.spent().tokens
            if tokens >= budget.max_tokens:
                raise BudgetReached(
                    f"budget.max_tokens={budget.max_tokens} is reached ({tokens} used); go on with"
                    " `middo resume RUN --set budget.max_tokens=…`"
                )
        if budget.max_hours is not None:
            hours = self._seconds_used() / 3600
            if hours >= budget.max_hours:
                raise BudgetReached(
                    f"budget.max_hours={budget.max_hours} is reached ({hours:.2f} used); go on"
                    " with `middo resume RUN --set budget.max_hours=…`"
                )

    def close(self) -> None:
        """Release the models that hold memory."""
        for model in self._models.values():
            close = getattr(model, "close", None)
            if callable(close):
                close()
        self._models.clear()


class LedgerChat:
    """One role's chat for one sample; implements `core.chat.Chat`."""

    def __init__(self, chats: Chats, case: Case) -> None:
        """Bind the run's models to a case."""
        self._chats = chats
        self._case = case

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        """Return the answer, from the ledger where it is there."""
        chats, role = self._chats, self._case.role
        plain = json_schema(schema)
        key = content_hash([role, chats.identity(role), prompt.messages, plain, attempt])
        unit = chats.ledger.unit(key)
        if unit is None:
            chats.check_budget()
            # Copies of one sample can ask at once; both take the answer that was first, as a
            # resumed run would.
            unit = await chats.ledger.add_unit(await self._ask(key, prompt, schema, attempt))
        if unit.value is None:
            raise AnswerFailed(unit.error or "no answer")
        return schema.model_validate(unit.value)

    async def _ask(self, key: str, prompt: Prompt, schema: type[Answer], attempt: int) -> Unit:
        chats, case = self._chats, self._case
        model = chats.loaded(case.role)
        if model is None:
            model = await asyncio.to_thread(chats.model, case.role)
        reply: Reply[Answer] | NoAnswer
        try:
            reply = await ask(model, prompt, schema, method_memory=chats.method_memory(case.role))
        except NoAnswer as failure:
            reply = failure
        failed = isinstance(reply, NoAnswer)
        return Unit(
            key=key,
            role=case.role,
            round=case.round,
            sample_id=case.sample_id,
            axis=str(case.axis),
            attempt=attempt,
            model=reply.model or chats.role(case.role).model,
            prompt=prompt.name,
            prompt_hash=prompt.hash,
            messages=[list(message) for message in prompt.messages],
            status="failed" if failed else "answered",
            value=None if isinstance(reply, NoAnswer) else reply.value.model_dump(mode="json"),
            raw=reply.raw,
            error=str(reply) if failed else None,
            prompt_tokens=reply.usage.prompt,
            completion_tokens=reply.usage.completion,
            seconds=round(reply.seconds, 3),
        )
