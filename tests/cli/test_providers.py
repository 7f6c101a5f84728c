import json
import os
from pathlib import Path

import pytest

from middo.providers.vendors import VENDORS

from .conftest import Command


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in VENDORS.values():
        for name in (*vendor.keys, *vendor.urls):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with models to test; each answers by the schema that it is asked for."""
    code = (
        "import os\n"
        "from middo.providers.scripted import ScriptedChat\n"
        "def fill(messages, schema):\n"
        "    names = (schema or {}).get('properties', {})\n"
        "    return {n: ['one', 'two'] if n == 'sentences' else 'Seine' for n in names}\n"
        "def good(**params): return ScriptedChat(answer=fill, **params)\n"
        "def babbling(): return ScriptedChat(answer=lambda m, s: 'no JSON at all')\n"
        "def down(api_key):\n"
        "    def answer(messages, schema): raise PermissionError(f'403 for {api_key}')\n"
        "    return ScriptedChat(answer=answer)\n"
    )
    name = f"probed_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return f"import:{name}"


def test_the_list_names_packages_keys_and_hosts_and_no_value(
    middo: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-of-the-list-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:pw@proxy.example/v1")
    ran = middo("providers", "list")
    assert (ran.code, ran.err) == (0, "")
    lines = {line.split()[0]: line for line in ran.out.splitlines() if line.strip()}
    assert "ANTHROPIC_API_KEY is set" in lines["anthropic"]
    assert lines["openai"].endswith("proxy.example")
    assert lines["llamacpp"].endswith("this process")
    assert "canary" not in ran.out
    assert "pw" not in ran.out
    listed = middo("providers", "list", "--json").document["providers"]
    by_name = {one["name"]: one for one in listed}
    assert set(VENDORS) <= set(by_name)
    assert by_name["anthropic"]["keys_set"] == ["ANTHROPIC_API_KEY"]
    assert by_name["groq"]["install"] == "pip install langchain-groq"
    assert "canary" not in json.dumps(listed)


def test_what_is_installed_is_told_apart(middo: Command) -> None:
    listed = middo("providers", "list", "--json").document["providers"]
    by_name = {one["name"]: one for one in listed}
    import importlib.util

    for name in ("openai", "cohere", "xai"):
        package = VENDORS[name].package
        assert by_name[name]["installed"] is (importlib.util.find_spec(package) is not None)


def test_a_model_is_asked_and_described(middo: Command, models: str) -> None:
    ran = middo("providers", "test", f"{models}:good", "--param", "delay=0.01")
    assert ran.code == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0].endswith(f"this configuration runs the code of {models[7:]}:good")
    assert lines[1] == "Answered by scripted"
    assert lines[2] == "Structured json_schema"
    assert lines[5].startswith("Usage reported: ")
    found = middo("providers", "test", f"{models}:good", "--json").document
    assert (found["rung"], found["repaired"], found["reports_usage"]) == (
        "json_schema",
        False,
        True,
    )
    assert found["latency"] >= 0
    assert found["tokens_per_second"] > 0
    assert found["completion_tokens"] == 4 + 4 + 3  # words of three scripted replies


def test_a_model_without_usable_answers_is_exit_3(middo: Command, models: str) -> None:
    ran = middo("providers", "test", f"{models}:babbling")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
    assert "in no form that can be used" in ran.err


def test_a_provider_that_refuses_is_exit_3_and_its_key_is_not_shown(
    middo: Command, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_MY_OWN", "canary-of-the-probe-1")
    ran = middo("providers", "test", f"{models}:down", "--api-key-env", "OF_MY_OWN")
    assert ran.code == 3
    assert "403 for [redacted]" in ran.err
    assert "canary" not in ran.err + ran.out


def test_missing_credentials_are_exit_3(middo: Command) -> None:
    pytest.importorskip("langchain_openai")
    ran = middo("providers", "test", "openai:gpt-x")
    assert ran.code == 3
    assert ran.err.startswith("middo: 'openai:gpt-x' needs a key: set OPENAI_API_KEY")


SECRET = "canary-secret-0123"


@pytest.mark.parametrize(
    "words",
    [
        ("providers", "test", "openai:x", "--param", f"api_key={SECRET}"),
        ("providers", "test", "openai:x", "--param", f"default_headers.Authorization={SECRET}"),
        ("run", "--set", f"agents.rewriter.params.api_key={SECRET}"),
        ("run", "--set", f"agents.critic={{model: 'openai:x', params: {{token: {SECRET}}}}}"),
        ("run", "--set", f"agents.rewriter.params.base_url=https://me:{SECRET}@host/v1"),
        (
            "run",
            "--set",
            f"agents.rewriter.fallbacks=[{{model: 'a:b', params: {{key: {SECRET}}}}}]",
        ),
        ("config", "show", "--set", f"agents.rewriter.api_key={SECRET}"),
        ("config", "show", "--set", "agents.rewriter.params.note=sk-canary0123456789abcdef"),
        ("config", "show", "--set", "agents.rewriter.api_key_env=sk-canary0123456789abcdef"),
        ("run", "--api-key", "sk-canary0123456789abcdef"),
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    middo: Command, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = middo(*words)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "canary" not in ran.err + ran.out
    if "--api-key" not in words:
        assert "set an environment variable and name it in api_key_env" in ran.err
    assert not list(tmp_path.iterdir())


def test_a_secret_in_a_file_is_refused_with_its_line(middo: Command, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        f"agents:\n  rewriter:\n    model: openai:x\n    params:\n      api_key: {SECRET}\n",
        encoding="utf-8",
    )
    ran = middo("config", "show", path)
    assert ran.code == 2
    assert f"{path}:5: agents.rewriter.params.api_key: a configuration holds no secrets" in ran.err
    assert SECRET not in ran.err


def test_a_key_pasted_in_place_of_its_variables_name_is_not_repeated(middo: Command) -> None:
    ran = middo("providers", "test", "import:json:loads", "--api-key-env", "0a1b2c3d4e5f6a7b8c9d")
    assert ran.code == 2
    assert "0a1b2c3d" not in ran.err
    assert "takes a variable's name" in ran.err


def test_a_secret_in_the_environments_settings_is_refused(
    middo: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDDO_AGENTS__REWRITER__PARAMS__API_KEY", SECRET)
    ran = middo("config", "show")
    assert ran.code == 2
    assert "MIDDO_AGENTS__REWRITER__PARAMS__API_KEY: agents.rewriter.params.api_key" in ran.err
    assert SECRET not in ran.err
    assert os.environ["MIDDO_AGENTS__REWRITER__PARAMS__API_KEY"] == SECRET
