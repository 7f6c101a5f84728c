"""One chat model behind its limits, shared by every coroutine that asks it.

This is the one layer that retries. A call that may fare better later is sent again; a rate limit is
waited out by all calls of the line. When a call has used up its tries, the question is whether the
provider is down or this one request is poison: an answer to another call since its last try but
one, or to a tiny probe question, says that only this one is lost. An earlier answer may have been
the last one before the provider fell ill. Otherwise the line opens like a fuse: calls
fail at once, so that a fallback can take over, and after a cool-down one call may try again.

A run that is to stop waits for nothing any more: what was sent is let finish, and a call that would
have to wait, for a slot, a rate limit or its next try, ends unsent.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from ..core.chat import AnswerFailed
from ..core.errors import MiddoError, ProviderError
from .failures import in_one_line, limits_rate, meaning, retry_after
from .pace import Clock, Pace, Pause

TRIES = 5
"""Calls per request before a failure that may pass counts as one that does not."""

PATIENCE = 600.0
"""Seconds that one request waits for rate limits, all its waits together."""

LONGEST_PAUSE = 60.0
"""Seconds between two tries at most, where no rate limit asks for more."""

COOL_DOWN = 60.0
"""Seconds for which an open line refuses every call."""

PROBE = "Reply with the one word: ok"

T = TypeVar("T")


def _pass() -> None:
    """Raise nothing: where no check is wanted."""


class Refused(Exception):
    """The provider does not take this request in this form; another form may do."""


class Lost(AnswerFailed):
    """A request that used up its tries while the provider answers others.

    `probe` is the reply to the probe question that this request caused, for its tokens.
    """

    def __init__(self, message: str, probe: AIMessage | None = None) -> None:
        """Keep the probe's reply beside the message."""
        super().__init__(message)
        self.probe = probe


