"""Which checkpoint a session goes on from, where the clock was set back since the last one."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import id as ids

from middo.graph.build import NODES, assembled
from middo.graph.checkpoints import Checkpoints
from middo.graph.state import LoopState

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
