"""Refine: every flagged sample through its subgraph, many at a time, each ending in the ledger.

A sample that has an outcome is not touched again, so a resumed run goes on where it was. Nothing
depends on which sample ends first: outcomes are read back in order of id.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from ..agents.critic import Critic
from ..agents.prover import Evidence, Prover
from ..agents.reference import COMPLEXITY_COLUMNS, reference_from
from ..agents.rewriter import Rewriter
from ..checks.context import CheckContext, Embed
from ..checks.words import normalise
from ..core.errors import Interrupted, TooManyFailures
from ..core.progress import Progress
from ..core.records import Axis, Fate, Sample
from ..core.trace import Settled
from ..curation.plan import Plan, Task, plan_from
from ..prompts.loader import examples, sentences
from ..signals.density import centre_and_normalise, mean_vector
from ..signals.proof import Terms
from ..signals.quality import calibration_from
from ..signals.thresholds import SOUND
from ..stores.ledger import Outcome, Spent
from ..stores.runs import read_json
from ..stores.tables import read_embeddings, read_signals
from .chats import LedgerChat
from .deps import Deps
from .embedding import embedder_of, one_at_a_time
from .overlap import known_evaluation
from .planning import flags_of
from .refine import Case, build_refine, refine
from .sources import Case as Call
from .state import LoopState

BEYOND_BUDGET = "beyond refinement.max_samples"
FEWEST_SETTLED, MOST_FAILED = 20, 0.75
"""Once so many samples are settled since the start or resume, more than this share of them failed
ends the run: the models answer, but nothing that can be used, and every call is paid for.
"""
PROOF_COLUMNS = ("id", "quality", "answer_tokens", "loss_tuned", "neighbours")


async def refine_round(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Refine what the diagnosis of this round selected."""
    number, source = state["round"], state["source_round"]
    diagnosis = read_diagnosis(deps, number)
    plan = plan_from(diagnosis["plan"], flags_of(diagnosis))
    deferred = [
        Outcome(number, task.sample_id, task.axis, "deferred", BEYOND_BUDGET, [])
        for task in plan.deferred
    ]
    deps.ledger.add_outcomes(deferred)
    for outcome in deferred:
        deps.trace(_settled(outcome, time.time()))
    done = deps.ledger.fates(number)
    todo = [task for task in plan.selected if task.sample_id not in done]
    if todo:
        evidence = read_evidence(deps, number, diagnosis)
        with deps.measuring(source) as tuned:
            score = one_at_a_time(tuned.scorer.score)
            embed = await asyncio.to_thread(embedder_of, deps, score, evidence.mean)
            work = _Work(deps, number, source, Prover(score, evidence), evidence, embed)
            await work.all(todo, plan)
    fates = list(deps.ledger.fates(number).values())
    return {}, ", ".join(f"{fates.count(fate)} {fate}" for fate in get_args(Fate))


class _Work:
    """The refinement of one round: what all samples share."""

    def __init__(
        self,
        deps: Deps,
        number: int,
        source: int,
        prover: Prover,
        evidence: Evidence,
        embed: Embed,
    ) -> None:
        self._deps = deps
        self._number = number
        self._version = deps.version(source)
        self._prover = prover
        self._embed = embed
        self._evidence = evidence
        self._graph = build_refine()
        self._decontamination = known_evaluation(deps.folder)
        self._known = frozenset(normalise(sample.prompt) for sample in self._version)

    async def all(self, todo: list[Task], plan: Plan) -> None:
        """Refine the samples, `refinement.concurrency` at a time.

        The first error that ends the run stops new samples; those under way are finished, where it
        is not a wish to stop: then their calls under way are, and a resumed run goes on from there.
        """
        wanted = {task.sample_id for task in todo}
        near = {name: list(self._evidence.signals[name]["neighbours"]) for name in wanted}
        samples = self._version.take(sorted(wanted.union(*near.values())))
        waiting = iter(todo)
        before = finished = len(plan.selected) - len(todo)
        failed = 0
        errors: list[BaseException] = []

        async def work() -> None:
            nonlocal finished, failed
            for task in waiting:
                if errors:
                    return
                neighbours = tuple(samples[name].prompt for name in near[task.sample_id])
                try:
                    self._deps.heed()
                    outcome = await self._one(task, samples[task.sample_id], neighbours)
                except Exception as error:
                    errors.append(error)
                    return
                finished += 1
                if outcome.fate == "failed":
                    failed += 1
                    if _too_many(failed, finished - before):
                        errors.append(_of_no_use(failed, finished - before, outcome.reason))
                        return
                spent = self._deps.ledger.spent()
                self._deps.report(
                    Progress(
                        "refine",
                        self._number,
                        finished,
                        len(plan.selected),
                        "samples",
                        detail=_spent_so_far(spent),
                    )
                )

        slots = min(self._deps.config.refinement.concurrency, len(todo))
        with _set_aside():
            await asyncio.gather(*(work() for _ in range(slots)))
        if errors and isinstance(errors[0], Interrupted):
            raise Interrupted(f"stopped after {finished} refined samples") from errors[0]
        if errors:
            raise errors[0]

    def _chat(self, role: str, task: Task) -> LedgerChat:
        return self._deps.chats.chat(Call(role, self._number, task.sample_id, task.axes))

    async def _one(self, task: Task, sample: Sample, neighbours: tuple[str, ...]) -> Outcome:
        deps, checks = self._deps, self._deps.config.checks
        began, begun = time.time(), time.monotonic()
        case = Case(
            sample=sample,
            axis=task.axis,
            neighbours=neighbours,
            attempts=deps.config.refinement.attempts,
            rewriter=Rewriter(self._chat("rewriter", task)),
            critic=Critic(self._chat("critic", task)),
            checks=CheckContext(
                similarity=checks.similarity,
                length_ratio=checks.length_ratio,
                embed=self._embed,
                flagged=frozenset(task.axes),
                decontamination=self._decontamination,
                known_prompts=self._known,
                neighbours=neighbours,
                instructions=(*examples(), *sentences()),
            ),
            prover=self._prover,
            answer_stays=answer_stays(task, self._evidence),
            round=self._number,
            trace=deps.trace,
        )
        final = await refine(self._graph, case)
        outcome = Outcome(
            self._number,
            sample.id,
            task.axis,
            final["fate"],  # type: ignore[arg-type]  # the subgraph ends with a fate
            final["reason"],
            final["tried"],
        )
        await deps.ledger.add_outcome(outcome)
        took = round(time.monotonic() - begun, 3)
        deps.trace(_settled(outcome, began, took))
        return outcome


