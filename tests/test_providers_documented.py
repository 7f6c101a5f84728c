"""The configurations of `docs/providers.md` are whole, load, and mean what stands above them."""

import re
from pathlib import Path

import pytest

from middo.core.config import RunConfig
from middo.formats.configuration import load_config
from middo.providers.catalog import ENGINES
from middo.providers.prices import Price, Prices
from middo.providers.resolve import code_of, hosts
from middo.providers.vendors import VENDORS

DOC = (Path(__file__).parents[1] / "docs" / "providers.md").read_text(encoding="utf-8")
YAML = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
BLOCKS = [block for block in YAML if not block.startswith("# prices.yaml")]
NAMED = {match[1]: block for block in BLOCKS if (match := re.match(r"# provider: (\S+)\n", block))}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in VENDORS.values():
        for name in (*vendor.keys, *vendor.urls):
            monkeypatch.delenv(name, raising=False)


def loaded(block: str, folder: Path) -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(block, encoding="utf-8")
    return load_config(path, environ={})


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_loads(number: int, tmp_path: Path) -> None:
    config = loaded(BLOCKS[number], tmp_path)
    assert config != RunConfig()


def test_the_file_of_prices_loads(tmp_path: Path) -> None:
    (block,) = set(YAML) - set(BLOCKS)
    path = tmp_path / "prices.yaml"
    path.write_text(block, encoding="utf-8")
    role = RunConfig.model_validate({"agents": {"rewriter": {"model": "openai:in-house-7b"}}})
    assert Prices.load(str(path)).of(role.agents.rewriter) == Price(0.25, 2.0)


def test_there_is_one_for_each_kind_of_provider() -> None:
    assert set(NAMED) == {
        *("openai", "anthropic", "ollama", "vllm-server", "vllm-server-with-key"),
        *("vllm", "llamacpp", "self", "replay", "import", "plugin"),
    }


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("openai", "openai.com"),
        ("anthropic", "anthropic.com"),
        ("ollama", "localhost:11434"),
        ("vllm-server", "127.0.0.1:8000"),
        ("vllm-server-with-key", "llm.example.org"),
        ("llamacpp", "this process"),
        ("self", "this process"),
        ("import", "wherever my_models:rewriter sends them"),
    ],
)
def test_texts_go_where_the_section_says(name: str, place: str, tmp_path: Path) -> None:
    for role in loaded(NAMED[name], tmp_path).agents.roles.values():
        assert hosts(role) == place


def test_the_blocks_name_their_own_providers(tmp_path: Path) -> None:
    models = {name: loaded(block, tmp_path).agents.rewriter for name, block in NAMED.items()}
    for name in ("openai", "anthropic", "ollama", "vllm", "llamacpp", "import"):
        assert models[name].model.startswith(f"{name}:")
    assert code_of(models["import"]) == "my_models:rewriter"
    assert models["vllm-server-with-key"].api_key_env == "MY_SERVER_KEY"
    assert models["vllm-server"].api_key_env is None
    example = Path(__file__).parents[1] / "examples" / "plugin" / "pyproject.toml"
    assert f"\n{models['plugin'].model.partition(':')[0]} = " in example.read_text("utf-8")


def test_the_lines_that_install_are_those_of_the_errors() -> None:
    for name in ("openai", "anthropic", "ollama"):
        assert f"`{VENDORS[name].install}`" in DOC
    for _, install in ENGINES.values():
        assert f"`{install}`" in DOC
