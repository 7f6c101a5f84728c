"""The loss of Middo's trainer against TRL's own, and against a loss written out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from middo.core.errors import TrainingError
from middo.training.job import StepPlan, TrainingJob
from middo.training.sources import load_tokenizer
from middo.training.tokens import IGNORED, Tokens

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # trl uses deprecated names

TALKS = [
    [("user", "What is the sum of 12 and 30?"), ("assistant", "The sum is 42.")],
    [
        ("user", "Write a poem."),
        ("assistant", "The sea."),
        ("user", "Again, about the sky and the river."),
        ("assistant", "The sky is blue, it sings the land to sleep."),
    ],
    [("system", "Be clear."), ("user", "Explain."), ("assistant", "No.")],
]


@pytest.fixture(scope="module")
def trainer(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from middo.training.sft import Watch, build_trainer, encode_rows

    place = tmp_path_factory.mktemp("sft")
    rows = place / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for number, talk in enumerate(TALKS):
            messages = [{"role": role, "content": content} for role, content in talk]
            file.write(json.dumps({"id": str(number), "messages": messages}) + "\n")
    job = TrainingJob(
        base=tiny_folder,
        base_digest="b",
        rows=rows,
        dataset_sha256="d",
        output=place / "model",
        learning_rate=0.01,
        seed=1,
    )
    tokenizer = load_tokenizer(tiny_folder)
    encoded = encode_rows(rows, Tokens(tokenizer, "auto", 1024))
    watch = Watch(lambda done, total: None, lambda: False)
    return build_trainer(job, StepPlan(3, 2), encoded, tokenizer, place / "work", watch)


def batch(trainer: Any, *numbers: int) -> dict[str, Any]:
    """Return rows as one sequence."""
    from middo.training.packing import StepCollator, sequences

    rows = [trainer.train_dataset[number] for number in numbers]
    (sequence,) = sequences(StepCollator(1024)(rows))
    return sequence


def supervised(inputs: dict[str, Any]) -> int:
    return int((inputs["labels"][:, 1:] != IGNORED).sum())


@pytest.mark.parametrize("numbers", [(0,), (1,), (0, 1, 2)])
def test_logits_at_supervised_positions_give_trls_own_loss(
    trainer: Any, numbers: tuple[int, ...]
) -> None:
    from trl import SFTTrainer

    inputs = batch(trainer, *numbers)
    count = supervised(inputs)
    ours = trainer.compute_loss(trainer.model, dict(inputs), num_items_in_batch=count)
    theirs = SFTTrainer.compute_loss(trainer, trainer.model, dict(inputs), num_items_in_batch=count)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    assert float(ours.detach()) > 5


def test_loss_is_the_mean_over_the_assistants_tokens_of_all_sequences(trainer: Any) -> None:
    import torch

    total, count = 0.0, 0
    for number in range(len(TALKS)):
        inputs = batch(trainer, number)
        ids, labels = inputs["input_ids"], inputs["labels"]
        with torch.no_grad():
            logits = trainer.model(input_ids=ids).logits
        surprise = -torch.log_softmax(logits[0, :-1], -1).gather(-1, ids[0, 1:, None])[:, 0]
        total += float(surprise[labels[0, 1:] != IGNORED].sum())
        count += supervised(inputs)
    parts = [
        trainer.compute_loss(trainer.model, batch(trainer, n), num_items_in_batch=count)
        for n in range(len(TALKS))
    ]
    together = trainer.compute_loss(
        trainer.model, batch(trainer, 0, 1, 2), num_items_in_batch=count
    )
    assert sum(float(part.detach()) for part in parts) == pytest.approx(total / count, rel=1e-5)
    assert float(together.detach()) == pytest.approx(total / count, rel=1e-5)


def test_only_what_the_assistant_says_is_supervised(trainer: Any) -> None:
    labels = trainer.train_dataset[1]["labels"]
    said = trainer.processing_class.decode([label for label in labels if label != IGNORED])
    assert said == "The sea.<|im_end|>The sky is blue, it sings the land to sleep.<|im_end|>"


def test_only_the_adapter_learns(trainer: Any) -> None:
    learning = {name for name, value in trainer.model.named_parameters() if value.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    from types import SimpleNamespace

    from middo.training.sft import Watch

    watch = Watch(lambda done, total: None, lambda: False)
    state = SimpleNamespace(global_step=5)
    watch.on_log(None, state, None, logs={"loss": 2.5})
    with pytest.raises(TrainingError, match=r"nan at step 5; lower training\.learning_rate"):
        watch.on_log(None, state, None, logs={"loss": float("nan")})
