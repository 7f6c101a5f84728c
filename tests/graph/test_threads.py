"""A model without a way of its own to wait is called as many times at once as was configured."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from middo.graph.run import opened_graph
from middo.graph.threads import use_threads
from tests.graph.folder import opened

AT_ONCE = 40


class Synchronous(BaseChatModel):
    """Answers once `AT_ONCE` calls are waiting for it; fewer break the barrier."""

    _all: threading.Barrier = PrivateAttr(default_factory=lambda: threading.Barrier(AT_ONCE))

    @property
    def _llm_type(self) -> str:
        return "synchronous"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self._all.wait(timeout=20)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("here"))])


async def test_calls_of_a_synchronous_model_overlap_and_leave_threads_to_spare() -> None:
    use_threads(AT_ONCE)
    model = Synchronous()
    calls = [asyncio.create_task(model.ainvoke("Are you there?")) for _ in range(AT_ONCE - 1)]
    await asyncio.sleep(0.05)
    assert await asyncio.to_thread(lambda: "a commit") == "a commit"
    calls.append(asyncio.create_task(model.ainvoke("Are you there?")))
    assert [reply.text for reply in await asyncio.gather(*calls)] == ["here"] * AT_ONCE


async def test_the_loops_threads_follow_the_configuration(tmp_path: Path) -> None:
    barrier = threading.Barrier(AT_ONCE)
    with opened(tmp_path, refinement={"concurrency": AT_ONCE}) as deps:
        async with opened_graph(deps):
            await asyncio.gather(*(asyncio.to_thread(barrier.wait, 20) for _ in range(AT_ONCE)))
