import importlib.util
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from langchain.chat_models.base import _BUILTIN_PROVIDERS
from langchain_core.language_models import BaseChatModel

from middo.core.config import RoleConfig
from middo.core.errors import ConfigError, ModelError, ProviderError
from middo.providers import resolve
from middo.providers.resolve import chat_model, check_role, hosts, model_identity
from middo.providers.scripted import ScriptedChat
from middo.providers.vendors import VENDORS, address, belongs_to

needs_openai = pytest.mark.skipif(
    importlib.util.find_spec("langchain_openai") is None, reason="langchain-openai isn't installed"
)

KEYS = sorted({name for vendor in VENDORS.values() for name in (*vendor.keys, *vendor.urls)})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "MIDDO_LOAD_PLUGINS", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    code = (
        "from middo.providers.scripted import ScriptedChat\n"
        "def make(**params): return ScriptedChat(replies=[repr(sorted(params.items()))])\n"
        "def plugged(model, **params): return ScriptedChat(replies=['plugged ' + model])\n"
        "def wrong(): return 'no model'\n"
        "number = 3\n"
    )
    name = f"models_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def role(model: str, key: str | None = None, **params: Any) -> RoleConfig:
    return RoleConfig(model=model, params=params, api_key_env=key)


def build(config: RoleConfig) -> BaseChatModel:
    return chat_model(config, seed=7, concurrency=2)


def plug(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    point = EntryPoint(name, value, resolve.GROUP)
    monkeypatch.setattr(resolve, "entry_points", lambda group: [point])


@pytest.mark.parametrize("spec", ["gpt-4o", "openai:", ":gpt-4o", "import:", " : "])
def test_a_malformed_name_says_how_to_write_it(spec: str) -> None:
    with pytest.raises(ConfigError, match="provider:model"):
        check_role(role(spec))


def test_an_unknown_provider_gets_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match="'opnai'; did you mean .*openai"):
        check_role(role("opnai:gpt-4o"))
    with pytest.raises(ConfigError, match="did you mean llamacpp"):
        build(role("llama_cpp:smollm2-135m"))


def test_a_missing_package_gets_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(ProviderError, match=r'run `pip install "middo\[openai\]"`'):
        check_role(role("openai:gpt-4o-mini"))
    with pytest.raises(ProviderError, match="run `pip install langchain-google-genai`"):
        check_role(role("google-genai:gemini"))
    with pytest.raises(ProviderError, match=r'`pip install "middo\[llamacpp\]"`'):
        check_role(role("llamacpp:smollm2-135m"))


@needs_openai
def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderError, match="set OPENAI_API_KEY"):
        build(role("openai:gpt-4o-mini"))
    with pytest.raises(ProviderError, match="set MY_KEY, which api_key_env names"):
        check_role(role("openai:gpt-4o-mini", key="MY_KEY"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor")
    check_role(role("openai:gpt-4o-mini"))


def key_of(model: Any) -> str:
    return str(model.openai_api_key.get_secret_value())


@needs_openai
@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "http://api.openai.com/v1", "https://api.openai.com.evil.example"],
)
def test_the_vendors_key_goes_to_no_other_host(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor")
    monkeypatch.setenv("MY_KEY", "sk-mine")
    assert key_of(build(role("openai:local", base_url=url))) == "none"
    assert key_of(build(role("openai:local", key="MY_KEY", base_url=url))) == "sk-mine"
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert key_of(build(role("openai:local"))) == "none"


@needs_openai
def test_the_vendors_key_goes_to_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor")
    assert key_of(build(role("openai:gpt-4o-mini"))) == "sk-vendor"
    eu = role("openai:gpt-4o-mini", base_url="https://eu.api.openai.com/v1")
    assert key_of(build(eu)) == "sk-vendor"


@needs_openai
def test_only_one_layer_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor")
    model: Any = build(role("openai:gpt-4o-mini"))
    assert model.max_retries == 0


@needs_openai
def test_a_wrong_parameter_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor")
    with pytest.raises(
        ConfigError, match="'openai:gpt-4o-mini': a parameter is wrong.*temperature"
    ):
        build(role("openai:gpt-4o-mini", temperature="warm"))


@pytest.mark.parametrize(
    "params",
    [{"api_key": "sk"}, {"openai_api_key": "sk"}, {"default_headers": {"Authorization": "sk"}}],
)
def test_a_secret_in_the_configuration_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="holds no secrets"):
        check_role(role("import:os:getcwd", **params))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="base_url 'localhost:8000' is no http"):
        hosts(role("openai:x", base_url="localhost:8000"))


