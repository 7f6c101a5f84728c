"""Where spans may go, what has to be there for it, and that nothing goes anywhere else."""

import base64
import socket
from pathlib import Path
from typing import Any

import pytest

from middo.cli.boundary import carry_out
from middo.cli.main import parse
from middo.cli.plan import hosts_lines
from middo.core.config import RunConfig, TracesConfig
from middo.core.errors import ConfigError, UsageError
from middo.core.redaction import redact
from middo.core.trace import untraced
from middo.formats.configuration import load_config
from middo.graph.deps import Deps, open_run
from middo.graph.preflight import check
from middo.graph.teachers import providers_of
from middo.graph.trust import consequences
from middo.telemetry import endpoint
from middo.telemetry.endpoint import check_endpoint, read_headers, traces_url

from .collector import collecting
from .told import life

HEADERS = "MIDDO_TEST_HEADERS"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after each test which values are secret."""
    monkeypatch.setattr("middo.core.redaction._watched", {})


def settings(**traces: Any) -> RunConfig:
    return RunConfig.model_validate({"traces": traces})


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://localhost:6006", "http://localhost:6006/v1/traces"),
        ("http://localhost:6006/v1/traces", "http://localhost:6006/v1/traces"),
        ("https://host.example/otel/", "https://host.example/otel/v1/traces"),
        ("https://host.example/v1/traces/", "https://host.example/v1/traces"),
    ],
)
def test_an_address_may_leave_out_the_usual_path(given: str, asked: str) -> None:
    assert traces_url(given) == asked


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:6006", "give an address such as"),
        ("ftp://localhost/v1/traces", "give an address such as"),
        ("http://", "give an address such as"),
        ("http://localhost:port/", "give an address such as"),
        ("https://me:canary-1234@host.example", "name it in traces.otlp_headers_env"),
        ("https://host.example?api_key=canary-1234", "name it in traces.otlp_headers_env"),
    ],
)
def test_an_address_that_can_not_be_used_is_refused(address: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, sets=[f"traces.otlp={address}"], environ={})
    assert "traces.otlp: " in str(caught.value)
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)


def test_headers_are_named_by_their_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(
            None,
            sets=["traces.otlp=http://h.example", "traces.otlp_headers_env=x-api-key=canary-1234"],
            environ={},
        )
    assert "the name of an environment variable, not its value" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_headers_are_read_as_the_standard_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HEADERS, "Authorization=Basic%20YWJj, Langsmith-Project=my%2Cruns,")
    assert read_headers(HEADERS) == {
        "authorization": "Basic YWJj",
        "langsmith-project": "my,runs",
    }
    assert read_headers(None) == {}


@pytest.mark.parametrize("held", ["canary-1234", "=canary-1234", "a=canary-1234%0d%0ab: c", "a="])
def test_headers_of_another_form_are_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setenv(HEADERS, held)
    with pytest.raises(ConfigError) as caught:
        read_headers(HEADERS)
    assert HEADERS in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_variable_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HEADERS, raising=False)
    with pytest.raises(ConfigError, match=f"the variable {HEADERS} is not set"):
        check_endpoint(TracesConfig(otlp="http://h.example", otlp_headers_env=HEADERS))


def test_the_secrets_of_headers_are_redacted_and_plain_words_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    login = base64.b64encode(b"public-part:secret-part").decode()
    monkeypatch.setenv(
        HEADERS,
        f"Authorization=Basic {login},x-api-key=key-of-the-service,Langsmith-Project=experiment",
    )
    read_headers(HEADERS)
    for secret in (login, "key-of-the-service", "secret-part", "public-part:secret-part"):
        assert secret not in redact(f"it said {secret} and")
    assert redact("an experiment") == "an experiment"


def test_missing_packages_are_named_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint, "_PARTS", ("opentelemetry.no_such", "no_such.part"))
    check_endpoint(TracesConfig())
    with pytest.raises(UsageError):
        check(settings(otlp="http://h.example"))
    out = tmp_path / "run"
    given = ["run", "--out", str(out), "--set", "traces.otlp=http://h.example"]
    assert carry_out(given, parse) == 2
    said = capfd.readouterr().err
    assert 'run `pip install "middo[otlp]"`' in said
    assert "opentelemetry.no_such, no_such.part" in said
    assert not out.exists()


def test_the_packages_of_the_extra_are_those_that_are_looked_for() -> None:
    check_endpoint(TracesConfig(otlp="http://h.example"))


def test_the_heading_names_the_host_among_those_that_get_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING"):
        monkeypatch.delenv(name, raising=False)
    address = "https://h.example:4318/otel"
    line = "traces: prompts and answers also go to h.example:4318 by OpenTelemetry"
    assert hosts_lines(settings(otlp=address))[-1] == line
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "https://l.example")
    both = hosts_lines(settings(otlp=address, langsmith=True))[-1]
    assert both == f"{line} and to LangSmith at l.example"


def test_another_users_folder_says_where_traces_and_headers_would_go() -> None:
    named = {"otlp": "https://h.example/otel", "otlp_headers_env": "THEIR_WISH"}
    assert "sends traces with their texts to h.example" in consequences(
        settings(otlp=named["otlp"])
    )
    assert (
        "sends traces with their texts to h.example, and what THEIR_WISH holds as headers"
        in consequences(settings(**named))
    )
    assert not any("traces" in line for line in consequences(RunConfig()))


def test_providers_are_those_of_roles_with_a_single_model() -> None:
    spare = {"model": "openai:y"}
    config = RunConfig.model_validate(
        {
            "agents": {
                "rewriter": {"model": "anthropic:x"},
                "critic": {"model": "openai:x", "fallbacks": [spare]},
                "diagnostician": {"model": "import:mine:make"},
            }
        }
    )
    assert providers_of(config) == {"rewriter": "anthropic"}


def opened(folder: Path, config: RunConfig) -> tuple[Deps, list[Any]]:
    told: list[Any] = []
    return open_run(folder, config, report=told.append), told


def test_without_an_endpoint_no_variable_makes_anything_go_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    deps, told = opened(tmp_path / "a-run", RunConfig())
    assert deps.spans is None
    for event in life():
        deps.trace(event)
    deps.close()
    assert told == []


def test_a_run_sends_its_spans_and_flushes_when_it_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEADERS, "x-api-key=key-of-the-service")
    with collecting() as server:
        deps, told = opened(tmp_path / "a-run", settings(otlp=server.url, otlp_headers_env=HEADERS))
        assert deps.trace is not untraced
        for event in life():
            deps.trace(event)
        deps.close()
        assert told == []
        assert len(server.spans) == 10
        assert server.headers[0]["x-api-key"] == "key-of-the-service"
    attributes = {one.key: one.value.string_value for one in server.spans[0].attributes}
    assert attributes["session.id"] == "a-run"
