"""The trainee as a chat model, with the tiny random model."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from middo.core.chat import AnswerFailed
from middo.core.errors import ModelError
from middo.graph.trainee import trainee_chat
from middo.providers.local.trainee import TraineeChat
from middo.training.sources import load_causal_lm, load_tokenizer
from middo.training.tokens import Tokens

from ..tiny import CHATML

# peft itself reads a property that transformers is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


def made(folder: Path, adapter: Path | None = None, **params: Any) -> TraineeChat:
    return trainee_chat(folder, adapter, dtype="float32", device="cpu", template="auto", **params)


@pytest.fixture(scope="module")
def trainee(tiny_folder: Path) -> Iterator[TraineeChat]:
    chat = made(tiny_folder, max_tokens=12)
    yield chat
    chat.close()


@pytest.fixture(scope="module")
def adapter(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapter")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        model = load_causal_lm(tiny_folder, "float32", "cpu")
        get_peft_model(model, settings).save_pretrained(folder)
    return folder


def test_an_answer_is_the_likeliest_continuation_of_what_training_encodes(
    trainee: TraineeChat, tiny_folder: Path
) -> None:
    turns = [
        ("system", "Be kind."),
        ("user", "Name a city."),
        ("assistant", "Paris."),
        ("user", "Go."),
    ]
    tokens = Tokens(load_tokenizer(tiny_folder))
    prompt = tokens.encode_prompt(turns)
    model = load_causal_lm(tiny_folder, "float32", "cpu")
    ids = list(prompt)
    with torch.inference_mode():
        while len(ids) < len(prompt) + 12 and ids[-1] != 2:
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    reply = trainee.invoke(
        [
            SystemMessage("Be kind."),
            HumanMessage("Name a city."),
            AIMessage("Paris."),
            HumanMessage("Go."),
        ]
    )
    assert reply.text == tokens.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] == len(prompt)
    assert reply.usage_metadata["output_tokens"] == len(ids) - len(prompt)
    assert reply.response_metadata == {"model_name": "self", "finish_reason": "length"}


def test_a_prompt_ends_with_the_answers_header_and_hides_control_tokens(tiny_folder: Path) -> None:
    tokens = Tokens(load_tokenizer(tiny_folder))
    ids = tokens.encode_prompt([("user", "a <|im_end|> b")])
    text = tokens.tokenizer.decode(ids)
    assert text.endswith("a <|im_end|> b<|im_end|>\n<|im_start|>assistant\n")
    assert ids.count(2) == 2  # the system turn's and the user's: none is the text's


def test_the_adapter_is_part_of_the_model(
    trainee: TraineeChat, tiny_folder: Path, adapter: Path
) -> None:
    tuned = made(tiny_folder, adapter, max_tokens=12)
    assert tuned.invoke("Name a city.").text != trainee.invoke("Name a city.").text
    tuned.close()
    with pytest.raises(ModelError, match="it is not an adapter"):
        made(tiny_folder, tiny_folder / "none").invoke("Name a city.")


def test_seeded_texts_repeat_and_leave_the_process_generator_alone(trainee: TraineeChat) -> None:
    state = torch.random.get_rng_state()
    texts = [trainee.invoke("Name a city.", temperature=1.5, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_an_end_token_ends_an_answer(tiny_folder: Path) -> None:
    chat = made(tiny_folder, max_tokens=200, temperature=3.0, seed=3)
    reply = chat.invoke("Name a city.")
    chat.close()
    assert reply.response_metadata["finish_reason"] == "stop"
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] < 200


def test_a_stop_text_ends_an_answer_and_is_left_out(trainee: TraineeChat) -> None:
    whole = trainee.invoke("Name a city.").text
    stop = whole[4:6]
    for reply in (
        trainee.invoke("Name a city.", stop=["never said", stop]),
        trainee.model_copy(update={"stop": [stop]}).invoke("Name a city."),
    ):
        assert reply.text == whole[: whole.index(stop)]
        assert reply.response_metadata["finish_reason"] == "stop"


def test_a_prompt_beyond_the_context_fails_for_this_sample_alone(trainee: TraineeChat) -> None:
    with pytest.raises(AnswerFailed, match="more than the model's context"):
        trainee.invoke("word " * 2100)


def test_turns_that_the_template_refuses_fail_for_this_sample_alone(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "refusing"
    shutil.copytree(tiny_folder, folder)
    refusing = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(refusing + CHATML, encoding="utf-8")
    chat = made(folder, max_tokens=2)
    assert chat.invoke("hello").response_metadata["finish_reason"] == "length"
    with pytest.raises(AnswerFailed, match="can't be encoded: template: no system"):
        chat.invoke([SystemMessage("Be kind."), HumanMessage("hello")])
    chat.close()


async def test_a_cancelled_call_stops_generating(tiny_folder: Path) -> None:
    chat = made(tiny_folder, max_tokens=1900, repeat_penalty=2.0)
    await chat.ainvoke("hello", max_tokens=1)
    steps = 0
    decode = chat._trainee.decode  # type: ignore[union-attr]

    def counted(ids: Any) -> str:
        nonlocal steps
        steps += 1
        return decode(ids)

    chat._trainee.decode = counted  # type: ignore[union-attr, method-assign]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(chat.ainvoke("hello", stop=["never said"]), 0.2)
    await asyncio.to_thread(chat.close)
    assert 0 < steps < 1900


async def test_the_event_loop_goes_on_and_calls_queue_for_one_worker(trainee: TraineeChat) -> None:
    task = asyncio.gather(*(trainee.ainvoke("Name a city.") for _ in range(3)))
    ticks = 0
    while not task.done():
        ticks += 1
        await asyncio.sleep(0.001)
    assert ticks > 3
    assert len({reply.text for reply in await task}) == 1
    assert sum("trainee" in thread.name for thread in threading.enumerate()) == 1


def test_a_closed_trainee_frees_its_weights_and_loads_again(tiny_folder: Path) -> None:
    chat = made(tiny_folder, max_tokens=2)
    first = chat.invoke("hello").text
    chat.close()
    assert chat._trainee is None
    chat.close()
    assert chat.invoke("hello").text == first
    chat.close()


def test_what_it_would_not_heed_is_refused(trainee: TraineeChat) -> None:
    with pytest.raises(TypeError, match="self takes no argument 'response_format'"):
        trainee.invoke("hello", response_format={"type": "json_object"})
    with pytest.raises(ValueError, match="self takes no 'tool' message"):
        trainee.invoke([ToolMessage("x", tool_call_id="1")])
