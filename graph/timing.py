"""Time this machine on the run's own rows: a few training steps, a few passes, one or two calls.

All of it is the code of a run: the training process, the scorer, the chat model. Nothing is kept:
training works in a temporary folder and is ended once it has been timed.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..agents.calibrating import OF_PROMPT
from ..core.chat import Usage
from ..core.config import RoleConfig, RunConfig
from ..core.errors import DataError, MiddoError
from ..core.measures import Ask, Item
from ..core.records import Sample
from ..curation.effort import REMOTE_TOKENS, REMOTE_WAIT
from ..providers.line import Line
from ..providers.resolve import chat_model, is_plugged
from ..providers.structured import NoAnswer, ask
from ..training.device import Dtype
from ..training.job import StepPlan, TrainingJob, plan_steps, train
from ..training.scorer import Scorer
from ..training.sources import ModelSource
from .rehearsal import Asked

PLAIN: frozenset[Ask] = frozenset()
FULL: frozenset[Ask] = OF_PROMPT | {"alone"}
"""What a diagnosis asks of the tuned model where the ratings earn no weight."""

STEPS_SECONDS = 8.0
PASSES_SECONDS = 5.0
GIVE_UP_SECONDS = 90.0
"""Until the first step is done; a machine that needs longer is not timed."""
LONG_CALL = 6.0
"""Seconds of a first call that make a second one too dear."""

COMPLETION_WEIGHT = 3.0
"""A token that is generated takes a local model as long as so many tokens that are read."""


@dataclass(frozen=True, slots=True)
class TrainingTime:
    """Seconds until the first step begins, seconds per step, and how many were timed."""

    start: float
    step: float
    steps: int


@dataclass(frozen=True, slots=True)
class ScoringTime:
    """What scoring takes, and what the rows need of it.

    Attributes:
        load: seconds to load the model and test how it computes branches.
        rate: tokens per second.
        plain_tokens: mean tokens of a row for its loss.
        full_tokens: mean tokens of a row for all signals.
        scorable: share of the rows that can be scored.
        trained_tokens: tokens of each row that can be trained on.
    """

    load: float
    rate: float
    plain_tokens: float
    full_tokens: float
    scorable: float
    trained_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CallTime:
    """What a model's calls take.

    Attributes:
        fixed: seconds of a call, however long.
        per_token: seconds per weighted token.
        weight: of a completion token; a prompt token weighs `prompt_weight`.
        prompt_weight: 0 where reading is not the work that is waited for.
        parallel: calls that go on at the same time without slowing each other.
        measured: real calls that the figures come from; 0 where they are assumed.
        note: why a model in this process was not measured.
    """

    fixed: float
    per_token: float
    weight: float
    prompt_weight: float
    parallel: int
    measured: int = 0
    note: str = ""

    def seconds(self, calls: float, prompt: float, completion: float) -> float:
        """Return the time of that many calls with that many tokens in all."""
        tokens = self.prompt_weight * prompt + self.weight * completion
        return (calls * self.fixed + tokens * self.per_token) / self.parallel


class _Timed(Exception):
    """Enough steps were seen: the training process is ended."""


def time_training(
    config: RunConfig,
    source: ModelSource,
    samples: Sequence[Sample],
    plan: StepPlan,
    *,
    device: str,
    dtype: Dtype,
) -> TrainingTime | None:
    """Train some steps in a process of its own; None where not even one was done in time.

    Raises:
        MiddoError: as a training; it would fail in a run too.
    """
    started = time.monotonic()
    marks: list[float] = []

    def seen(done: int, total: int, eta: float | None) -> None:
        marks.append(time.monotonic())
        if done >= 2 and marks[-1] - marks[0] > STEPS_SECONDS:
            raise _Timed

    def late() -> bool:
        if len(marks) < 2 and time.monotonic() - started > GIVE_UP_SECONDS:
            raise _Timed
        if len(marks) >= 2 and time.monotonic() - marks[0] > 2 * STEPS_SECONDS:
            raise _Timed
        return False

    with TemporaryDirectory(prefix="middo-") as scratch:
        rows = Path(scratch) / "rows.jsonl"
        rows.write_text("".join(as_line(sample) for sample in samples), encoding="utf-8")
        job = TrainingJob(
            base=source.folder,
            base_digest=source.digest,
            rows=rows,
            dataset_sha256="",
            output=Path(scratch) / "model",
            method=config.training.method,
            learning_rate=config.training.rate,
            plan=plan,
            lora_rank=config.training.lora.rank,
            lora_alpha=config.training.lora.alpha,
            lora_dropout=config.training.lora.dropout,
            dtype=dtype,
            device=device,
            template=config.model.template,
            max_length=config.model.max_length,
            seed=config.seed,
        )
        with suppress(_Timed):
            train(job, on_progress=seen, should_stop=late)
    if len(marks) < 2:
        return None
    # The first step allocates memory and compiles; a run has one of them in hundreds.
    usual = marks[1:] if len(marks) > 2 else marks
    return TrainingTime(
        marks[0] - started, (usual[-1] - usual[0]) / (len(usual) - 1), len(marks) - 1
    )


def time_scoring(
    config: RunConfig,
    source: ModelSource,
    samples: Sequence[Sample],
    *,
    device: str,
    dtype: Dtype,
) -> ScoringTime:
    """Score some of the rows with the untuned model.

    Raises:
        ModelError: the model can't be loaded.
        DataError: none of the rows can be scored.
    """
    started = time.monotonic()
    scorer = Scorer(
        source.folder,
        dtype=dtype,
        device=device,
        template=config.model.template,
        max_length=config.model.max_length,
    )
    try:
        items = [Item(sample.id, sample.messages) for sample in samples]
        plain = [n for n in scorer.count_tokens(items, PLAIN) if n]
        if not plain:
            raise DataError(
                f"{config.data.path}: none of {len(items)} sampled rows can be trained on;"
                " check the data, or raise model.max_length"
            )
        full = [n for n in scorer.count_tokens(items, FULL) if n]
        batches = scorer.plan(items, FULL)
        load = time.monotonic() - started
        begun = time.monotonic()
        # Batches are sorted by length: every other one from both ends is like the whole.
        for batch in _alternating(batches):
            scorer.score([items[index] for index in batch], FULL)
            if time.monotonic() - begun > PASSES_SECONDS:
                break
        rate = max(scorer.work.tokens, 1) / (time.monotonic() - begun)
    finally:
        scorer.close()
    return ScoringTime(
        load=load,
        rate=rate,
        plain_tokens=_mean(plain),
        full_tokens=_mean(full),
        scorable=len(plain) / len(samples),
        trained_tokens=tuple(plain),
    )


def steps_of(config: RunConfig, lengths: Sequence[int], rows: int) -> StepPlan:
    """Return the step plan of a run over `rows` rows of which some lengths are known."""
    repeated = [lengths[index % len(lengths)] for index in range(max(rows, 1))]
    return plan_steps(repeated, config.training.epochs, config.training.batch_tokens)


def time_calls(role: RoleConfig, config: RunConfig, asked: Sequence[Asked]) -> CallTime:
    """Time a llama.cpp model in this process with one or two real calls; assume it of all others.

    A model whose weights or engine are missing is not called.
    """
    assumed = CallTime(REMOTE_WAIT, 1 / REMOTE_TOKENS, 1.0, 0.0, config.refinement.concurrency)
    provider = role.model.partition(":")[0]
    if provider != "llamacpp" or is_plugged(provider):
        return assumed
    try:
        return asyncio.run(_timed(role, config, asked))
    except MiddoError as error:
        return replace(assumed, note=str(error))


async def _timed(role: RoleConfig, config: RunConfig, asked: Sequence[Asked]) -> CallTime:
    model = chat_model(role, seed=config.seed, concurrency=1)
    line = Line(model, name=role.model, slots=1)
    seconds, tokens, calls = 0.0, 0.0, 0
    try:
        for one in asked:
            started = time.monotonic()
            usage = await _used(line, one)
            seconds, calls = time.monotonic() - started, calls + 1
            tokens = (usage.prompt or 0) + COMPLETION_WEIGHT * (usage.completion or 0)
            if seconds > LONG_CALL:
                break
    finally:
        close = getattr(model, "close", None)
        if callable(close):
            close()
    # Slots share the processor: calls side by side slow each other down by about their number.
    return CallTime(0.0, seconds / max(tokens, 1.0), COMPLETION_WEIGHT, 1.0, 1, measured=calls)


async def _used(line: Line, one: Asked) -> Usage:
    try:
        return (await ask(line, one.prompt, one.schema)).usage
    except NoAnswer as failure:  # a small model may give no usable text, and it took its time too
        return failure.usage


def as_line(sample: Sample) -> str:
    """Return a row as training reads it."""
    plain = {"id": sample.id, "messages": [message.as_dict() for message in sample.messages]}
    return json.dumps(plain) + "\n"


def _alternating(batches: Sequence[list[int]]) -> Iterator[list[int]]:
    for index in range((len(batches) + 1) // 2):
        yield batches[index]
        if index != len(batches) - 1 - index:
            yield batches[-1 - index]


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