class Line:
    """A chat model with slots, retries, time-outs and a circuit breaker.

    Attributes:
        model: the chat model.
        name: what messages call it, such as `openai:gpt-5-mini`.
        learned: what was found out about the model, for as long as the line lives.
        heed: raises where the run is to stop; to be asked before a question is begun.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str,
        slots: int = 8,
        timeout: float | None = None,
        may_call: Callable[[], None] = _pass,
        heed: Callable[[], None] = _pass,
        pause: Pause = asyncio.sleep,
        clock: Clock = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        """Bind a model to its limits; nothing is sent.

        `slots` calls are in flight at most; `timeout` is seconds per try. `may_call` raises a
        `MiddoError` where no call may be sent any more; it is asked before every try. `heed` raises
        `Interrupted` where the run is to stop; it is asked all through every wait. `pause`, `clock`
        and `rng` (a number in [0, 1), for jitter) are there for tests.
        """
        self.model = model
        self.name = name
        self.learned: dict[str, str] = {}
        self._timeout = timeout
        self.heed = heed
        self._may_call = may_call
        self._clock = clock
        self._rng = rng
        self._pace = Pace(slots, pause=pause, clock=clock, heed=heed)
        self._answers = 0
        self._fault: str | None = None
        self._opened = 0.0
        self._trying = False
        self._probing: asyncio.Task[AIMessage | None] | None = None
        self._probers = 0

    @property
    def limit(self) -> int:
        """Calls that may be in flight now, between 1 and the slots."""
        return self._pace.limit

    @property
    def busy(self) -> int:
        """Calls that are in flight now."""
        return self._pace.busy

    @property
    def fault(self) -> str | None:
        """Why the line is open, or None while it serves calls."""
        return self._fault

    async def send(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns, calling it as often as it takes.

        Raises:
            Refused: the provider does not take the request in this form.
            AnswerFailed: this one answer is lost; `Lost` where its tries were used up.
            ProviderError: the provider is down or refuses whatever is sent; the line is open.
            Interrupted: the run is to stop, and the call would have had to wait.
        """
        if self._fault is None:
            return await self._persist(call, self._check)
        if self._trying or self._clock() - self._opened < COOL_DOWN:
            raise ProviderError(self._fault)
        self._trying = True
        try:
            return await self._persist(call, None)
        finally:
            self._trying = False

    def open(self, fault: str) -> ProviderError:
        """Let calls fail at once with this message, waiting ones too; return the error to raise."""
        self._fault = fault
        self._opened = self._clock()
        self._pace.wake()
        return ProviderError(fault)

    def _check(self) -> None:
        if self._fault is not None:
            raise ProviderError(self._fault)

    async def _persist(
        self, call: Callable[[], Awaitable[T]], check: Callable[[], None] | None
    ) -> T:
        """Send until there is an outcome; without a `check` this is the trial of an open line."""
        tries = limited = 0
        waited = 0.0
        before: int | None = None  # answers on this line up to this call's last failure but one
        failed: int | None = None  # and up to its last
        while True:
            window = await self._pace.enter(check or _pass, urgent=failed is not None)
            failure: Exception
            try:
                answer = await self._once(call)
            except Exception as error:
                failure = error
            else:
                self._pace.answered(window)
                self._served()
                return answer
            finally:
                self._pace.leave()
            said = self._outcome(failure)
            if check is None:
                raise self.open(f"{self.name} is still down ({said}); {_ADVICE}") from failure
            check()
            before, failed = self._answers if failed is None else failed, self._answers
            asked = retry_after(failure)
            if limits_rate(failure):
                self._pace.limited(window)
                limited += 1
                wait = self._jittered(limited) if asked is None else max(asked, self._jittered(1))
                waited += wait
                if waited > PATIENCE:
                    tried = f"within {PATIENCE:.0f} s of waiting for its rate limit"
                    await self._give_up(f"no answer {tried} ({said})", before, failure)
                self._pace.hold(wait)
                continue
            tries += 1
            if tries == TRIES:
                await self._give_up(f"no answer in {TRIES} tries ({said})", before, failure)
            await self._pace.sleep(max(min(asked or 0.0, LONGEST_PAUSE), self._jittered(tries)))
            check()

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        self._may_call()
        try:
            async with asyncio.timeout(self._timeout) as limit:
                return await call()
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"no reply within {self._timeout:g} s") from error
            raise

    def _outcome(self, failure: Exception) -> str:
        """Return a failure that may pass in words; raise for one that won't."""
        if isinstance(failure, MiddoError):
            raise self.open(str(failure)) if isinstance(failure, ProviderError) else failure
        said = in_one_line(failure)
        match meaning(failure):
            case "answer":
                self._served()
                raise AnswerFailed(said) from failure
            case "refused":
                if self._trying:  # it answers again; that it takes this form was never said
                    self._fault = None
                raise Refused(said) from failure
            case "provider":
                advice = "check key, quota and model name, then `middo resume`"
                raise self.open(f"{self.name}: {said}; {advice}") from failure
        return said

    async def _give_up(self, why: str, before: int, failure: Exception) -> NoReturn:
        """Find out whether this request is poison or the provider is down, and raise so."""
        if self._answers > before:
            raise Lost(f"{why}, while others are answered") from failure
        self.heed()
        mine, reply = await self._probe(f"{self.name} is down: {why}; {_ADVICE}")
        if reply is not None:
            raise Lost(f"{why}, while a probe is answered", reply if mine else None) from failure
        try:
            self._check()
        except ProviderError as error:
            raise error from failure
        raise Lost(f"{why}, while others are answered") from failure  # since the probe failed

    async def _probe(self, fault: str) -> tuple[bool, AIMessage | None]:
        """Ask a tiny question, one at a time for all who want to know.

        Returns whether this call caused the question, and the reply, or None with the line open.
        """
        mine = self._probing is None
        if self._probing is None:
            self._probing = asyncio.ensure_future(self._ask_tiny(fault))
        task = self._probing
        self._probers += 1
        try:
            return mine, await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._probers == 1:
                task.cancel()
            raise
        finally:
            self._probers -= 1

    async def _ask_tiny(self, fault: str) -> AIMessage | None:
        try:
            reply = await self._once(lambda: self.model.ainvoke([HumanMessage(PROBE)]))
        except Exception as error:  # what it was does not matter: what led here is reported
            if isinstance(error, MiddoError) and not isinstance(error, ProviderError):
                raise
            self.open(fault)
            return None
        finally:
            self._probing = None
        self._served()
        return reply

    def _served(self) -> None:
        self._answers += 1
        self._fault = None

    def _jittered(self, nth: int) -> float:
        """Return the n-th pause: 1, 2, 4 ... seconds, each by 0.5 to 1.5, so that none align."""
        return float(min(2.0 ** min(nth - 1, 10) * (0.5 + self._rng()), LONGEST_PAUSE))


_ADVICE = "check the network and the provider's status, then `middo resume`"
