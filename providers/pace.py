"""How many calls of one model may be in flight, and from when on.

The limit follows what the provider says: a rate limit halves it and holds every call for as long as
was asked; each full window of answers raises it by one again, up to the configured slots. A burst
of refusals that were all sent under one limit halves it once. Waiting is done with plain futures,
so that nothing stays bound to an event loop that has ended; one loop at a time may use a pace.
Who waits has nothing in flight, so every wait ends soon after the wish that the run may stop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

HEEDING = 0.2
"""Seconds between two looks, in a wait, at whether the run is to stop."""

Pause = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]


class Pace:
    """Slots for calls, fewer after a rate limit, and a time before which none is sent."""

    def __init__(self, slots: int, *, pause: Pause, clock: Clock, heed: Callable[[], None]) -> None:
        """Start with all `slots` (1 or more) free.

        `pause` sleeps, `clock` reads seconds; `heed` raises to end a wait, and is asked all along.
        """
        if slots < 1:
            raise ValueError(f"slots={slots}: a model needs at least one")
        self._slots = slots
        self._pause = pause
        self._clock = clock
        self._heed = heed
        self._limit = slots
        self._busy = 0
        self._window = 0  # counts the halvings; a call knows under which it was sent
        self._answers = 0
        self._until = float("-inf")
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._bells: set[asyncio.Future[None]] = set()

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return self._limit

    @property
    def busy(self) -> int:
        """Calls that are in flight now."""
        return self._busy

    async def enter(self, check: Callable[[], None], *, urgent: bool = False) -> int:
        """Take a slot once no hold is on, and return the window to report the outcome under.

        Each `enter` that returns needs one `leave`. `check` raises to end the waiting; it is asked
        before the slot is used and after each wake-up. `urgent` goes to the head of the queue, for
        calls that have waited before.
        """
        while True:
            check()
            if not await self._slot(urgent):
                continue
            try:
                await self._held(check)
            except BaseException:
                self.leave()
                raise
            if self._busy <= self._limit:
                return self._window
            self.leave()  # the limit fell while this call was held
            urgent = True

    def leave(self) -> None:
        """Give a slot back."""
        self._busy -= 1
        self._grant()

    def answered(self, window: int) -> None:
        """Count an answer; a full window of them raises the limit by one."""
        if window != self._window or self._limit == self._slots:
            return
        self._answers += 1
        if self._answers >= self._limit:
            self._limit += 1
            self._answers = 0
            self._grant()

    def limited(self, window: int) -> None:
        """Halve the limit, once for all calls that were sent under it."""
        if window != self._window:
            return
        self._window += 1
        self._answers = 0
        self._limit = max(1, self._limit // 2)

    def hold(self, seconds: float) -> None:
        """Send nothing before this many seconds have passed."""
        self._until = max(self._until, self._clock() + seconds)

    async def sleep(self, seconds: float) -> None:
        """Pause, at most until `wake`."""
        timer = asyncio.ensure_future(self._pause(seconds))
        bell: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bells.add(bell)
        try:
            await self._first({timer, bell})
            if timer.done():
                timer.result()
        finally:
            self._bells.discard(bell)
            timer.cancel()

    def wake(self) -> None:
        """End every pause and every wait for a slot now; each waiting call runs its check."""
        for bell in self._bells:
            if not bell.done():
                bell.set_result(None)
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(False)

    async def _slot(self, urgent: bool) -> bool:
        """Return True with a slot taken, False when woken without one."""
        if self._busy < self._limit and not self._queue:
            self._busy += 1
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if urgent:
            self._queue.appendleft(waiter)
        else:
            self._queue.append(waiter)
        try:
            await self._first({waiter})
            return waiter.result()
        except BaseException:
            if waiter in self._queue:
                self._queue.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.result():
                self.leave()  # the slot was handed over in the moment of the cancellation
            raise

    async def _first(self, futures: set[asyncio.Future[Any]]) -> None:
        """Wait until one of the futures is done; raise what `heed` raises meanwhile."""
        done: set[asyncio.Future[Any]] = set()
        while not done:
            self._heed()
            done, _ = await asyncio.wait(
                futures, timeout=HEEDING, return_when=asyncio.FIRST_COMPLETED
            )

    def _grant(self) -> None:
        """Hand free slots to those who wait, so that no newcomer takes them first."""
        while self._queue and self._busy < self._limit:
            waiter = self._queue.popleft()
            if not waiter.done():
                self._busy += 1
                waiter.set_result(True)

    async def _held(self, check: Callable[[], None]) -> None:
        seen: float | None = None
        while self._until != seen and (left := self._until - self._clock()) > 0:
            seen = self._until  # a hold is waited for once, whatever the clock says afterwards
            await self.sleep(left)
            check()
