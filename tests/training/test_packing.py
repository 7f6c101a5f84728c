"""Packed steps: the same rows, labels, loss and gradients as rows by themselves."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from middo.training.isolation import keeps_rows_apart
from middo.training.job import StepPlan, TrainingJob
from middo.training.packing import ALONE, StepCollator, pack, sequences
from middo.training.sources import load_causal_lm, load_tokenizer
from middo.training.tokens import IGNORED, Tokens

from ..tiny import tiny_model, tiny_tokenizer

# trl and peft use names that transformers deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

KINDS = ["llama", "gpt2", "granite", "qwen2", "qwen2-window", "mistral-window", "gemma3-window"]
ASKED = [
    ("Name the capital.", "Paris."),
    ("Write a poem about the sea and the land.", "The sea is blue, it sings the land to sleep."),
    ("12 and 30?", "The sum of 12 and 30 is 42. The sum of 12 and 30 is 42, and so it was."),
    ("Why is the sky blue?", "The sky is blue."),
    ("How many apples?", "There are 7 apples left after you eat 3 of 10, and 3 after you eat 7."),
]


@pytest.fixture(scope="module", params=KINDS)
def kind_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("kinds") / request.param, request.param)


def build(base: Path, place: Path, **changes: Any) -> Any:
    from middo.training.sft import Watch, build_trainer, encode_rows

    rows = place / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for asked, answered in ASKED:
            messages = [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": answered},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")
    job = TrainingJob(
        base=base,
        base_digest="b",
        rows=rows,
        dataset_sha256="d",
        output=place / "model",
        learning_rate=0.01,
        seed=1,
        **changes,
    )
    tokenizer = load_tokenizer(base)
    encoded = encode_rows(rows, Tokens(tokenizer, "auto", 1024))
    watch = Watch(lambda done, total: None, lambda: False)
    return build_trainer(job, StepPlan(5, 2), encoded, tokenizer, place / "work", watch)


def row(seed: int, length: int) -> dict[str, list[int]]:
    """A row of arbitrary tokens, of which the later half is supervised."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 400, (length,), generator=random).tolist()
    half = length // 2
    return {"input_ids": ids, "labels": [IGNORED] * half + ids[half:]}


def test_packs_hold_every_row_once_within_the_budget() -> None:
    assert pack([50, 10, 90, 40, 60], 100) == [[1, 2], [3, 4], [0]]
    assert pack([50, 10, 90], ALONE) == [[2], [0], [1]]
    assert pack([], 100) == []
    random = torch.Generator().manual_seed(0)
    for budget in (1, 64, 256):
        lengths = torch.randint(1, 200, (60,), generator=random).tolist()
        packs = pack(lengths, budget)
        assert sorted(index for group in packs for index in group) == list(range(60))
        for group in packs:
            assert len(group) == 1 or sum(lengths[index] for index in group) <= budget


def test_a_step_keeps_tokens_labels_and_their_number() -> None:
    rows = [row(1, 8), row(2, 30), row(3, 12)]
    parts = list(sequences(StepCollator(24)(rows)))
    assert [part["input_ids"].tolist() for part in parts] == [
        [rows[1]["input_ids"]],
        [rows[0]["input_ids"] + rows[2]["input_ids"]],
    ]
    assert set(parts[0]) == {"input_ids", "labels", "attention_mask"}
    assert parts[0]["attention_mask"].tolist() == [[1] * 30]
    assert set(parts[1]) == {"input_ids", "labels", "position_ids"}
    assert parts[1]["position_ids"].tolist() == [[*range(8), *range(12)]]
    assert parts[1]["labels"].tolist() == [rows[0]["labels"] + rows[2]["labels"]]


def test_no_row_predicts_the_first_token_of_the_next() -> None:
    rows = [{**row(seed, 6), "labels": row(seed, 6)["input_ids"]} for seed in (1, 2)]
    (packed,) = sequences(StepCollator(100)(rows))
    labels = packed["labels"][0].tolist()
    assert [index for index, label in enumerate(labels) if label == IGNORED] == [0, 6]


