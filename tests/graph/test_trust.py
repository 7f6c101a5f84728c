"""Resuming a folder that another user made."""

import os
from pathlib import Path

import pytest

from middo import resume
from middo.cli.boundary import carry_out
from middo.cli.main import parse
from middo.core.config import RunConfig
from middo.core.errors import UsageError
from middo.formats.configuration import dump_config
from middo.graph.trust import consequences
from middo.stores.runs import write_run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")

SETTINGS = {
    "data": {"path": "missing.jsonl"},
    "agents": {
        "rewriter": {
            "model": "import:their.module:factory",
            "fallbacks": [{"model": "openai:x", "params": {"base_url": "http://10.0.0.9:1/v1"}}],
        }
    },
}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    text = dump_config(RunConfig.model_validate(SETTINGS))
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    write_run(folder, {"run": "run", "status": "interrupted", "rounds": []})
    os.chown(folder / "config.yaml", 12345, 12345)
    return folder


@needs_root
def test_another_users_folder_is_listed_and_not_run(foreign: Path) -> None:
    before = sorted(foreign.iterdir())
    with pytest.raises(UsageError) as caught:
        resume(foreign)
    said = str(caught.value)
    assert "belongs to another user" in said
    assert "imports their.module:factory" in said
    assert "openai:x sends texts to 10.0.0.9:1" in said
    assert said.endswith("then add --trust")
    assert sorted(foreign.iterdir()) == before


@needs_root
def test_a_folder_given_away_is_foreign_too(foreign: Path) -> None:
    os.chown(foreign / "config.yaml", os.geteuid(), -1)
    os.chown(foreign, 12345, -1)
    with pytest.raises(UsageError, match="belongs to another user"):
        resume(foreign)


@needs_root
def test_with_trust_it_goes_on(foreign: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert carry_out(["resume", str(foreign)], parse) == 2
    assert "--trust" in capfd.readouterr().err
    assert carry_out(["resume", str(foreign), "--trust"], parse) == 2
    assert "'missing.jsonl': no such file" in capfd.readouterr().err


@needs_root
def test_a_finished_run_of_another_user_can_be_looked_at(foreign: Path) -> None:
    document = {"run": "run", "status": "finished", "rounds": []}
    write_run(foreign, document)
    assert resume(foreign) == document


def test_the_consequences_name_traces_only_where_they_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = RunConfig.model_validate({**SETTINGS, "traces": {"langsmith": True}})
    for name in ("LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("LANGSMITH_TRACING", raising=False)
    assert not any("LangSmith" in line for line in consequences(config))
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    assert any("LangSmith" in line for line in consequences(config))


def test_the_consequences_name_the_code_of_tasks() -> None:
    tasks = [
        {"metric": "import:their.metric:score"},
        {"metric": "lm-eval:arc", "include_path": "their/tasks"},
        {"metric": "number", "data": "rows.jsonl"},
    ]
    said = consequences(RunConfig.model_validate({**SETTINGS, "evaluation": {"tasks": tasks}}))
    assert "imports their.metric:score" in said
    assert "runs the task arc of lm-evaluation-harness with the task files in their/tasks" in said
    assert not any("rows.jsonl" in line for line in said)
