"""Greedy answers in batches: what one prompt alone gets, whatever is asked beside it."""

from pathlib import Path

import pytest
import torch

from middo.core.errors import Interrupted, ModelError
from middo.training import generation
from middo.training.generation import Generator
from middo.training.sources import load_causal_lm, load_tokenizer
from middo.training.tokens import Tokens

PROMPTS = [
    (("user", "Name the capital of France."),),
    (("user", "How many apples are left when you eat 3 of 10? Explain why the sky is blue."),),
    (("user", "Sea?"),),
    (("system", "Be long."), ("user", "Write a poem.")),
    (("user", "a"), ("assistant", "b"), ("user", "What is the sum of 12 and 30?")),
]


@pytest.fixture
def generator(tiny_folder: Path) -> Generator:
    return Generator(tiny_folder, dtype="float32", device="cpu")


def greedy(folder: Path, turns: tuple[tuple[str, str], ...], most: int) -> str:
    """Answer a prompt token by token, each from the whole text again."""
    tokens = Tokens(load_tokenizer(folder))
    model = load_causal_lm(folder, "float32", "cpu")
    ids, ends = tokens.encode_prompt(turns), tokens.ends()
    made: list[int] = []
    with torch.inference_mode():
        while len(made) < most:
            logits = model(torch.tensor([ids + made])).logits[0, -1]
            made.append(int(logits.argmax()))
            if made[-1] in ends:
                made.pop()
                break
    text: str = tokens.tokenizer.decode(
        made, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def test_a_batch_answers_as_each_prompt_alone(tiny_folder: Path, generator: Generator) -> None:
    told: list[tuple[int, int]] = []
    found = generator.answers(
        PROMPTS, max_tokens=12, advance=lambda done, total, eta: told.append((done, total))
    )
    assert [answer.text for answer in found] == [greedy(tiny_folder, p, 12) for p in PROMPTS]
    assert len({answer.text for answer in found}) > 1
    assert all(1 <= answer.tokens <= 12 for answer in found)
    assert told == [(5, 5)]
    assert generator.answers(PROMPTS[::-1], max_tokens=12) == found[::-1]


def test_the_folders_own_wish_to_sample_is_not_followed(
    tiny_folder: Path, tmp_path: Path, generator: Generator
) -> None:
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = '{"do_sample": true, "temperature": 5.0, "repetition_penalty": 9.0}'
    (tmp_path / "generation_config.json").write_text(settings, encoding="utf-8")
    other = Generator(tmp_path, dtype="float32", device="cpu")
    wanted = generator.answers(PROMPTS, max_tokens=12)
    assert other.answers(PROMPTS, max_tokens=12) == wanted


def test_a_prompt_that_can_not_be_asked_says_why(generator: Generator) -> None:
    long = (("user", "sea " * 3000),)
    broken = (("user", "half \ud800"),)
    found = generator.answers([long, PROMPTS[2], broken], max_tokens=4)
    assert [answer.problem for answer in found] == ["too_long", "", "not_unicode"]
    assert found[1] == generator.answers([PROMPTS[2]], max_tokens=4)[0]


def test_it_stops_between_two_tokens(generator: Generator) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    with pytest.raises(Interrupted, match="resume"):
        generator.answers(PROMPTS, max_tokens=200, should_stop=stop)
    assert asked == 3


def test_a_batch_that_memory_is_too_small_for_is_halved(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = generator.answers(PROMPTS, max_tokens=6)
    sizes: list[int] = []
    generate = generator._model.generate

    def starved(input_ids: torch.Tensor, **arguments: object) -> object:
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(input_ids=input_ids, **arguments)

    monkeypatch.setattr(generator._model, "generate", starved)
    assert generator.answers(PROMPTS, max_tokens=6) == wanted
    assert sizes == [5, 2, 2, 1]
    monkeypatch.setattr(generation, "is_out_of_memory", lambda error: True)
    monkeypatch.setattr(generator._model, "generate", lambda **arguments: 1 / 0)
    with pytest.raises(ModelError, match="lower max_tokens"):
        generator.answers(PROMPTS, max_tokens=6)
