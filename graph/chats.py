"""The `Chat` that agents get: ledger first, then the budget, then whoever answers for the role.

An answer is in the ledger before an agent sees it. The same question, asked again by a resumed run,
is answered from there, and so is a failure: what did not fit the schema once is not paid for again.
"""

from contextlib import nullcontext
from functools import cache

from pydantic import BaseModel

from ..core.chat import Answer, AnswerFailed, Prompt
from ..core.config import RunConfig
from ..core.errors import ProviderError
from ..core.ids import content_hash
from ..core.redaction import without_keys
from ..core.trace import Trace, untraced
from ..providers.structured import NoAnswer, Reply, json_schema
from ..stores.calls import call_of
from ..stores.ledger import Ledger, Unit
from .sources import Case, Live, Source, joined
from .spending import Spending
from .teachers import Teachers


class Chats:
    """The chats of a run: what its roles may ask, and what that may cost."""

    def __init__(
        self,
        config: RunConfig,
        ledger: Ledger,
        spending: Spending,
        teachers: Teachers,
        trace: Trace = untraced,
    ) -> None:
        """Bind the run's configuration to its ledger, caps and models; `trace` hears every call."""
        # Looked up at every call: what doesn't change is computed once.
        self._chains = {name: role.chain for name, role in config.agents.roles.items()}
        self._identities: dict[tuple[str, int], str] = {}
        self._sources: dict[tuple[str, int, int], Source] = {}
        self._teachers = teachers
        self.ledger = ledger
        self.spending = spending
        self.trace = trace

    def chat(self, case: Case) -> "LedgerChat":
        """Return the chat of one role for one piece of work."""
        return LedgerChat(self, case)

    def identity(self, role: str, round: int) -> str:
        """Return the hash of what decides a role's answers: its models, in their order."""
        if (role, round) not in self._identities:
            chain = self._chains[role]
            self._identities[role, round] = content_hash(
                [self._teachers.identity(teacher, round) for teacher in chain]
            )
        return self._identities[role, round]

    def places(self, role: str) -> range:
        """Return the places of a role's models: 0 is the first to be asked."""
        return range(len(self._chains[role]))

    async def source(self, role: str, round: int, place: int) -> Source:
        """Return who answers at a place of a role's chain, opened the first time.

        Raises:
            ProviderError, ConfigError, ModelError: it can't be opened.
        """
        key = (role, round, place)
        if key not in self._sources:
            self._sources[key] = await self._teachers.source(self._chains[role][place], round)
        return self._sources[key]

    async def hang_up(self) -> None:
        """Close the connections to servers, in the loop that used them; nobody is asked after."""
        await self._teachers.hang_up()

    def close(self) -> None:
        """Release the models that hold memory."""
        self._teachers.close()


class LedgerChat:
    """One role's chat for one piece of work; implements `core.chat.Chat`."""

    def __init__(self, chats: Chats, case: Case) -> None:
        """Bind the run's models to a case."""
        self._chats = chats
        self._case = case

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        """Return the answer, from the ledger where it is there."""
        chats, case = self._chats, self._case
        identity = chats.identity(case.role, case.round)
        key = content_hash([case.role, identity, prompt.messages, schema_hash(schema), attempt])
        unit = chats.ledger.unit(key)
        if unit is None:
            unit = await self._ask(key, prompt, schema, attempt)
        # Also where the ledger answered: a kill may have come between its record and the trace.
        chats.trace(call_of(unit))
        if unit.value is None:
            raise AnswerFailed(unit.error or "no answer")
        return schema.model_validate(unit.value)

    async def _ask(self, key: str, prompt: Prompt, schema: type[Answer], attempt: int) -> Unit:
        """Ask the role's models in their order; the first that has an answer gives it.

        Raises:
            ProviderError: none of them has one; it is the error of the first.
        """
        chats, case = self._chats, self._case
        problems: list[ProviderError] = []
        for place in chats.places(case.role):
            try:
                source = await chats.source(case.role, case.round, place)
                return await self._from(source, key, prompt, schema, attempt)
            except ProviderError as error:
                problems.append(error)
        raise problems[0]

    async def _from(
        self, source: Source, key: str, prompt: Prompt, schema: type[Answer], attempt: int
    ) -> Unit:
        case, spending = self._case, self._chats.spending
        live = isinstance(source, Live)
        reply: Reply[Answer] | NoAnswer
        # Until the ledger holds the call, it counts as under way.
        async with spending.call(source.teacher, prompt) if live else nullcontext():
            try:
                reply = await source.answer(case, prompt, schema, attempt)
            except NoAnswer as failure:
                reply = failure
            charge = spending.charge(source.teacher, prompt, reply.usage, reply.raw)
            answered = not isinstance(reply, NoAnswer)
            unit = Unit(
                key=key,
                role=case.role,
                round=case.round,
                sample_id=case.sample_id,
                axis=case.axis,
                axes=joined(case.axes),
                attempt=attempt,
                source="live" if live else "replayed",
                model=reply.model or source.teacher.model,
                prompt=prompt.name,
                prompt_version=prompt.version,
                prompt_hash=prompt.hash,
                messages=without_keys([list(message) for message in prompt.messages]),
                status="answered" if answered else "failed",
                value=None
                if isinstance(reply, NoAnswer)
                else without_keys(reply.value.model_dump(mode="json")),
                raw=without_keys(reply.raw),
                error=None if answered else without_keys(str(reply)),
                prompt_tokens=reply.usage.prompt,
                completion_tokens=reply.usage.completion,
                usd=charge.usd,
                held_tokens=charge.held_tokens,
                held_usd=charge.held_usd,
                seconds=round(reply.seconds, 3),
            )
            # Copies of one sample can ask at once; both take the answer that was first, as a
            # resumed run would.
            return await self._chats.ledger.add_unit(unit)


@cache
def schema_hash(schema: type[BaseModel]) -> str:
    """Return the hash of a model's JSON schema; computing it takes longer than a local call."""
    return content_hash(json_schema(schema))
