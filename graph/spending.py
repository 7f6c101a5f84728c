"""The caps of `budget`, held before each call to a model: tokens, money, time.

A call that is under way counts with what it is expected to take, so that many calls at once can't
pass a cap together. Where a provider doesn't say what a call used, its length counts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..core.chat import Prompt, Usage
from ..core.config import BudgetConfig, TeacherConfig
from ..core.errors import BudgetReached
from ..providers.prices import Prices
from ..stores.ledger import Ledger

CHARACTERS_PER_TOKEN = 4
"""About what tokenizers make of English; only for calls whose usage is not known (yet)."""
FIRST_COMPLETION = 256
"""Tokens that an answer is expected to take before there was one."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a finished call counts: `usd` None where it is unknown, the rest against the caps."""

    usd: float | None
    held_tokens: int
    held_usd: float


class Spending:
    """What a run may still spend. Used from one event loop."""

    def __init__(
        self,
        budget: BudgetConfig,
        ledger: Ledger,
        prices: Prices,
        *,
        seconds_used: Callable[[], float],
    ) -> None:
        """Hold the caps of `budget` against what `ledger` has."""
        self._budget = budget
        self._ledger = ledger
        self._prices = prices
        self._seconds_used = seconds_used
        self._longest = FIRST_COMPLETION
        self._under_way: list[Charge] = []
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def call(self, teacher: TeacherConfig, prompt: Prompt) -> AsyncIterator[None]:
        """Hold what a call is expected to take while it is under way.

        Waits while only calls that are under way stand between this one and a cap.

        Raises:
            BudgetReached: it could pass a cap; the message names the cap and how to raise it.
        """
        expected = self.expected(teacher, prompt)
        while (problem := self._problem(expected)) is not None:
            if not self._under_way or self._problem(expected, others=False) is not None:
                raise BudgetReached(problem)
            self._freed.clear()
            await self._freed.wait()
        self._under_way.append(expected)
        try:
            yield
        finally:
            self._under_way.remove(expected)
            self._freed.set()

    def expected(self, teacher: TeacherConfig, prompt: Prompt) -> Charge:
        """Return what a call is expected to take: the prompt by length, the longest answer yet."""
        return self._by_length([text for _, text in prompt.messages], self._longest, teacher)

    def charge(
        self, teacher: TeacherConfig, prompt: Prompt, usage: Usage, raw: Sequence[str]
    ) -> Charge:
        """Return what a finished call counts."""
        if usage.prompt is None or usage.completion is None:
            written = _tokens(raw)
            held = self._by_length([text for _, text in prompt.messages], written, teacher)
            price = self._prices.of(teacher)
            known_free = price is not None and price.input == price.output == 0
            return Charge(0.0 if known_free else None, held.held_tokens, held.held_usd)
        self._longest = max(self._longest, usage.completion)
        tokens = usage.prompt + usage.completion
        price = self._prices.of(teacher)
        if price is None:
            return Charge(None, tokens, 0.0)
        usd = price.usd(usage.prompt, usage.completion)
        return Charge(usd, tokens, usd)

    def check_time(self) -> None:
        """Raise where the run has used its time.

        Raises:
            BudgetReached: the message names the cap and how to raise it.
        """
        problem = self._time_problem()
        if problem is not None:
            raise BudgetReached(problem)

    def _by_length(self, read: Sequence[str], written: int, teacher: TeacherConfig) -> Charge:
        tokens = _tokens(read)
        price = self._prices.of(teacher)
        usd = 0.0 if price is None else price.usd(tokens, written)
        return Charge(usd, tokens + written, usd)

    def _problem(self, expected: Charge, *, others: bool = True) -> str | None:
        budget, spent = self._budget, self._ledger.spent()
        waiting = self._under_way if others else []
        if budget.max_tokens is not None:
            held = spent.held_tokens + sum(one.held_tokens for one in waiting)
            if held + expected.held_tokens > budget.max_tokens:
                return _reached(
                    "max_tokens",
                    f"{budget.max_tokens}",
                    f"{spent.held_tokens} used, the next call takes about {expected.held_tokens}",
                )
        if budget.max_usd is not None:
            cost = spent.held_usd + sum(one.held_usd for one in waiting)
            if cost + expected.held_usd > budget.max_usd:
                return _reached(
                    "max_usd",
                    f"{budget.max_usd:g}",
                    f"{spent.held_usd:.4f} USD used, the next call takes about"
                    f" {expected.held_usd:.4f}",
                )
        return self._time_problem()

    def _time_problem(self) -> str | None:
        hours = self._seconds_used() / 3600
        limit = self._budget.max_hours
        if limit is None or hours < limit:
            return None
        return _reached("max_hours", f"{limit:g}", f"{hours:.2f} used")


def _reached(key: str, limit: str, used: str) -> str:
    return (
        f"budget.{key}={limit} is reached ({used}); go on with"
        f" `middo resume RUN --set budget.{key}=…`"
    )


def _tokens(texts: Sequence[str]) -> int:
    return -(-sum(len(text) for text in texts) // CHARACTERS_PER_TOKEN)
