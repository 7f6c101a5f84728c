from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot

from middo.core.config import RoleConfig, RunConfig, TeacherConfig
from middo.core.errors import ConfigError
from middo.providers import resolve
from middo.providers.prices import FREE, Price, Prices, require_prices
from middo.providers.vendors import VENDORS

URLS = sorted({name for vendor in VENDORS.values() for name in vendor.urls})


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*URLS, "MIDDO_LOAD_PLUGINS"):
        monkeypatch.delenv(name, raising=False)


def teacher(model: str, **params: Any) -> TeacherConfig:
    return TeacherConfig(model=model, params=params)


def price(model: str, **params: Any) -> Price | None:
    return Prices().of(teacher(model, **params))


def written(folder: Path, text: str, name: str = "prices.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def listed(provider: str, model: str) -> Price:
    """The price of a model as the list's own data holds it."""
    models = next(p.models for p in get_snapshot().providers if p.id == provider)
    found = next(m for m in models if m.id == model)
    data = found.get_prices(datetime.now(UTC))
    sides = (data.input_mtok, data.output_mtok)
    base = [float(getattr(side, "base", side)) for side in sides]  # type: ignore[arg-type]
    assert all(base)
    return Price(*base)


def test_a_price_counts_both_kinds_of_tokens() -> None:
    assert Price(0.25, 2.0).usd(1_000_000, 500_000) == pytest.approx(1.25)
    assert FREE.usd(10**9, 10**9) == 0


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai:gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("anthropic:claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("google-genai:gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("google_vertexai:gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("mistralai:mistral-small-latest", "mistral", "mistral-small-latest"),
        ("xai:grok-3", "x-ai", "grok-3"),
        ("azure_openai:gpt-4o", "openai", "gpt-4o"),
    ],
)
def test_a_vendors_model_costs_what_the_price_list_holds(
    model: str, provider: str, name: str
) -> None:
    assert price(model) == listed(provider, name)


def test_the_vendors_own_address_may_be_written_out() -> None:
    assert price("openai:gpt-4o-mini", base_url="https://api.openai.com/v1") == price(
        "openai:gpt-4o-mini"
    )


def test_another_server_of_a_vendors_protocol_has_no_known_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert price("openai:gpt-4o-mini", base_url="https://llm.example.com/v1") is None
    monkeypatch.setenv("OPENAI_BASE_URL", "https://llm.example.com/v1")
    assert price("openai:gpt-4o-mini") is None


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "http://127.0.0.2:1/v1", "http://[::1]:8000/v1"]
)
def test_a_server_on_this_machine_is_free(url: str) -> None:
    assert price("openai:anything", base_url=url) == FREE


@pytest.mark.parametrize(
    "url", ["http://10.0.0.5:8000/v1", "http://localhost.example.com/v1", "http://127.example.com"]
)
def test_a_host_that_only_looks_local_is_not_free(url: str) -> None:
    assert price("openai:anything", base_url=url) is None


@pytest.mark.parametrize(
    "model", ["llamacpp:smollm2-135m", "vllm:some/model", "self", "replay:runs/a", "ollama:qwen3"]
)
def test_models_on_this_machine_are_free(model: str) -> None:
    assert price(model) == FREE


def test_ollama_elsewhere_or_passing_on_to_its_service_has_no_known_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert price("ollama:gpt-oss:120b-cloud") is None
    assert price("ollama:gpt-oss:120b-cloud", base_url="http://localhost:11434") is None
    monkeypatch.setenv("OLLAMA_HOST", "192.168.1.9:11434")
    assert price("ollama:qwen3") is None


@pytest.mark.parametrize(
    "model", ["openai:my-model", "import:a.b:make", "huggingface:org/model", "nonsense:model"]
)
def test_a_model_that_nobody_lists_has_no_known_price(model: str) -> None:
    assert price(model) is None


def test_a_listed_model_without_a_price_of_both_kinds_is_unknown_and_not_free() -> None:
    now = datetime.now(UTC)
    openai = next(p for p in get_snapshot().providers if p.id == "openai")
    half = [m.id for m in openai.models if m.get_prices(now).output_mtok is None]
    assert half
    assert {price(f"openai:{name}") for name in half} == {None}


def test_a_model_that_also_costs_by_the_call_is_unknown() -> None:
    assert price("perplexity:sonar") is None