def answer_stays(task: Task, evidence: Evidence) -> bool:
    """Return whether nothing but its prompt made a sample flagged: its answer is sound."""
    reference, row = evidence.reference, evidence.signals[task.sample_id]
    if task.axes != (Axis.COMPLEXITY,) or reference.complexity.prompt is None:
        return False
    if row["quality"] is not None and row["quality"] < SOUND:
        return False
    return reference.prompt_alone(row, evidence.shift)


def _too_many(failed: int, settled: int) -> bool:
    return settled >= FEWEST_SETTLED and failed > MOST_FAILED * settled


def _of_no_use(failed: int, settled: int, reason: str) -> TooManyFailures:
    return TooManyFailures(
        f"{failed} of {settled} samples failed, the last one: {' '.join(reason.split())[:300]};"
        " see `middo trace RUN --failed`, mend the agents' models, then `middo resume`"
    )


def _settled(outcome: Outcome, began: float, seconds: float = 0.0) -> Settled:
    return Settled(
        *(outcome.round, outcome.sample_id, str(outcome.axis), outcome.fate, outcome.reason),
        *(len(outcome.proposals), began, seconds),
    )


def _spent_so_far(spent: Spent) -> str:
    text = f"{spent.calls} calls, {spent.tokens} tokens"
    text += f", {spent.replayed} replayed" if spent.replayed else ""
    return text + (f", {spent.usd:.2f} USD" if spent.usd else "")


@contextmanager
def _set_aside() -> Iterator[None]:
    """Keep Python's garbage collector from walking over what was loaded for the whole round.

    Models, evidence and samples are hundreds of thousands of objects that stay until the end; with
    20,000 rows looking at them again and again takes a fifth of the processor time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def read_diagnosis(deps: Deps, number: int) -> dict[str, Any]:
    """Return `diagnosis.json` of a round."""
    return read_json(deps.round_folder(number) / "diagnosis.json")


def read_evidence(deps: Deps, number: int, diagnosis: dict[str, Any]) -> Evidence:
    """Return what the proofs of a round rest on, from the files of its diagnosis."""
    folder = deps.round_folder(number)
    ids, raw = read_embeddings(folder / "embeddings.parquet")
    mean = mean_vector(raw) if ids else None
    flagged = {flag["id"] for flag in diagnosis["flags"]}
    reference = reference_from(diagnosis["thresholds"])
    # A run of a version that read no prompts has no column of them either.
    columns = (*PROOF_COLUMNS, *(COMPLEXITY_COLUMNS if reference.complexity.prompt else ()))
    names = tuple(dict.fromkeys(columns))
    rows = read_signals(folder / "signals.parquet", ids=flagged, columns=names)
    return Evidence(
        terms=Terms(**diagnosis["proof"]["terms"]),
        calibration=calibration_from(diagnosis["calibration"]),
        reference=reference,
        shift=diagnosis["shift"],
        signals={row["id"]: row for row in rows},
        ids=ids,
        vectors=raw if mean is None else centre_and_normalise(raw, mean),
        mean=mean,
        neighbours=deps.config.signals.neighbours,
    )
