"""Blocking generation in a thread that stops when nobody waits for its answer any more.

A thread can't be cancelled from outside: after a time-out it would go on to the token limit, keep
the engine busy and hold up the end of the process. So the work watches an event.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def in_pool(pool: Executor, work: Callable[[threading.Event], Result]) -> Result:
    """Return what `work` returns; when the caller is cancelled, the event given to it is set.

    A pool of the engine's own: the loop's default one may be full of waiting work of other kinds.
    """
    cancelled = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work, cancelled)
    except asyncio.CancelledError:
        cancelled.set()
        raise