def test_import_calls_the_factory_with_the_params(package: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine")
    model = build(role(f"import:{package}:make", key="MY_KEY", words=3))
    assert model.invoke("x").text == "[('api_key', 'sk-mine'), ('words', 3)]"


def test_import_errors_name_what_is_wrong(package: str) -> None:
    with pytest.raises(ConfigError, match="no module 'nowhere_at_all'"):
        check_role(role("import:nowhere_at_all:make"))
    with pytest.raises(ConfigError, match="package.module:factory"):
        check_role(role("import:nowhere"))
    with pytest.raises(ConfigError, match="no function 'made'"):
        build(role(f"import:{package}:made"))
    with pytest.raises(ConfigError, match="no function 'number'"):
        build(role(f"import:{package}:number"))
    with pytest.raises(ConfigError, match="made a str, no LangChain chat model"):
        build(role(f"import:{package}:wrong"))
    with pytest.raises(ConfigError, match="parameter is wrong.*unexpected"):
        build(role(f"import:{package}:wrong", colour="red"))


def test_checking_an_import_runs_none_of_its_code(package: str) -> None:
    check_role(role(f"import:{package}:make"))
    assert package not in sys.modules


def test_a_plugin_goes_before_a_shipped_provider(package: str, monkeypatch: Any) -> None:
    plug(monkeypatch, "llamacpp", f"{package}:plugged")
    assert build(role("llamacpp:tiny")).invoke("x").text == "plugged tiny"
    assert "plugin" in hosts(role("llamacpp:tiny"))


def test_plugins_can_be_left_out(package: str, monkeypatch: Any) -> None:
    plug(monkeypatch, "mine", f"{package}:plugged")
    check_role(role("mine:tiny"))
    monkeypatch.setenv("MIDDO_LOAD_PLUGINS", "0")
    with pytest.raises(ConfigError, match="unknown provider 'mine'"):
        check_role(role("mine:tiny"))


def test_a_missing_model_file_is_named() -> None:
    with pytest.raises((ModelError, ProviderError), match="no such .gguf file|llamacpp"):
        check_role(role("llamacpp:/nowhere/model.gguf"))


def test_hosts_say_where_texts_go(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hosts(role("llamacpp:smollm2-135m")) == "this process"
    assert hosts(role("openai:gpt-4o-mini")) == "openai.com"
    assert hosts(role("openai:x", base_url="http://me:pw@10.0.0.2:8000/v1")) == "10.0.0.2:8000"
    assert hosts(role("ollama:qwen")) == "localhost:11434"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v1")
    assert hosts(role("openai:gpt-4o-mini")) == "proxy.example"
    assert "my_models:make" in hosts(role("import:my_models:make"))


@pytest.mark.parametrize(
    "options", [{"api_endpoint": "spy.example"}, {"base_url": "https://spy.example"}]
)
def test_an_address_inside_of_options_is_seen_too(options: dict[str, str]) -> None:
    config = role("google_genai:gemini", client_options=options)
    assert hosts(config) == "spy.example"
    vendor = VENDORS["google_genai"]
    assert not belongs_to(vendor, address(vendor, config.params))


def test_an_identity_holds_what_decides_answers_and_no_secret(tmp_path: Path) -> None:
    config = role(
        "openai:x",
        max_tokens=9,
        base_url="http://me:pw@host/v1",
        default_headers={"X-Trace": "secret"},
    )
    params = {"base_url": "http://host/v1", "max_tokens": 9}
    assert model_identity(config) == {"model": "openai:x", "params": params}


def test_a_local_models_identity_is_its_files_not_its_folders(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "m.gguf", tmp_path / "b" / "m.gguf", tmp_path / "c" / "m.gguf"]
    for path, content in zip(files, [b"one", b"one", b"two"], strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
    one, same, other = (model_identity(role(f"llamacpp:{path}"), seed=7) for path in files)
    assert one == same
    assert one != other
    assert one["model"] == "llamacpp:m.gguf"
    assert one["seed"] == 7
    assert one != model_identity(role(f"llamacpp:{files[0]}"), seed=8)


def test_the_table_agrees_with_langchain() -> None:
    for name, vendor in VENDORS.items():
        assert _BUILTIN_PROVIDERS[name][0].split(".")[0] == vendor.package


def test_a_scripted_model_is_what_the_factory_makes(package: str) -> None:
    assert isinstance(build(role(f"import:{package}:make")), ScriptedChat)
