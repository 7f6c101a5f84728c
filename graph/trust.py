"""A run folder that another user made: its configuration is code that would run as this user.

`import:` in a configuration imports a module, and a `base_url` decides where samples go. Whoever
resumes such a folder sees both first and has to say that it is wanted.
"""

import os
from pathlib import Path

from ..core.config import RunConfig, TeacherConfig
from ..core.errors import MiddoError, UsageError
from ..core.task_config import TaskConfig
from ..providers.privacy import traces_host, tracing_wanted
from ..providers.resolve import code_of, hosts
from ..telemetry.endpoint import endpoint_host


def refuse_foreign(folder: Path, config_file: Path, config: RunConfig) -> None:
    """Raise where the folder or its configuration belongs to another user.

    Raises:
        UsageError: the message lists what would run and where texts would go.
    """
    if not any(_is_foreign(path) for path in (folder, config_file)):
        return
    raise UsageError(
        f"{folder}: belongs to another user, and its configuration decides what runs as you: "
        f"{'; '.join(consequences(config))}; look at {config_file}, then add --trust"
    )


def consequences(config: RunConfig) -> list[str]:
    """Say which code a configuration runs and where it sends texts, each thing once."""
    models = [model for role in config.agents.roles.values() for model in role.chain]
    lines = [f"imports {code}" for model in models if (code := code_of(model))]
    lines += [f"{model.model} sends texts to {_host(model)}" for model in models]
    lines += [line for task in config.evaluation.tasks if (line := task_code(task)) is not None]
    lines.append(f"trains {config.model.base} on {config.data.path}")
    if config.training.report_to:
        lines.append(f"reports the training to {', '.join(config.training.report_to)}")
    if config.traces.langsmith and tracing_wanted():
        lines.append(f"sends LLM calls to LangSmith at {traces_host()}")
    if config.traces.otlp is not None:
        line = f"sends traces with their texts to {endpoint_host(config.traces.otlp)}"
        variable = config.traces.otlp_headers_env
        lines.append(line if variable is None else f"{line}, and what {variable} holds as headers")
    return list(dict.fromkeys(lines))


def task_code(task: TaskConfig) -> str | None:
    """Say which code a task of the evaluation runs, None where it is Middo's own."""
    if task.kind == "import":
        return f"imports {task.target}"
    if task.kind == "lm-eval":
        files = "" if task.include_path is None else f" with the task files in {task.include_path}"
        return f"runs the task {task.target} of lm-evaluation-harness{files}"
    return None


def _host(model: TeacherConfig) -> str:
    try:
        return hosts(model)
    except MiddoError:
        return "an unknown place"


def _is_foreign(path: Path) -> bool:
    if not hasattr(os, "geteuid") or not path.exists():
        return False
    return path.stat().st_uid != os.geteuid()
