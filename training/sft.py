"""Supervised fine-tuning with TRL's trainer on token ids and labels that Middo makes itself.

TRL gets `input_ids` and `labels`, so that nothing is templated, masked, cut or dropped behind
Middo's back. The trainer's batch is a whole optimizer step, which goes through the model in packed
sequences. Loss: cross-entropy summed over the supervised tokens of the step, divided by their
number, however the step is packed.
"""

import inspect
import json
import math
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from ..core.errors import DataError, TrainingError
from ..core.records import Message, message_from
from .checkpoints import (
    UNFINISHED,
    discard_incomplete,
    newest_complete,
    weight_files,
    write_record,
)
from .isolation import keeps_rows_apart
from .job import StepPlan, TrainingJob, plan_steps
from .packing import ALONE, PACK_TOKENS, StepCollator, sequences
from .sources import load_causal_lm, load_tokenizer
from .tokens import IGNORED, Tokens, Unscored
from .weights import weights_digest

WARMUP = 0.03
"""Share of the steps; rounded down, since the first warm-up step has a learning rate of 0."""

LOGGED_STEPS = 200
LORA_SAVE_STEPS = 100
INDEX_FILE = "model.safetensors.index.json"
PLACING = ("attention_mask", "position_ids")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows to train on, and how many were skipped for which reason."""

    dataset: Any
    lengths: list[int]
    skipped: dict[str, int]


def fine_tune(
    job: TrainingJob,
    *,
    on_step: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    started: float,
) -> None:
    """Train, save the model into `job.output` and declare it finished.

    Returns without declaring it where `should_stop` said so.

    Args:
        job: what to train.
        on_step: told (steps done, steps in all), first when training begins.
        should_stop: asked after every optimizer step; a checkpoint is saved before returning.
        started: `time.monotonic()` of the process's start.

    Raises:
        DataError: no row can be trained on.
        ModelError: the model or its tokenizer can't be loaded.
        TrainingError: the loss became infinite or NaN.
    """
    tokenizer = load_tokenizer(job.base)
    tokens = Tokens(tokenizer, job.template, job.max_length)
    rows = encode_rows(job.rows, tokens)
    plan = job.plan or plan_steps(rows.lengths, job.epochs, job.batch_tokens)
    work = job.output / UNFINISHED
    watch = Watch(on_step, should_stop)
    trainer = build_trainer(job, plan, rows, tokenizer, work, watch)
    if len(trainer.train_dataset) != len(rows.lengths):
        raise TrainingError(
            f"TRL kept {len(trainer.train_dataset)} of {len(rows.lengths)} rows; this version of"
            " TRL prepares data in another way than Middo knows"
        )
    if should_stop():
        return
    discard_incomplete(work)
    checkpoint = newest_complete(work)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if trainer.state.global_step < plan.max_steps:
        return
    _save_model(job, trainer)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = [(entry["step"], round(float(entry["loss"]), 6)) for entry in history]
    write_record(
        job.output,
        {
            "key": job.key,
            "method": job.method,
            "base_digest": job.base_digest,
            "dataset_sha256": job.dataset_sha256,
            "template": tokens.template_name,
            "weights": weights_digest(job.output),
            "plan": asdict(plan),
            "rows": len(rows.lengths),
            "skipped": rows.skipped,
            "tokens": sum(rows.lengths),
            "packed": trainer.packed,
            "train_loss": losses[-1][1],
            "losses": losses,
            "seconds": round(time.monotonic() - started, 1),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": _peak_gpu_memory_mb(job.device),
        },
    )


def encode_rows(file: Path, tokens: Tokens) -> Rows:
    """Tokenise the rows of a JSONL file; those that can't be trained on are counted by reason.

    Raises:
        DataError: none can be trained on.
    """
    ids, labels, lengths = [], [], []
    skipped: Counter[str] = Counter()
    for messages in _read_rows(file):
        try:
            encoded = tokens.encode(messages)
        except Unscored as unscored:
            skipped[unscored.reason] += 1
            continue
        # The first token is never predicted, so a label on it alone gives no loss.
        if all(label == IGNORED for label in encoded.labels[1:]):
            skipped["no_answer"] += 1
            continue
        ids.append(np.asarray(encoded.input_ids, np.int32))  # a tenth of a list of Python integers
        labels.append(np.asarray(encoded.labels, np.int32))
        lengths.append(len(encoded.input_ids))
    if not lengths:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(skipped.items()))
        raise DataError(
            f"no row can be trained on ({reasons or 'there are none'});"
            " check the data, or raise model.max_length"
        )
    dataset = Dataset.from_dict({"input_ids": ids, "labels": labels})
    return Rows(dataset, lengths, dict(sorted(skipped.items())))


def _read_rows(file: Path) -> Iterator[tuple[Message, ...]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield tuple(message_from(plain) for plain in json.loads(line)["messages"])


def build_trainer(
    job: TrainingJob, plan: StepPlan, rows: Rows, tokenizer: Any, work: Path, watch: "Watch"
) -> "AnswerTrainer":
    """Load the base model and build the trainer; checkpoints go into `work`."""
    device = "cuda" if job.device.startswith("cuda") else job.device
    lora = job.method == "lora"
    # All weights in bfloat16 would lose small updates: they are kept in float32 while they learn.
    model = load_causal_lm(job.base, job.dtype if lora else "float32", device)
    packed = keeps_rows_apart(model, max(rows.lengths))
    quarter = max(1, plan.max_steps // 4)
    config = SFTConfig(
        output_dir=str(work),
        max_steps=plan.max_steps,
        per_device_train_batch_size=plan.rows_per_step,
        gradient_accumulation_steps=1,
        learning_rate=job.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=int(WARMUP * plan.max_steps),
        weight_decay=0.0,
        bf16=job.dtype == "bfloat16",
        use_cpu=device == "cpu",
        gradient_checkpointing=False,
        max_length=job.max_length,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=job.seed,
        data_seed=job.seed,
        logging_steps=max(1, plan.max_steps // LOGGED_STEPS),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=min(quarter, LORA_SAVE_STEPS) if lora else quarter,
        save_total_limit=2,
        dataloader_pin_memory=device == "cuda",
        disable_tqdm=True,
        report_to=list(job.report_to) or "none",
    )
    adapter = LoraConfig(
        r=job.lora_rank,
        lora_alpha=job.lora_alpha,
        lora_dropout=job.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = AnswerTrainer(
        model=model,
        args=config,
        data_collator=StepCollator(PACK_TOKENS[device] if packed else ALONE),
        train_dataset=rows.dataset,
        processing_class=tokenizer,
        peft_config=adapter if lora else None,
        callbacks=[watch],
    )
    trainer.packed = packed
    trainer.remove_callback(PrinterCallback)
    return trainer


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]  # trl is untyped
    """TRL's trainer, which on CPU computes logits only where a token is supervised.

    TRL's fused head does so on GPUs; elsewhere it computes the logits of all positions, twice.

    Attributes:
        packed: whether several rows share a sequence, which the model must keep apart.
    """

    packed: bool

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Add up the gradients of a step's sequences; return the step's loss."""
        supervised = (inputs["labels"] != IGNORED).sum()
        losses = []
        for sequence in sequences(inputs):
            losses.append(super().training_step(model, sequence, supervised))
        return torch.stack(losses).sum()

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the summed loss of a sequence over the supervised tokens of the whole step."""
        if return_outputs or num_items_in_batch is None or not self._sparse_logits:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        placing = {name: inputs[name] for name in PLACING if name in inputs}
        targets = inputs["labels"][:, 1:]
        supervised = (targets != IGNORED).any(dim=0).nonzero().squeeze(-1)
        logits = model(
            input_ids=inputs["input_ids"],
            logits_to_keep=supervised,
            use_cache=False,
            **placing,
        ).logits
        return (
            torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1),
                targets[:, supervised].flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            )
            / num_items_in_batch
        )

    @property
    def _sparse_logits(self) -> bool:
        if self.args.device.type != "cpu" or self.aux_loss_enabled:
            return False
        base = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        return "logits_to_keep" in inspect.signature(type(base).forward).parameters

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: checkpoints are not published."""


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is skipped by mypy
    """Tells of steps, stops on request with a checkpoint, and fails on a broken loss."""

    def __init__(
        self, on_step: Callable[[int, int], None], should_stop: Callable[[], bool]
    ) -> None:
        """Keep whom to tell and whom to ask."""
        self._on_step = on_step
        self._should_stop = should_stop

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell where a resumed training goes on."""
        self._on_step(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell, and decide whether to save and to stop."""
        if state.global_step >= state.max_steps:
            # The model itself is saved next. Transformers would also train on from such a
            # checkpoint where the last epoch is not a whole one.
            control.should_save = False
        elif self._should_stop():
            control.should_save = True
            control.should_training_stop = True
        self._on_step(state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Fail where the loss is no number: such weights are worth nothing."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            raise TrainingError(
                f"the training loss is {loss} at step {state.global_step};"
                " lower training.learning_rate"
            )


def _save_model(job: TrainingJob, trainer: Any) -> None:
    for stale in [*weight_files(job.output), job.output / INDEX_FILE]:
        stale.unlink(missing_ok=True)
    if job.method == "full":
        trainer.model.to(getattr(torch, job.dtype))
        load_tokenizer(job.base).save_pretrained(job.output)
    trainer.model.save_pretrained(job.output)
    # peft writes a card full of blanks; an export writes one of its own.
    (job.output / "README.md").unlink(missing_ok=True)


def peak_memory_mb() -> int:
    """Return the largest resident size so far.

    Linux's `ru_maxrss` begins with the size of the process that started this one; `VmHWM` doesn't.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def _peak_gpu_memory_mb(device: str) -> int | None:
    if not device.startswith("cuda"):
        return None
    return int(torch.cuda.max_memory_allocated()) // (1024 * 1024)
