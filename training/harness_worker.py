"""The child process of a harness task: `python -m middo.training.harness_worker JOB EVENTS LIFE`.

`harness.py` starts it; the pipes are those of `worker.py`. Only this module imports lm_eval.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..core.errors import MiddoError, TrainingError, UsageError
from .checkpoints import write_json
from .harness import BATCH, HarnessJob, harness_job_from
from .worker import FAILED, Link

_NO_METRIC = ("alias", "name", "sample_len", "sample_count")


def main(arguments: list[str]) -> int:
    """Run the job; return the exit code. SIGTERM ends the process, there is nothing to keep."""
    file, events, life = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    link = Link(events, life)
    try:
        job = harness_job_from(json.loads(file.read_text(encoding="utf-8"))["job"])
        _quiet()
        write_json(job.result, _texts(job) if job.base is None else _measured(job))
    except MiddoError as error:
        link.send("error", kind=type(error).__name__, message=str(error))
        return FAILED
    except Exception as error:  # the process boundary: the parent turns it into one line
        import traceback

        text = " ".join(str(error).split())[:300]
        message = f"evaluation.tasks: lm-eval failed: {type(error).__name__}: {text}"
        link.send("error", kind=TrainingError.__name__, message=message)
        traceback.print_exc()
        return FAILED
    return 0


def _quiet() -> None:
    import warnings

    warnings.simplefilter("ignore")  # they go to the log by the thousand


def _manager(job: HarnessJob) -> Any:
    from lm_eval.tasks import TaskManager

    where = None if job.include_path is None else str(Path(job.include_path).expanduser())
    manager = TaskManager(include_path=where)
    if job.task not in manager.all_tasks:
        also = "" if where is None else f" and {where}"
        raise UsageError(
            f"evaluation.tasks: lm-eval knows no task {job.task!r}; those it has are in"
            f" `python -m lm_eval ls tasks`{also}"
        )
    return manager


def _texts(job: HarnessJob) -> dict[str, Any]:
    tasks = _manager(job).load([job.task])["tasks"]
    rows = []
    for task in tasks.values():
        for document in islice(task.eval_docs, job.limit):
            rows += list(_exchange(task, document))
    return {"rows": rows}


def _exchange(task: Any, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the document asks and what it holds to be right, as far as they are texts."""
    asked, target = task.doc_to_text(document), task.doc_to_target(document)
    if isinstance(target, int) and task.config.doc_to_choice is not None:
        target = task.doc_to_choice(document)[target]
    if isinstance(asked, str):
        answers = target if isinstance(target, list) else [target]
        yield from ((asked, answer) for answer in answers if isinstance(answer, str))
        if not any(isinstance(answer, str) for answer in answers):
            yield asked, ""
        return
    yield from ((text, "") for text in document.values() if isinstance(text, str))


def _measured(job: HarnessJob) -> dict[str, Any]:
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    from .sources import load_causal_lm, load_tokenizer
    from .template import ChatTemplate
    from .weights import with_adapter

    manager = _manager(job)
    assert job.base is not None
    tokenizer = load_tokenizer(job.base)
    tokenizer.chat_template = ChatTemplate(tokenizer, job.template).source
    model = load_causal_lm(job.base, job.dtype, job.device)
    if job.adapter is not None:
        model = with_adapter(model, job.adapter)
    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH),
        tasks=[job.task],
        task_manager=manager,
        limit=job.limit,
        bootstrap_iters=0,
        log_samples=True,
        apply_chat_template=True,
        random_seed=job.seed,
        numpy_random_seed=job.seed,
        torch_random_seed=job.seed,
        fewshot_random_seed=job.seed,
    )
    return {"lm_eval": lm_eval.__version__, "figures": list(_figures(job.task, results))}


def _figures(name: str, results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every metric of the task or group; of a tag, those of each of its tasks."""
    entries = {**results["results"], **results.get("groups", {})}
    named = {name: entries[name]} if name in entries else entries
    for task, entry in named.items():
        samples = results["samples"].get(task, [])
        for key, value in entry.items():
            metric, comma, filtered = key.partition(",")
            if not comma or metric in _NO_METRIC or metric.endswith("_stderr"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            mine = [one for one in samples if one.get("filter", filtered) == filtered]
            scores = [one[metric] for one in sorted(mine, key=_place) if _is_number(one, metric)]
            error = entry.get(f"{metric}_stderr,{filtered}")
            label = metric if filtered == "none" else f"{metric} ({filtered})"
            yield {
                "metric": label if task == name else f"{task}: {label}",
                "value": float(value),
                "stderr": float(error) if isinstance(error, int | float) else None,
                "rows": len(mine) or None,
                "scores": [float(score) for score in scores] if len(scores) == len(mine) else [],
            }


def _place(sample: Mapping[str, Any]) -> Any:
    return sample.get("doc_id", 0)


def _is_number(sample: Mapping[str, Any], metric: str) -> bool:
    return isinstance(sample.get(metric), int | float)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
