"""The arms of `training.py`: one training in this process, its steps timed.

    python -m benchmarks.training_arms ARM JOB

JOB is JSON: base, rows, device, dtype, rows_per_step, steps, max_length, seed, work (a folder for
checkpoints) and result (the file to write).
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from middo.training.job import StepPlan, TrainingJob
from middo.training.packing import ALONE, StepCollator
from middo.training.sft import Watch, build_trainer, encode_rows, peak_memory_mb
from middo.training.sources import load_tokenizer
from middo.training.tokens import IGNORED, Tokens

LEARNING_RATE = 2e-4
RANK, ALPHA = 16, 32


def main() -> None:
    """Train one arm and write what was measured."""
    arm, asked = sys.argv[1], json.loads(sys.argv[2])
    trainer = _trl(asked) if arm == "trl" else _middo(asked, alone=arm != "middo")
    clock = Clock()
    trainer.add_callback(clock)
    tokens, supervised = _counted(trainer)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    result = {
        "tokens": tokens,
        "supervised": supervised,
        "steps": trainer.state.global_step,
        "seconds": sum(clock.seconds),
        "step_seconds": clock.seconds,
        "peak_memory_mb": peak_memory_mb(),
        "losses": [float(loss) for loss in losses],
    }
    Path(asked["result"]).write_text(json.dumps(result), encoding="utf-8")


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is skipped by mypy
    """Times every optimizer step."""

    def __init__(self) -> None:
        """Begin with no step."""
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Note when the step begins."""
        self._began = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Note how long it took."""
        self.seconds.append(time.perf_counter() - self._began)


def _trl(asked: Mapping[str, Any]) -> Any:
    """Return TRL's trainer as its users build it."""
    rows = [json.loads(line)["messages"] for line in _lines(asked)]
    data = [{"prompt": messages[:-1], "completion": messages[-1:]} for messages in rows]
    return SFTTrainer(
        model=asked["base"],
        args=SFTConfig(
            output_dir=asked["work"],
            max_steps=asked["steps"],
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="cosine",
            bf16=asked["dtype"] == "bfloat16",
            use_cpu=asked["device"] == "cpu",
            seed=asked["seed"],
            logging_steps=1,
            save_strategy="no",
            disable_tqdm=True,
            report_to="none",
            model_init_kwargs={"dtype": asked["dtype"]},
        ),
        train_dataset=Dataset.from_list(data),
        peft_config=LoraConfig(
            r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear"
        ),
    )


def _middo(asked: Mapping[str, Any], *, alone: bool) -> Any:
    """Return Middo's trainer as its training process builds it."""
    base, work = Path(asked["base"]), Path(asked["work"])
    job = TrainingJob(
        base=base,
        base_digest="",
        rows=Path(asked["rows"]),
        dataset_sha256="",
        output=work,
        learning_rate=LEARNING_RATE,
        lora_rank=RANK,
        lora_alpha=ALPHA,
        dtype=asked["dtype"],
        device=asked["device"],
        max_length=asked["max_length"],
        seed=asked["seed"],
    )
    tokenizer = load_tokenizer(base)
    rows = encode_rows(job.rows, Tokens(tokenizer, job.template, job.max_length))
    plan = StepPlan(asked["rows_per_step"], asked["steps"])
    watch = Watch(lambda done, total: None, lambda: False)
    trainer = build_trainer(job, plan, rows, tokenizer, work, watch)
    if alone:
        trainer.data_collator = StepCollator(ALONE)
    return trainer


def _counted(trainer: Any) -> tuple[int, int]:
    """Return the tokens and the supervised tokens of one pass over the rows, without padding."""
    tokens = supervised = 0
    for batch in trainer.get_train_dataloader():
        supervised += int((batch["labels"] != IGNORED).sum())
        mask = batch.get("attention_mask")
        tokens += batch["input_ids"].numel() if mask is None else int(mask.sum())
    return tokens, supervised


def _lines(asked: Mapping[str, Any]) -> list[str]:
    return Path(asked["rows"]).read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    main()
