"""Which checkpoint a session goes on from, where the clock was set back since the last one."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aiosqlite
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import id as ids

from middo.core.errors import MiddoError
from middo.graph.build import NODES, assembled
from middo.graph.checkpoints import Checkpoints
from middo.graph.state import LoopState
from middo.stores.database import usable

HOURS = 3600 * 10**9
THREAD: RunnableConfig = {"configurable": {"thread_id": "run"}}
START: LoopState = {"round": 0, "source_round": 0, "stop": ""}


class Killed(Exception):
    """Ends a session in the middle of a node."""


def session(seen: list[str], dies_in: str) -> Callable[[str], Callable[[LoopState], LoopState]]:
    """Return nodes that note their names and go straight on to the end."""

    def node(name: str) -> Callable[[LoopState], LoopState]:
        def work(state: LoopState) -> LoopState:
            seen.append(name)
            if name == dies_in:
                raise Killed
            return {**state, "stop": "rounds" if name == "merge" else state["stop"]}

        return work

    return node


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_session_goes_on_from_what_was_written_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    true = time.time_ns
    seen: list[str] = []
    for turn, dies_in in enumerate(("evaluate", "refine", "train", "")):
        monkeypatch.setattr(ids, "_last_v6_timestamp", None)  # as in a process of its own
        monkeypatch.setattr(time, "time_ns", lambda ahead=turn * hours * HOURS: true() + ahead)
        async with Checkpoints.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
            graph = assembled(session(seen, dies_in)).compile(checkpointer=saver)
            try:
                await graph.ainvoke(START if turn == 0 else None, THREAD, durability="sync")
            except Killed:
                assert (await graph.aget_state(THREAD)).next == (dies_in,)
            else:
                assert (await graph.aget_state(THREAD)).next == ()
                break
        seen.append("killed")
    first = NODES[: NODES.index("evaluate") + 1]
    assert seen[:4] == [*first, "killed"]
    assert seen[4:] == [
        *("evaluate", "gate", "diagnose", "refine", "killed"),
        *("refine", "review", "merge", "train", "killed"),
        *("train", "evaluate", "gate", "finalize"),
    ]


async def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    async with Checkpoints.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        assert await saver.aget_tuple(THREAD) is None


@pytest.mark.parametrize("for_ever", [False, True])
async def test_checkpoints_that_another_program_holds_are_waited_for_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_ever: bool
) -> None:
    path = tmp_path / "checkpoints.db"
    seen: list[str] = []
    async with Checkpoints.from_conn_string(str(path)) as saver:
        graph = assembled(session(seen, "refine")).compile(checkpointer=saver)
        with pytest.raises(Killed):
            await graph.ainvoke(START, THREAD, durability="sync")
    if for_ever:
        monkeypatch.setattr(aiosqlite, "connect", partial(aiosqlite.connect, timeout=0.2))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    if not for_ever:
        asyncio.get_running_loop().call_later(1, holder.execute, "ROLLBACK")

    async def go_on() -> None:
        with usable(path):
            async with Checkpoints.from_conn_string(str(path)) as saver:
                graph = assembled(session(seen, "train")).compile(checkpointer=saver)
                await graph.ainvoke(None, THREAD, durability="sync")

    began, known = time.monotonic(), len(seen)
    if for_ever:
        with pytest.raises(MiddoError, match=r"checkpoints\.db: another program holds it") as told:
            await go_on()
        assert "\n" not in str(told.value)
        holder.execute("ROLLBACK")
    else:
        with pytest.raises(Killed):
            await go_on()
        assert time.monotonic() - began > 0.9
        assert seen[known:] == ["refine", "review", "merge", "train"]
    holder.close()
