import re
from pathlib import Path
from typing import Any, NoReturn

import pytest

from middo.cli.boundary import Unexpected
from middo.cli.loop import Choice, _shown, default_folder, headed
from middo.cli.plan import hosts_lines
from middo.core.config import AgentsConfig, RoleConfig, RunConfig, TeacherConfig
from middo.core.errors import BudgetReached, ConfigError, Interrupted, MiddoError, UsageError
from middo.core.progress import Event, Note, Report, Started
from middo.stores.runs import write_run

from .documents import finished


def choice(path: Path | None = None, *sets: str, **flags: object) -> RunConfig:
    named = {key.replace("__", "."): value for key, value in flags.items()}
    return Choice(path, named, sets).config()


def test_without_anything_the_small_demo_runs() -> None:
    config = choice()
    assert config.data.path == "demo"
    assert (config.data.limit, config.rounds, config.refinement.attempts) == (96, 1, 2)
    assert (config.model.base, config.model.max_length) == ("smollm2-135m", 512)
    assert config.signals.calibration == 24
    chain = [teacher.model for teacher in config.agents.rewriter.chain]
    assert chain == ["replay:demo", "llamacpp:smollm2-135m"]


def test_options_win_over_the_demo() -> None:
    config = choice(None, "training.epochs=2", rounds=0, data__limit=48)
    assert (config.rounds, config.data.limit, config.training.epochs) == (0, 48, 2.0)
    assert config.model.max_length == 512


def test_with_own_data_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = RunConfig()
    for config in (choice(data__path="a.jsonl"), choice(None, "data.path=a.jsonl")):
        assert config.data.path == "a.jsonl"
        assert config.data.limit is None
        assert config.rounds == defaults.rounds
    monkeypatch.setenv("MIDDO_DATA__PATH", "a.jsonl")
    assert choice().data.limit is None


def test_with_a_file_the_demo_has_no_say(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("rounds: 2", encoding="utf-8")
    config = choice(path)
    assert (config.rounds, config.data.limit, config.model.max_length) == (2, None, 1024)


def test_the_default_folder_is_time_and_id() -> None:
    assert re.fullmatch(r"runs/\d{8}-\d{6}-[0-9a-f]{6}", str(default_folder()))
    assert default_folder() != default_folder()


def stops(folder: Path, error: BaseException, document: dict[str, Any] | None) -> Any:
    def work(report: Report) -> NoReturn:
        if document is not None:
            write_run(folder, document)
        raise error

    return work


def test_a_stopped_run_still_shows_what_it_has_done(tmp_path: Path) -> None:
    document = finished(status="budget", best_round=None, export=None)
    reply = _shown(
        tmp_path, stops(tmp_path, BudgetReached("1,000 tokens are used"), document), True
    )
    assert (reply.exit_code, reply.error) == (4, "1,000 tokens are used")
    assert reply.document == {**document, "error": "1,000 tokens are used"}
    assert "budget" in reply.text.splitlines()[0]
    assert f"`middo resume {tmp_path}` goes on where the run stopped" in " ".join(
        reply.text.split()
    )


@pytest.mark.parametrize("error", [Interrupted("stopped"), UsageError("no such model")])
def test_an_error_before_the_run_began_is_only_an_error(tmp_path: Path, error: MiddoError) -> None:
    with pytest.raises(type(error)):
        _shown(tmp_path, stops(tmp_path, error, None), True)


def test_the_document_of_another_run_is_not_shown(tmp_path: Path) -> None:
    write_run(tmp_path, finished())
    with pytest.raises(UsageError, match="holds this run already"):
        _shown(tmp_path, stops(tmp_path, UsageError("holds this run already"), None), False)


def test_a_refused_setting_is_only_an_error(tmp_path: Path) -> None:
    write_run(tmp_path, finished())
    with pytest.raises(ConfigError):
        _shown(tmp_path, stops(tmp_path, ConfigError("seed can't change"), None), True)


def test_an_interrupt_before_the_run_began_names_no_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="before the run began; start it again"):
        _shown(tmp_path / "new", stops(tmp_path, KeyboardInterrupt(), None), True)


def test_a_hard_interrupt_says_how_to_resume(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}", encoding="utf-8")
    with pytest.raises(Interrupted, match=re.escape(f"`middo resume {tmp_path}`")):
        _shown(tmp_path, stops(tmp_path, KeyboardInterrupt(), None), True)


def test_an_unexpected_error_names_the_run_folder(tmp_path: Path) -> None:
    with pytest.raises(Unexpected) as caught:
        _shown(tmp_path, stops(tmp_path, ZeroDivisionError(), None), True)
    assert caught.value.folder == tmp_path
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_heading_waits_for_the_first_event() -> None:
    told: list[Event] = []
    report = headed(["run folder r", "rewriter x"], told.append)
    assert told == []
    report(Started("prepare", 0))
    report(Started("train", 0))
    assert told == [
        Note("run folder r"),
        Note("rewriter x"),
        Started("prepare", 0),
        Started("train", 0),
    ]


def test_where_texts_go_is_said_before_a_run() -> None:
    agents = AgentsConfig(
        rewriter=RoleConfig(model="import:mine.models:make"),
        critic=RoleConfig(model="openai:gpt-x", params={"base_url": "http://10.0.0.7:8000/v1"}),
    )
    first, second, traces = hosts_lines(RunConfig(agents=agents))
    assert first.startswith("rewriter import:mine.models:make: texts go to ")
    assert first.endswith("; this configuration runs the code of mine.models:make")
    assert second == "critic openai:gpt-x: texts go to 10.0.0.7:8000"
    assert traces == "traces stay in the run folder"


def test_fallbacks_and_the_diagnostician_are_among_those_who_get_texts() -> None:
    spare = TeacherConfig(model="openai:x", params={"base_url": "https://spare.example/v1"})
    agents = AgentsConfig(
        rewriter=RoleConfig(model="llamacpp:smollm2-135m", fallbacks=[spare]),
        diagnostician=RoleConfig(model="import:mine.models:plan"),
    )
    lines = hosts_lines(RunConfig(agents=agents))
    assert lines[0] == "rewriter llamacpp:smollm2-135m: texts go to this process"
    assert lines[1] == "rewriter, if that fails: openai:x: texts go to spare.example"
    assert lines[2].startswith("diagnostician import:mine.models:plan: ")
    assert len(lines) == 4


def test_the_heading_says_that_no_traces_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig.model_validate({"traces": {"store": False}})
    assert hosts_lines(config)[-1] == "no traces are kept"
    sent = RunConfig.model_validate({"traces": {"store": False, "langsmith": True}})
    monkeypatch.delenv("LANGSMITH_TRACING", raising=False)
    assert hosts_lines(sent)[-1] == "no traces are kept: LANGSMITH_TRACING is not true"


def test_the_heading_says_where_traces_go(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig.model_validate({"traces": {"langsmith": True}})
    for name in ("LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    assert "LANGSMITH_TRACING is not true" in hosts_lines(config)[-1]
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "https://eu.api.smith.langchain.com")
    assert hosts_lines(config)[-1].endswith("also go to LangSmith at eu.api.smith.langchain.com")
    monkeypatch.setenv("LANGSMITH_RUNS_ENDPOINTS", '{"https://a.example": "lsv2_pt_0"}')
    assert hosts_lines(config)[-1].endswith("LangSmith at a.example")
