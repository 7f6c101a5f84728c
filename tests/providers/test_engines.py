"""Engines on this machine, as a role's configuration names them; nothing is loaded."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from middo.core.config import RoleConfig
from middo.core.errors import ModelError, ProviderError
from middo.providers.local.vllm import adapter_rank, model_source
from middo.providers.resolve import check_role, hosts, model_identity


def role(model: str, **params: Any) -> RoleConfig:
    return RoleConfig(model=model, params=params)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 20}), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_a_missing_engine_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(
        ProviderError, match=r'vLLM is not installed; run `pip install "middo\[vllm'
    ):
        check_role(role("vllm:some/model"))


def test_texts_stay_in_this_process() -> None:
    assert hosts(role("vllm:some/model")) == "this process"


def test_a_model_is_a_folder_or_a_name(tmp_path: Path, tiny_folder: Path) -> None:
    assert model_source(str(tiny_folder)) == str(tiny_folder)
    assert model_source("org/model-1.5B") == "org/model-1.5B"
    with pytest.raises(ModelError, match="holds no config.json"):
        model_source(str(tmp_path))
    for wrong in (str(tmp_path / "none"), "a/b/c", "model name"):
        with pytest.raises(ModelError, match="there is no such folder"):
            model_source(wrong)
    (tmp_path / "model.gguf").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"for a \.gguf file use llamacpp:"):
        model_source(str(tmp_path / "model.gguf"))


def test_an_adapter_gets_the_next_larger_room(adapter: Path) -> None:
    assert adapter_rank(str(adapter)) == 32
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 600}), encoding="utf-8")
    with pytest.raises(ModelError, match="rank 600 is more than vLLM's 512"):
        adapter_rank(str(adapter))
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"no adapter_config\.json with a rank"):
        adapter_rank(str(adapter))
    with pytest.raises(ModelError, match="name a LoRA adapter's folder"):
        adapter_rank(str(adapter / "none"))


def test_an_identity_is_the_files_of_model_and_adapter(
    tmp_path: Path, tiny_folder: Path, adapter: Path
) -> None:
    moved = tmp_path / "elsewhere" / tiny_folder.name
    shutil.copytree(tiny_folder, moved)
    of_base = model_identity(role(f"vllm:{tiny_folder}", max_tokens=9), seed=7)
    assert of_base == model_identity(role(f"vllm:{moved}", max_tokens=9), seed=7)
    assert of_base["model"] == "vllm:tiny-llama"
    assert of_base["params"] == {"max_tokens": 9}
    assert of_base["seed"] == 7

    tuned = model_identity(role(f"vllm:{moved}", max_tokens=9, adapter=str(adapter)), seed=7)
    assert {**tuned, "adapter": None} == {**of_base, "adapter": None}
    (adapter / "adapter_model.safetensors").write_bytes(b"later weights")
    later = model_identity(role(f"vllm:{moved}", max_tokens=9, adapter=str(adapter)), seed=7)
    assert later["adapter"] != tuned["adapter"]
    weights = moved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert model_identity(role(f"vllm:{moved}", max_tokens=9), seed=7) != of_base
    assert model_identity(role("vllm:org/name"), seed=7)["model"] == "vllm:org/name"
