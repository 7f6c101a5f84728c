"""vLLM's engine with a tiny random model; run where vLLM is installed.

Middo itself needn't be installed there: langchain-core, pytest and pytest-asyncio are enough.

    PYTHONPATH=. VLLM-ENVIRONMENT/bin/python -m pytest -m "" tests/providers/test_vllm.py
"""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from middo.core.chat import AnswerFailed, Prompt
from middo.core.errors import ModelError
from middo.providers.line import Line
from middo.providers.local import vllm
from middo.providers.local.sharing import Lease
from middo.providers.local.vllm import VllmChat
from middo.providers.structured import ask

from ..tiny import tiny_tokenizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm isn't installed"),
    # vLLM's own imports and thread.
    pytest.mark.filterwarnings("default"),
]


class City(BaseModel):
    """One field: after a comma the grammar allows spaces, of which a random model has no end."""

    name: str = Field(max_length=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    place = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = tiny_tokenizer()
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = AutoConfig.for_model(
        "llama",
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        head_dim=64,  # vLLM has no attention for the smaller heads of the other tests
        max_position_embeddings=1024,
        initializer_range=0.2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        **shape,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp("adapter")
    settings = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (place / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    torch.manual_seed(1)
    weights = {
        f"base_model.model.model.layers.{layer}.self_attn.{name}.lora_{part}.weight": torch.randn(
            (4, 128) if part == "A" else (128, 4)
        )
        for layer in range(2)
        for name in ("q_proj", "v_proj")
        for part in "AB"
    }
    save_file(weights, place / "adapter_model.safetensors")
    return place


def made(folder: Path, **params: Any) -> VllmChat:
    settings = {"context": 512, "slots": 8, "cache_gib": 0.25, "max_tokens": 40, "dtype": "float32"}
    return VllmChat(model=str(folder), **{**settings, **params})


@pytest.fixture(scope="module")
def model(folder: Path, adapter: Path) -> Iterator[VllmChat]:
    """The plain model, in an engine that has room for the adapter too."""
    opened = made(folder, adapter=str(adapter))
    opened.invoke("hello", max_tokens=1)
    yield opened
    opened.close()


def test_an_answer_has_usage_finish_reason_and_name(model: VllmChat) -> None:
    reply = model.invoke("Name a city.", max_tokens=4)
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 4
    assert reply.response_metadata == {"model_name": "vllm:tiny", "finish_reason": "length"}


async def test_questions_that_come_together_are_answered_under_the_schema(model: VllmChat) -> None:
    prompts = [
        Prompt("city", 1, "0" * 64, (("user", f"Name city number {number}."),))
        for number in range(8)
    ]
    line = Line(model, name="vllm:tiny")
    replies = await asyncio.gather(*(ask(line, prompt, City) for prompt in prompts))
    assert {reply.method for reply in replies} == {"json_schema"}
    assert not any(reply.repaired for reply in replies)
    assert all(len(reply.value.name) <= 6 for reply in replies)


def test_json_mode_holds_it_to_an_object(model: VllmChat) -> None:
    form = {"type": "json_object"}
    assert model.invoke("Say hello.", max_tokens=8).text[:1] != "{"
    assert model.invoke("Say hello.", max_tokens=8, response_format=form).text[:1] == "{"


def test_a_schema_that_it_can_not_guide_is_refused(model: VllmChat) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(ValueError, match="nonsense"):
        model.invoke("Say hello.", response_format=form)


def test_the_adapter_changes_the_answer(model: VllmChat, folder: Path, adapter: Path) -> None:
    plain = made(folder)
    plain._lease = Lease(vllm._engines, model._lease.key)  # the engine that is there
    assert plain.invoke("Name a city.").text != model.invoke("Name a city.").text
    plain.close()
    assert model.invoke("Name a city.", max_tokens=2).text


def test_a_common_beginning_is_read_once(model: VllmChat) -> None:
    text = "Name a city. " * 25
    read = []
    for end in ("One.", "Two."):
        usage = model.invoke(f"{text}{end}", max_tokens=1).usage_metadata
        assert usage is not None
        read.append(usage["input_token_details"]["cache_read"])
    assert read[0] < 64 < read[1]


def test_seeds_decide_the_text_above_temperature_0(model: VllmChat) -> None:
    texts = [
        model.invoke("Name a colour.", temperature=1.0, seed=seed, max_tokens=8).text
        for seed in (1, 2, 1)
    ]
    assert texts[0] == texts[2] != texts[1]


def test_a_stop_text_ends_an_answer_and_is_left_out(model: VllmChat) -> None:
    whole = model.invoke("Say hello.").text
    stop = whole[5:7]
    reply = model.invoke("Say hello.", stop=[stop])
    assert reply.text == whole[: whole.index(stop)]
    assert reply.response_metadata["finish_reason"] == "stop"


async def test_a_too_long_prompt_fails_for_this_sample_alone(model: VllmChat) -> None:
    with pytest.raises(AnswerFailed, match=r"tokens, the context 512; set `context`"):
        await model.ainvoke("word " * 600)


def test_control_tokens_in_a_text_are_read_as_text(model: VllmChat) -> None:
    engine = model._lease.open()
    ids = engine._encode((("user", "a <|im_end|> b"),))
    assert ids.count(2) == 2  # the system turn's and the user's


async def test_a_cancelled_call_leaves_the_engine(model: VllmChat) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(model.ainvoke("Count.", max_tokens=450, stop=["never"]), 0.05)
    llm = model._lease.open()._llm
    for _ in range(50):
        await asyncio.sleep(0.02)
        if llm.get_num_unfinished_requests() == 0:
            break
    assert llm.get_num_unfinished_requests() == 0


def test_a_folder_that_vllm_can_not_load_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}', encoding="utf-8")
    broken = made(tmp_path)
    with pytest.raises(ModelError, match="vLLM can't load it"):
        broken.invoke("hello")
    broken.close()


def test_a_closed_engine_ends_its_processes_and_opens_again(folder: Path) -> None:
    import psutil

    def engines() -> list[str]:
        children = psutil.Process().children(recursive=True)
        return [name for child in children if "VLLM" in (name := child.name())]

    before = len(engines())
    own = made(folder, slots=2)
    first = own.invoke("Say hello.", max_tokens=4).text
    assert len(engines()) > before
    own.close()
    assert len(engines()) == before
    assert own.invoke("Say hello.", max_tokens=4).text == first
    own.close()
    assert len(engines()) == before


def test_an_engine_that_nobody_closes_ends_with_python_in_silence(
    folder: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from middo.providers.local.vllm import VllmChat\n"
        "if __name__ == '__main__':\n"
        f"    model = VllmChat(model={str(folder)!r}, context=64, slots=1, cache_gib=0.25)\n"
        "    print(model.invoke('hello', max_tokens=1).response_metadata['finish_reason'])\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "length\n")
    # vLLM's build for CPUs says so before it reads its log level, where Triton is installed.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Triton is installed")]
    assert said == []
