"""One fine-tuning of the trainee: what to do, under which key, and what came out.

Training runs in a child process (`middo.training.worker`), so that its memory is released when it
ends and a crash is contained. This side loads no torch.

The output folder is the model: `adapter_config.json` and `adapter_model.safetensors` for LoRA,
`config.json`, `model.safetensors` and the tokenizer for full fine-tuning; beside them the record
`training.json` and the child's log `train.log`.
"""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..core.errors import Interrupted, TrainingError, UsageError
from ..core.ids import content_hash
from .checkpoints import RECORD, UNFINISHED, read_record, write_json
from .process import Worker, worker_environment

RECIPE = 2
"""Raised when the way of training changes, so that models of the old way are not reused."""

LOG = "train.log"
JOB = "job.json"

_PLACES = ("base", "rows", "output")
# None of these is meant to change the model, so a training may go on with others.
_NOT_IN_KEY = (*_PLACES, "device", "threads", "report_to")

OnProgress = Callable[[int, int, float | None], None]
"""Told (steps done, steps in all, seconds left or None)."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """How the rows are cut into optimizer steps; computed in round 0, kept by all rounds."""

    rows_per_step: int
    max_steps: int


def plan_steps(lengths: Sequence[int], epochs: float, batch_tokens: int) -> StepPlan:
    """Cut the rows into steps of about `batch_tokens` tokens and about equally many rows.

    Args:
        lengths: tokens of each trainable row of round 0; at least one.
        epochs: passes over these rows.
        batch_tokens: tokens per optimizer step, on average.
    """
    wanted = max(1, round(sum(lengths) / batch_tokens))
    rows_per_step = math.ceil(len(lengths) / wanted)
    per_epoch = math.ceil(len(lengths) / rows_per_step)
    return StepPlan(rows_per_step, max(1, round(epochs * per_epoch)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One fine-tuning.

    Attributes:
        base: folder of the base model, safetensors.
        base_digest: hash of that model's content.
        rows: JSONL file of `{id, messages}`; its order is the order before shuffling.
        dataset_sha256: hash of the version that the rows are from.
        output: folder of the model to make.
        method: `lora` trains an adapter in float32, `full` all weights.
        learning_rate: peak of the cosine schedule.
        epochs: passes over the rows; used only where `plan` is None.
        batch_tokens: tokens per optimizer step; used only where `plan` is None.
        plan: round 0's plan; None in round 0, where the child makes it from the trainable rows.
        dtype: `bfloat16` computes in bfloat16; adapters and full weights are kept in float32
            while they are trained, and full weights are saved in `dtype`.
        device: `cpu`, `cuda` or `cuda:N`.
        template: as `model.template`.
        max_length: tokens; longer rows are skipped and counted.
        threads: CPU threads of the child; None leaves the choice to OpenMP.
        report_to: trackers that transformers knows.
    """

    base: Path
    base_digest: str
    rows: Path
    dataset_sha256: str
    output: Path
    method: Literal["lora", "full"] = "lora"
    learning_rate: float
    epochs: float = 1.0
    batch_tokens: int = 1024
    plan: StepPlan | None = None
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    template: Literal["auto", "plain"] = "auto"
    max_length: int = 1024
    seed: int
    threads: int | None = None
    report_to: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Hash of everything that is meant to decide the weights."""
        plain = {name: value for name, value in self.as_dict().items() if name not in _NOT_IN_KEY}
        return content_hash({**plain, "recipe": RECIPE})

    def as_dict(self) -> dict[str, Any]:
        """Return the job as JSON types with absolute paths; `job_from` is the inverse."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **plain,
            **{name: str(plain[name].resolve()) for name in _PLACES},
            "plan": None if self.plan is None else asdict(self.plan),
            "report_to": list(self.report_to),
        }


