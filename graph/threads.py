"""The event loop's threads: as many as calls can be under way.

LangChain runs a chat model that has no asynchronous way of its own in the loop's default executor,
and so does `asyncio.to_thread`. Its usual size, four more than the cores, would make
`refinement.concurrency: 64` an empty promise for such a model.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

SPARE = 4
"""Threads beside one per sample under way: the ledger's commit, a proof pass, a node."""


def use_threads(concurrency: int) -> None:
    """Size the running loop's default executor; threads start as they are needed."""
    executor = ThreadPoolExecutor(concurrency + SPARE, thread_name_prefix="middo")
    asyncio.get_running_loop().set_default_executor(executor)
