"""`langgraph.json` opens the loop in LangGraph Studio, loaded as its command line loads it."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.types import Command
from langgraph_cli.config import validate_config_file

from middo.graph.build import build_graph
from tests.graph.folder import opened

FILE = Path(__file__).parents[2] / "langgraph.json"


def loaded() -> Pregel[Any, Any, Any, Any]:
    """Return the graph as the server does: import the module, take the attribute, call it."""
    source = validate_config_file(FILE)["graphs"]["middo"]
    assert isinstance(source, str) and "/" not in source  # a path would break relative imports
    module, _, attribute = source.rpartition(":")
    factory = importlib.import_module(module).__dict__[attribute]
    graph = factory()
    assert isinstance(graph, Pregel)
    return graph


def drawn(graph: Any) -> tuple[set[str], set[tuple[str, str, bool]]]:
    picture = graph.get_graph()
    return set(picture.nodes), {(e.source, e.target, e.conditional) for e in picture.edges}


def test_the_file_is_valid_for_the_command_line() -> None:
    config = validate_config_file(FILE)
    assert config["dependencies"] == ["."]
    assert list(json.loads(FILE.read_text("utf-8"))["graphs"]) == ["middo"]


def test_studio_shows_the_loop_that_runs(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as deps:
        nodes, edges = drawn(build_graph(deps))
    assert drawn(loaded()) == (nodes, edges)
    assert {("refine", "review", False), ("review", "merge", False)} <= edges
    assert {"prepare", "gate", "finalize"} <= nodes


async def test_a_run_that_is_started_there_says_how_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = loaded()
    graph.checkpointer = InMemorySaver()  # the server puts its own there
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    for given in ({"round": 0, "source_round": 0, "stop": ""}, Command(resume="go on")):
        await graph.ainvoke(given, thread)
        state = await graph.aget_state(thread)
        assert state.next == ("prepare",)
        (said,) = state.interrupts
        assert "start one with `middo run CONFIG.yaml`" in said.value
    assert list(tmp_path.iterdir()) == []