def test_a_service_tier_has_its_own_price_or_none() -> None:
    variants = [
        (m.id, variant.prices)
        for p in get_snapshot().providers
        if p.id == "openai"
        for m in p.models
        for variant in m.price_variants or ()
        if variant.when == {"service_tier": "flex"} and variant.prices.output_mtok is not None
    ]
    name, flex = variants[0]
    given = price(f"openai:{name}", service_tier="flex")
    assert given is not None
    output = flex.output_mtok
    assert given.output == pytest.approx(float(getattr(output, "base", output)))  # type: ignore[arg-type]
    assert price(f"openai:{name}", service_tier="default") == price(f"openai:{name}")
    assert price("openai:gpt-4o-mini", service_tier="nonesuch") is None


def test_a_plugin_of_a_local_engines_name_has_no_known_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint("llamacpp", "somebody:make", resolve.GROUP)
    monkeypatch.setattr(resolve, "entry_points", lambda group: [point])
    assert price("llamacpp:smollm2-135m") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "p.yaml",
            '# mine\n"openai:gpt-4o-mini": {input: 0.25, output: 2}\nself: {input: 0, output: 1}\n',
        ),
        (
            "p.json",
            '{"openai:gpt-4o-mini": {"input": 0.25, "output": 2},\n'
            '\t"self": {"input": 0, "output": 1}}',
        ),
    ],
)
def test_the_users_file_comes_before_everything_else(tmp_path: Path, name: str, text: str) -> None:
    prices = Prices.load(written(tmp_path, text, name))
    assert prices.of(teacher("OpenAI:gpt-4o-mini", base_url="http://[::1]/v1")) == Price(0.25, 2.0)
    assert prices.of(teacher("self")) == Price(0, 1)
    assert prices.of(teacher("openai:gpt-4o")) == price("openai:gpt-4o")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no prices"),
        ("- a\n", "holds no prices"),
        ("gpt-4o: {input: 1, output: 1}", "'gpt-4o' is no `provider:model`"),
        ("openai:x: 3", "'openai:x': 3 is no price"),
        ("openai:x: {input: 1}", "'openai:x': output is missing"),
        ("openai:x: {input: 1, ouput: 1}", "'openai:x': "),
        ("openai:x: {input: 1, output: 1, inputs: 1}", "unknown key 'inputs'; did you mean input"),
        ("openai:x: {input: true, output: 1}", "'openai:x': input True is no price"),
        ("openai:x: {input: -1, output: 1}", "'openai:x': input -1 is no price"),
        ("openai:x: {input: .inf, output: 1}", "'openai:x': input inf is no price"),
        ("openai:x: {input: 1, output: 1}\nopenai:x: {input: 2, output: 1}", "is given twice"),
        ("openai:x: {input: 1, output: 1}\nOpenAI:x: {input: 2, output: 1}", "is given twice"),
        ("a: [", "prices.yaml:1: is not valid YAML"),
        ("a: !!python/name:os.system x", "is not valid YAML"),
        ("a: \x00", "holds a character that YAML forbids"),
    ],
)
def test_a_bad_file_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        Prices.load(path)
    assert message in str(caught.value)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"openai:x": ', '{"openai:x": 1, "openai:x": 2}', "[" * 10**5])
def test_a_bad_json_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text, "p.JSON")
    with pytest.raises(ConfigError) as caught:
        Prices.load(path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"budget\.prices: .*none\.yaml: no such file"):
        Prices.load(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"budget\.prices: .*can't be read"):
        Prices.load(str(tmp_path))


def configured(**budget: Any) -> RunConfig:
    fallback = TeacherConfig(model="openai:my-model-b")
    rewriter = RoleConfig(model="llamacpp:smollm2-135m", fallbacks=[fallback])
    critic = RoleConfig(model="openai:my-model")
    return RunConfig.model_validate(
        {"agents": {"rewriter": rewriter, "critic": critic}, "budget": budget}
    )


def test_a_money_cap_needs_every_price_and_says_how_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        require_prices(configured(max_usd=1.0), Prices())
    assert "openai:my-model-b, openai:my-model is unknown" in str(caught.value)
    line = '"openai:my-model-b": {input: 0.25, output: 2.0}'
    assert f"write `{line}`" in str(caught.value)
    assert "budget.prices" in str(caught.value)
    # The line works as it stands, and one more makes the run start.
    both = f"{line}\n" + line.replace("-b", "")
    path = written(tmp_path, both)
    require_prices(configured(max_usd=1.0, prices=path), Prices.load(path))


def test_a_name_that_the_users_file_nearly_holds_is_pointed_at(tmp_path: Path) -> None:
    path = written(tmp_path, '"openai:my-modle": {input: 1, output: 1}')
    with pytest.raises(ConfigError, match="names 'openai:my-modle'; is it that one"):
        require_prices(configured(max_usd=1.0, prices=path), Prices.load(path))


def test_without_a_money_cap_no_price_is_needed() -> None:
    require_prices(configured(), Prices())
