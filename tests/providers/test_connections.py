"""Connections to a server belong to one model and one event loop, and end with them."""

import asyncio
import gc

import pytest

from middo.core.config import RoleConfig
from middo.providers.line import Line
from middo.providers.resolve import chat_model, hang_up
from middo.providers.structured import ask
from tests.providers.bad_server import Say, serving
from tests.providers.test_bad_servers import KNOWN, PROMPT, RED, Colour


@pytest.mark.parametrize("params", [{}, {"timeout": 20}, {"request_timeout": 20.5}])
def test_a_second_event_loop_of_the_process_is_answered_like_the_first(
    params: dict[str, float],
) -> None:
    with serving(lambda number, body: Say(RED)) as server:
        role = RoleConfig(model="openai:bad-1", params={"base_url": server.url, **params})

        async def work() -> int:
            model = chat_model(role, seed=1, concurrency=2)
            try:
                line = Line(model, name=role.model)
                asked = (ask(line, PROMPT, Colour, memory=dict(KNOWN)) for _ in range(3))
                return sum(reply.value.shade for reply in await asyncio.gather(*asked))
            finally:
                await hang_up(model)

        assert [asyncio.run(work()) for _ in range(3)] == [21, 21, 21]
        assert len(server.requests) == 9  # none was sent twice
    gc.collect()  # a connection left open would warn here
