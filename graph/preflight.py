"""Look before anything is trained or written: data, models, agents, embedder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..core.config import RunConfig
from ..core.records import Quarantined
from ..curation.holdout import holdout_size
from ..providers.embedders import embedder_source
from ..providers.prices import Prices, require_prices
from ..providers.resolve import hosts
from ..telemetry.endpoint import check_endpoint
from ..training.sources import check_model
from .embedding import TRAINEE
from .preparing import (
    Staged,
    compared,
    count_usable,
    refuse_too_few,
    select,
    split,
    staged,
)
from .task_rows import check_tasks, task_exchanges
from .teachers import check_teacher


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a run would work on.

    Attributes:
        data_rows: rows of the input.
        quarantined: those that can't be used.
        format: the importer that was detected.
        holdout: rows that would be held out.
        train_rows: rows that would be trained on.
        model: the trainee.
        dtype: precision of its passes.
        device: where it runs.
        teacher: the agents' models and where texts go.
        embedder: of the checks.
        notes: what is worth knowing before a start.
    """

    data_rows: int
    quarantined: list[Quarantined]
    format: str
    holdout: int
    train_rows: int
    model: str
    dtype: str
    device: str
    teacher: str
    embedder: str
    notes: list[str]


def check(config: RunConfig) -> None:
    """Check what a run needs before its folder is made; loads nothing heavy.

    Raises:
        UsageError: the data or a model can't be used.
        ProviderError: a provider's package or key is missing.
    """
    check_endpoint(config.traces)
    check_tasks(config)
    evaluation = config.evaluation
    if evaluation.data is not None or evaluation.rows is not None or evaluation.tasks:
        # Settings that can be refused; found out later, they would leave a folder of no use.
        with _staged(config) as imported:
            samples = select(imported.rows, config)
            asked = task_exchanges(config)
            compared(*split(samples, config), config, imported.format, asked)
    else:
        rows = count_usable(config)
        refuse_too_few(config, rows - holdout_size(rows))
    check_models(config)


@contextmanager
def _staged(config: RunConfig) -> Iterator[Staged]:
    with (
        TemporaryDirectory(prefix="middo-") as scratch,
        staged(config, Path(scratch) / "rows") as rows,
    ):
        yield rows


def check_models(config: RunConfig) -> None:
    """Check that trainee, agents and embedder can be found."""
    check_model(config.model.base)
    for role in config.agents.roles.values():
        for teacher in role.chain:
            check_teacher(teacher)
    require_prices(config, Prices.load(config.budget.prices))
    if config.checks.embedder != TRAINEE:
        embedder_source(config.checks.embedder)


def preflight(config: RunConfig) -> Preflight:
    """Return what a run would do; trains and writes nothing.

    Raises:
        UsageError, ProviderError: as `check`; also where too few rows would be left to train on.
    """
    from ..training.device import pick_device, pick_dtype

    check_endpoint(config.traces)
    check_tasks(config)
    with _staged(config) as imported:
        check_models(config)
        training, held = split(select(imported.rows, config), config)
        found = compared(training, held, config, imported.format, task_exchanges(config))
        train_rows = len(found.training)
    notes = []
    if (note := found.note()) is not None:
        notes.append(note.text)
    if any(task.kind == "lm-eval" for task in config.evaluation.tasks):
        notes.append("rows of lm-eval tasks are compared with training rows when the run begins")
    if len(held) < 20:
        notes.append(f"{len(held)} hold-out rows are too few for the gate to decide anything")
    device = pick_device()
    return Preflight(
        data_rows=imported.total,
        quarantined=[*imported.quarantined, *found.excluded],
        format=imported.format,
        holdout=len(held),
        train_rows=train_rows,
        model=config.model.base,
        dtype=pick_dtype(config.model.dtype, device),
        device=device,
        teacher="; ".join(
            f"{name} {teacher.model}: {hosts(teacher)}"
            for name, role in config.agents.roles.items()
            for teacher in role.chain
        ),
        embedder=config.checks.embedder,
        notes=notes,
    )
