"""`middo estimate`: what a run would take, on one page."""

from collections.abc import Mapping
from typing import Any

from ..core.amounts import several
from ..core.config import RunConfig
from ..curation.effort import REMOTE_TOKENS, REMOTE_WAIT
from ..curation.estimate import ACCEPTED, AGAIN, COURSES, REACHES_CRITIC, SEEDS
from ..inspection.figures import aligned, duration
from .loop import Choice, keep_quiet
from .output import Reply, clean, wrapped

_UNKNOWN = "unknown"


def run(choice: Choice) -> Reply:
    """Estimate a run of the chosen configuration; nothing is trained to its end or kept."""
    config = choice.config()
    keep_quiet()
    from ..graph.estimating import estimate

    found = estimate(config)
    return Reply(found, estimate_text(config, found))


def estimate_text(config: RunConfig, found: dict[str, Any]) -> str:
    """Return the estimate for people."""
    parts = [_rows(found), _table(found), _money(config, found), _disk(found)]
    if found["caps"]:
        caps = [f"budget.{one['cap']} {one['value']:g} {one['verdict']}." for one in found["caps"]]
        parts.append([line for text in caps for line in wrapped(text, hanging="  ")])
    parts.append(_assumptions(config, found))
    return "\n".join("\n".join([*lines, ""]) for lines in parts).rstrip()


def _rows(found: dict[str, Any]) -> list[str]:
    rows, machine = found["rows"], found["machine"]
    data = f"{several(rows['train'], 'row')} to train on, {rows['evaluation']:,} to evaluate on"
    flags = [_axes(one) for one in found["flagged"]]
    step = machine["step_seconds"]
    pace = "too slow to be timed" if step is None else f"{duration(step)} per step"
    table = [
        ["Data", f"{clean(found['data'])}: {data}"],
        ["Trainee", f"{clean(machine['model'])}, {machine['dtype']} on {machine['device']}"],
        [
            "Training",
            f"{machine['method']}, {several(found['trainings'], 'training')} of"
            f" {several(found['steps'], 'step')}, {pace}",
        ],
        ["Scoring", f"{machine['scoring_tokens_per_second']:,.0f} tokens per second"],
        *([f"Round {number} flags", text] for number, text in enumerate(flags)),
    ]
    return aligned(table, [False, False])


def _axes(one: Mapping[str, float]) -> str:
    parts = [f"{n:,.0f} {axis}" for axis, n in one.items() if axis != "samples" and n]
    return f"about {one['samples']:,.0f} samples ({', '.join(parts) or 'no axis'})"


def _table(found: dict[str, Any]) -> list[str]:
    seconds = found["seconds"]
    lines: list[list[str]] = [["", *COURSES]]
    for name, role in found["roles"].items():
        lines.append([f"{name.capitalize()}: calls", *_counts(role["calls"])])
        lines.append(["  prompt tokens", *_counts(role["prompt_tokens"])])
        lines.append(["  completion tokens", *_counts(role["completion_tokens"])])
    lines.append(["Tokens in all", *_counts(found["tokens"])])
    lines.append(["Money, USD", *_usd(found["cost_usd"])])
    training = dict.fromkeys(COURSES, seconds["training"])
    for label, times in (
        ("Training", training),
        ("Scoring, proofs", seconds["scoring"]),
        ("Waiting for LLMs", seconds["llm"]),
        ("Time in all", seconds["total"]),
    ):
        lines.append([label, *(_time(times[course]) for course in COURSES)])
    return aligned(lines, [False, True, True, True])


def _counts(values: Mapping[str, float]) -> list[str]:
    return [f"{values[course]:,.0f}" for course in COURSES]


def _usd(values: Mapping[str, float] | None) -> list[str]:
    if values is None:
        return [_UNKNOWN] * len(COURSES)
    return [f"{values[course]:,.2f}" for course in COURSES]


def _time(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else duration(seconds)


def _money(config: RunConfig, found: dict[str, Any]) -> list[str]:
    lines = []
    for model in found["models"]:
        name, price = clean(model["model"]), model["price"]
        roles = " and ".join(model["roles"])
        if price is None:
            where = config.budget.prices or "a file that budget.prices names"
            text = (
                f'price unknown; give it as `"{name}": {{input: ..., output: ...}}` (USD per'
                f" million tokens) in {clean(where)}"
            )
        elif not price["input"] and not price["output"]:
            text = "runs on this machine, no price"
        else:
            low, middle, high = _usd(model["usd"])
            text = (
                f"{price['input']:g} USD per million prompt tokens, {price['output']:g} per million"
                f" completion tokens: {low}, {middle}, {high} USD"
            )
        lines += wrapped(f"{name} ({roles}): {text}", hanging="  ")
    return lines


def _disk(found: dict[str, Any]) -> list[str]:
    disk = found["disk_bytes"]
    parts = [f"{name} {_size(n)}" for name, n in disk.items() if name not in ("finished", "peak")]
    return wrapped(
        f"Disk: {_size(disk['finished'])} when finished ({', '.join(parts)}), up to"
        f" {_size(disk['peak'])} while it trains."
    )


def _size(count: float) -> str:
    if count < 1e9:
        return f"{count / 1e6:,.1f} MB"
    return f"{count / 1e9:,.1f} GB"


def _assumptions(config: RunConfig, found: dict[str, Any]) -> list[str]:
    """Say what was measured and what was taken for granted."""
    attempts = several(config.refinement.attempts, "attempt")
    said = [
        f"low: every first proposal is accepted. middle: {ACCEPTED:.0%} of proposals are accepted,"
        f" and {REACHES_CRITIC:.0%} of the others are stopped before the critic. high: all"
        f" {attempts} are used and each is read by the critic.",
        f"Flagged: signals.share of the rows per axis, axes independent; {SEEDS:.0%} of the sparse"
        f" rows get a neighbour; each later round flags {AGAIN:.0%} of the round before. An axis"
        " may turn out off.",
        f"Tokens are the trainee's, counted on real prompts of {found['rows']['sampled']:,} sampled"
        " rows; rewritten texts are taken to be as long as the originals. Repair turns, retries,"
        " fallbacks and reasoning tokens are not counted.",
        "All rounds are done; a run may end earlier, and then takes less.",
        *_tasks(config, found),
        *_latencies(config, found),
    ]
    return ["Assumed:", *(line for text in said for line in wrapped(f"- {text}", hanging="  "))]


def _tasks(config: RunConfig, found: dict[str, Any]) -> list[str]:
    """Say what comes on top; generation is not timed."""
    tasks = config.evaluation.tasks
    if not tasks:
        return []
    models = found["trainings"] + 1
    return [
        f"{several(len(tasks), 'task')} of evaluation.tasks, measured on {models} models, the"
        " untuned base among them, take time that is not in these figures."
    ]


def _latencies(config: RunConfig, found: dict[str, Any]) -> list[str]:
    """Say once per kind of latency where it comes from."""
    by_text: dict[str, list[str]] = {}
    for name, role in found["roles"].items():
        if role["calls_timed"]:
            timed = several(role["calls_timed"], "real call")
            text = f"{timed} timed; calls side by side gain nothing, as they share the processor."
        else:
            why = f"not timed ({clean(role['untimed'])}); " if role["untimed"] else ""
            text = (
                f"{why}{REMOTE_WAIT:g} s per call and {REMOTE_TOKENS:g} completion tokens per"
                f" second, {several(config.refinement.concurrency, 'call')} at a time."
            )
        by_text.setdefault(text, []).append(name)
    return [f"Latency of {' and '.join(names)}: {text}" for text, names in by_text.items()]
