"""What `middo run --dry-run` prints, and where a run's texts go."""

from typing import TYPE_CHECKING, Any

from ..core.amounts import several
from ..core.config import RunConfig, TeacherConfig
from ..inspection.figures import aligned, count
from .output import clean, shortened

if TYPE_CHECKING:
    from ..graph.preflight import Preflight

_REASONS = 5


def hosts_lines(config: RunConfig) -> list[str]:
    """Say which model plays which role, where sample texts go for it, and where traces go."""
    roles = config.agents.roles
    if config.agents.critic is None:
        del roles["critic"]
    lines = []
    for name, role in roles.items():
        lines.append(goes_to(name, role))
        lines += [goes_to(f"{name}, if that fails:", model) for model in role.fallbacks]
    from ..graph.trust import task_code

    for task in config.evaluation.tasks:
        if (code := task_code(task)) is not None:
            lines.append(f"task {clean(task.title)}: this configuration {clean(code)}")
    return [*lines, traces_line(config)]


def goes_to(name: str, model: TeacherConfig) -> str:
    """Say in one line where one model's texts go, and which code it runs."""
    from ..providers.resolve import code_of, hosts

    line = f"{name} {clean(model.model)}: texts go to {clean(hosts(model))}"
    code = code_of(model)
    return line if code is None else f"{line}; this configuration runs the code of {clean(code)}"


def traces_line(config: RunConfig) -> str:
    """Say where prompts and answers go besides the run folder and the models."""
    from ..providers.privacy import traces_host, tracing_wanted
    from ..telemetry.endpoint import endpoint_host

    traces = config.traces
    places = []
    if traces.otlp is not None:
        places.append(f"to {clean(endpoint_host(traces.otlp))} by OpenTelemetry")
    if traces.langsmith and tracing_wanted():
        places.append(f"to LangSmith at {clean(traces_host())}")
    if places:
        also = "also go" if traces.store else "go"
        return f"traces: prompts and answers {also} {' and '.join(places)}"
    kept = "traces stay in the run folder" if traces.store else "no traces are kept"
    return f"{kept}: LANGSMITH_TRACING is not true" if traces.langsmith else kept


def plan_document(config: RunConfig, found: "Preflight") -> dict[str, Any]:
    """Return the plan as JSON types."""
    return {
        "dry_run": True,
        "imported": found.data_rows,
        "format": found.format,
        "quarantined": [{"source": row.source, "reason": row.reason} for row in found.quarantined],
        "holdout": found.holdout,
        "train_rows": found.train_rows,
        "model": found.model,
        "dtype": found.dtype,
        "device": found.device,
        "teacher": found.teacher,
        "embedder": found.embedder,
        "traces": traces_line(config),
        "trainings": config.rounds + 1,
        "notes": list(found.notes),
        "config": config.model_dump(mode="json"),
    }


def plan_text(config: RunConfig, found: "Preflight") -> str:
    """Return the plan for people."""
    table = [
        ["Data", f"{clean(config.data.path)}: {several(found.data_rows, 'row')} ({found.format})"],
        ["", f"{count(found.train_rows)} to train on, {count(found.holdout)} held out"],
        ["Quarantined", several(len(found.quarantined), "row")],
        *(
            ["", f"{clean(row.source)}: {shortened(row.reason, 60)}"]
            for row in found.quarantined[:_REASONS]
        ),
        ["Trainee", f"{clean(found.model)}, {found.dtype} on {found.device}"],
        ["Training", f"{config.training.method}, {several(config.rounds + 1, 'training')} at most"],
        ["Agents", clean(found.teacher)],
        ["Embedder", clean(found.embedder)],
        ["Traces", clean(traces_line(config).removeprefix("traces: ").removeprefix("traces "))],
        *(["Note", clean(note)] for note in found.notes),
    ]
    ending = "Everything a run needs is there; nothing was trained or written."
    return "\n".join([*aligned(table, [False, False]), "", ending])