def job_from(plain: dict[str, Any]) -> TrainingJob:
    """Rebuild a job from `TrainingJob.as_dict`."""
    plan = plain["plan"]
    return TrainingJob(
        **{
            **plain,
            **{name: Path(plain[name]) for name in _PLACES},
            "plan": None if plan is None else StepPlan(**plan),
            "report_to": tuple(plain["report_to"]),
        }
    )


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A finished training.

    Attributes:
        folder: the model, loadable by transformers (full) or peft (LoRA).
        key: the job's key.
        weights: SHA-256 of the safetensors files.
        plan: the step plan that was used.
        rows: rows trained on.
        skipped: rows not trained on, by reason.
        tokens: tokens of the rows trained on, one pass.
        packed: whether rows shared sequences; False where the model doesn't keep them apart.
        train_loss: mean cross-entropy per supervised token in the last logged steps, nats.
        losses: (step, loss) as logged, at most about 200.
        seconds: of the process that finished it, start-up included.
        peak_memory_mb: resident memory of that process.
        peak_gpu_memory_mb: memory that its tensors took on the GPU, None on CPU.
        reused: True where an earlier call had made it.
    """

    folder: Path
    key: str
    weights: str
    plan: StepPlan
    rows: int
    skipped: dict[str, int]
    tokens: int
    packed: bool
    train_loss: float
    losses: tuple[tuple[int, float], ...]
    seconds: float
    peak_memory_mb: int
    peak_gpu_memory_mb: int | None
    reused: bool


def train(
    job: TrainingJob,
    *,
    on_progress: OnProgress = lambda done, total, eta: None,
    should_stop: Callable[[], bool] = lambda: False,
    silence: float = 120.0,
) -> TrainedModel:
    """Fine-tune in a child process and return the model, or return the one already there.

    A training of the same key that was interrupted goes on from its newest complete checkpoint; on
    CPU the weights are then those of an uninterrupted one, bit for bit. What a training of another
    key left in the output folder is deleted.

    Args:
        job: what to train.
        on_progress: called once after loading and then after every step.
        should_stop: asked several times per second; True lets the child save a checkpoint and end.
        silence: seconds without a heartbeat after which the child is killed.

    Raises:
        DataError: no row can be trained on.
        ModelError: the base model can't be loaded.
        UsageError: the output folder holds files that are no training's.
        TrainingError: the child died, hung, or ended without a model.
        Interrupted: `should_stop` said so; calling again goes on.
    """
    key = job.key
    record = read_record(job.output)
    if record is not None and record.get("key") == key and _is_whole(job.output, record):
        shutil.rmtree(job.output / UNFINISHED, ignore_errors=True)
        return _model(job.output, record, reused=True)
    if should_stop():
        raise Interrupted("stopped before the training began; resume to go on")
    file = _prepare(job, key)
    Worker(
        file,
        log=job.output / LOG,
        environment=worker_environment(job.device, job.threads),
        on_progress=on_progress,
        should_stop=should_stop,
        silence=silence,
    ).run()
    record = read_record(job.output)
    if record is None or record.get("key") != key:
        raise TrainingError(
            f"the training process ended without a model; see {job.output / LOG} and resume"
        )
    shutil.rmtree(job.output / UNFINISHED)
    return _model(job.output, record, reused=False)


def _prepare(job: TrainingJob, key: str) -> Path:
    """Write the job into the output folder, emptied unless it holds an unfinished one of `key`."""
    file = job.output / UNFINISHED / JOB
    if job.output.exists() and any(job.output.iterdir()) and _key_of(file) != key:
        # One that was killed before its job was whole has the folder for it already.
        if not (file.parent.exists() or (job.output / RECORD).exists()):
            raise UsageError(
                f"{job.output} holds files that no training left there; give an empty folder"
            )
        shutil.rmtree(job.output)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"key": key, "job": job.as_dict()})
    return file


def _is_whole(output: Path, record: dict[str, Any]) -> bool:
    """Return whether a finished model's weights are those that its record tells of."""
    from .weights import weights_digest

    return bool(record.get("weights") == weights_digest(output))


def _key_of(file: Path) -> str | None:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _model(folder: Path, record: dict[str, Any], *, reused: bool) -> TrainedModel:
    made: dict[str, Any] = {
        **{field.name: record.get(field.name) for field in fields(TrainedModel)},
        "folder": folder,
        "plan": StepPlan(**record["plan"]),
        "losses": tuple((step, loss) for step, loss in record["losses"]),
        "reused": reused,
    }
    return TrainedModel(**made)