@pytest.mark.parametrize("way", ["packed", "plain"])
def test_a_neighbours_tokens_change_nothing_unless_attention_is_plain(
    kind_folder: Path, way: str
) -> None:
    """The plain way shows that the test sees a leak: causal attention over the whole sequence."""
    model = load_causal_lm(kind_folder, "float32", "cpu").eval()

    def losses(neighbour: int) -> torch.Tensor:
        # Both rows are longer than the window of those kinds that have one.
        rows = [row(neighbour, 24), row(9, 22), row(neighbour + 20, 18)]
        (inputs,) = sequences(StepCollator(100)(rows))
        labels = inputs.pop("labels")
        if way == "plain":
            del inputs["position_ids"]
        with torch.no_grad():
            logits = model(**inputs, use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits[0, 23:45], labels[0, 24:46], reduction="none"
        )

    one, other = losses(1), losses(2)
    assert one.max() > 3
    worst = float((one - other).abs().max())
    assert worst < 1e-6 if way == "packed" else worst > 0.01


def test_packed_loss_and_gradients_are_those_of_rows_alone(
    kind_folder: Path, tmp_path: Path
) -> None:
    trainer = build(kind_folder, tmp_path, method="full")
    assert trainer.packed
    rows = [trainer.train_dataset[number] for number in range(len(ASKED))]
    model = trainer.model

    def learn(budget: int) -> tuple[float, dict[str, torch.Tensor], int]:
        model.zero_grad()
        step = StepCollator(budget)(rows)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # GPT-2 has some; what it draws would hang on the packing
        loss = float(trainer.training_step(model, step))
        gradients = {
            name: value.grad.clone()
            for name, value in model.named_parameters()
            if value.grad is not None
        }
        return loss, gradients, len(step["packs"])

    alone, by_row, count = learn(ALONE)
    packed, by_pack, packs = learn(160)
    assert (count, packs) == (5, 2)
    assert packed == pytest.approx(alone, rel=1e-6)
    assert by_pack.keys() == by_row.keys()
    for name, gradient in by_row.items():
        scale = float(gradient.abs().max())
        assert float((by_pack[name] - gradient).abs().max()) <= 1e-4 * scale + 1e-7, name
    assert max(float(gradient.abs().max()) for gradient in by_row.values()) > 0.01


def test_models_with_attention_keep_rows_apart(kind_folder: Path) -> None:
    assert keeps_rows_apart(load_causal_lm(kind_folder, "float32", "cpu"), 1024)
    assert keeps_rows_apart(load_causal_lm(kind_folder, "bfloat16", "cpu"), 1024)


def mamba(folder: Path) -> Path:
    """Write a tiny model whose state runs on from row to row."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny_tokenizer()
    config = AutoConfig.for_model(
        "mamba",
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        state_size=8,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_mixes_rows_is_trained_on_one_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = build(mamba(tmp_path / "mamba"), tmp_path, method="full")
    assert not trainer.packed
    assert "rows are not packed" in caplog.text
    step = trainer.data_collator([trainer.train_dataset[number] for number in range(3)])
    assert [len(rows) for rows in step["packs"]] == [1, 1, 1]
    assert float(trainer.training_step(trainer.model, step)) > 3


def test_a_model_that_ignores_positions_is_found_out(
    tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_causal_lm(tiny_folder, "float32", "cpu")
    model.base_model.register_forward_pre_hook(
        lambda module, args, named: (args, {**named, "position_ids": None}), with_kwargs=True
    )
    assert not keeps_rows_apart(model, 1024)
    assert "change by" in caplog.text


def test_a_model_that_refuses_positions_is_found_out(
    tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_causal_lm(tiny_folder, "float32", "cpu")

    def refuse(module: Any, args: Any, named: dict[str, Any]) -> None:
        raise TypeError("unexpected keyword argument 'position_ids'")

    model.base_model.register_forward_pre_hook(refuse, with_kwargs=True)
    assert not keeps_rows_apart(model, 1024)
    assert "the model refuses it: unexpected keyword" in caplog.text
