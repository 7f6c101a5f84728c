"""The trainings of a run: what is trained for a round, with the run's seed or another one."""

import json

from ..stores.runs import write_pieces
from ..training.job import StepPlan, TrainingJob
from .deps import Deps


def training_job(deps: Deps, number: int) -> TrainingJob:
    """Describe the training of a round; all rounds take as many optimizer steps as round 0."""
    config, folder = deps.config, deps.round_folder(number)
    steps = deps.facts.get("steps")
    rows = folder / "rows.jsonl"
    version = deps.version(number)
    lines = (
        json.dumps({"id": sample.id, "messages": [m.as_dict() for m in sample.messages]}) + "\n"
        for sample in version
    )
    write_pieces(rows, lines)
    return TrainingJob(
        base=deps.source.folder,
        base_digest=deps.source.digest,
        rows=rows,
        dataset_sha256=version.sha256,
        output=folder / "model",
        method=config.training.method,
        learning_rate=config.training.rate,
        epochs=config.training.epochs,
        batch_tokens=config.training.batch_tokens,
        plan=None if steps is None or number == 0 else StepPlan(steps["rows"], steps["steps"]),
        lora_rank=config.training.lora.rank,
        lora_alpha=config.training.lora.alpha,
        lora_dropout=config.training.lora.dropout,
        dtype=deps.dtype,
        device=deps.device,
        template=config.model.template,
        max_length=config.model.max_length,
        seed=config.seed,
        report_to=tuple(config.training.report_to),
    )
