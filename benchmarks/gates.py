"""Every gate of the refine loop asked about one proposal by itself, and then the whole chain."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from benchmarks.gate_cases import Case
from benchmarks.stages import opened
from middo.agents.critic import Critic, Critique, decide
from middo.agents.prover import Evidence, Prover
from middo.agents.rewriter import Rewriter, RewrittenAnswer, RewrittenPrompt
from middo.checks.context import CheckContext, Embed
from middo.checks.decontamination import EvaluationIndex
from middo.checks.suite import cheap_checks, embedded_checks
from middo.core.chat import Answer, AnswerFailed, Prompt
from middo.core.config import ChecksConfig
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Proposal, Verdict
from middo.graph.refine import Case as RefineCase
from middo.graph.refine import build_refine, refine
from middo.graph.refining import read_diagnosis, read_evidence
from middo.prompts.loader import examples, sentences

ACCEPTS = Critique(problems=[], dropped=[], feedback="", verdict="accept")
Prove = Callable[[Case], Any]
"""Awaited, it gives the proof's verdict on a case."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What a proposal is asked to pass; no critic, or no trainee to prove with, is None."""

    embed: Embed
    critic: Critic | None
    prove: Prove | None

    async def judge(self, case: Case) -> dict[str, Any]:
        """Return what each gate says of a case by itself, and whether the chain lets it pass.

        Keys: `checks` (name -> passed; those with embeddings too, though a run asks them only
        after the others), `cosine` of the two prompts (None where they are the same), `critic` and
        `proof` (`passed` and what was said; None where not asked) and `chain`, with the gate that
        ended it.
        """
        context = _context(case, self.embed)
        verdicts = cheap_checks(case.proposal, context)
        verdicts += embedded_checks(case.proposal, context)
        words = [verdict.reason for verdict in verdicts if not verdict.passed]
        critique, said = await self._criticised(case, words)
        proof: Verdict | None = None
        if self.prove is not None and case.provable:
            proof = await self.prove(case)
        fate, reason = await _chain(case, context, critique, proof)
        return {
            "checks": {verdict.name: verdict.passed for verdict in verdicts},
            "cosine": next(
                (one.numbers.get("cosine") for one in verdicts if one.name == "similarity"), None
            ),
            "critic": said,
            "proof": proof and {"passed": proof.passed, "reason": proof.reason, **_figures(proof)},
            "chain": {"passed": fate == "accepted", "by": reason.partition(":")[0]},
        }

    async def _criticised(
        self, case: Case, words: list[str]
    ) -> tuple[Critique | None, dict[str, Any] | None]:
        if self.critic is None:
            return ACCEPTS, None
        try:
            critique = await self.critic.judge(case.sample, case.proposal, words, attempt=1)
        except AnswerFailed:
            return None, {"passed": False, "said": "failed", "problems": []}
        verdict = decide(critique)
        problems = verdict.numbers["problems"]
        return critique, {
            "passed": verdict.passed,
            "said": verdict.numbers["said"],
            "problems": problems,
        }


def _figures(proof: Verdict) -> dict[str, Any]:
    """Return what a proof measured, where it measured anything."""
    return {"numbers": proof.numbers} if proof.numbers else {}


class _Rewriting:
    """A rewriter's model that proposes what the case proposes."""

    def __init__(self, proposal: Proposal) -> None:
        self._texts: dict[type[Any], str] = {
            RewrittenPrompt: proposal.prompt,
            RewrittenAnswer: proposal.answer,
        }

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        field = next(iter(schema.model_fields))
        return schema.model_construct(None, **{field: self._texts[schema]})


class _Criticising:
    """A critic's model that repeats what it has said; None: it gave no usable answer."""

    def __init__(self, critique: Critique | None) -> None:
        self._critique = critique

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        if self._critique is None:
            raise AnswerFailed("no usable critique")
        return cast(Answer, self._critique)


class _Proving:
    """A prover that repeats its verdict; without one it lets all pass."""

    def __init__(self, verdict: Verdict | None) -> None:
        self._verdict = verdict

    async def prove(self, proposal: Proposal) -> Verdict:
        return self._verdict or Verdict("proof", True, {})


async def _chain(
    case: Case, context: CheckContext, critique: Critique | None, proof: Verdict | None
) -> tuple[str, str]:
    """Send the proposal through Middo's own refine graph, one attempt."""
    final = await refine(
        build_refine(),
        RefineCase(
            sample=case.sample,
            axis=case.proposal.axis,
            neighbours=(),
            attempts=1,
            rewriter=Rewriter(_Rewriting(case.proposal)),
            critic=Critic(_Criticising(critique)),
            checks=context,
            prover=cast(Prover, _Proving(proof)),
        ),
    )
    return final["fate"], final["reason"]


def _context(case: Case, embed: Embed) -> CheckContext:
    bounds = ChecksConfig()
    return CheckContext(
        similarity=bounds.similarity,
        length_ratio=bounds.length_ratio,
        embed=embed,
        flagged=frozenset({case.proposal.axis}),
        decontamination=EvaluationIndex.build(()),
        instructions=(*examples(), *sentences()),
    )


@contextmanager
def opened_proof(folder: Path) -> Iterator[Prove]:
    """Prove with the model of a run folder that has a diagnosis of round 0.

    Cases are no rows of that run, so each parent is measured first, as the diagnosis would.
    """
    with opened(folder) as deps:
        evidence = read_evidence(deps, 0, read_diagnosis(deps, 0))
        with deps.measuring(0) as tuned:
            yield _proving(evidence, tuned.scorer.score)


def _proving(
    evidence: Evidence, score: Callable[[list[Item], frozenset[Ask]], list[Measured]]
) -> Prove:
    async def prove(case: Case) -> Verdict:
        parent = case.sample
        (own,) = score([Item(parent.id, parent.messages)], evidence.calibration.asks)
        signals: dict[str, Any] = {
            "quality": evidence.calibration.probability(own),
            "answer_tokens": None if own.unscored else own.answer_tokens,
            "prompt_tokens": own.prompt_tokens,
            "loss_tuned": None if own.unscored else own.loss,
            "neighbours": [],
        }
        return await Prover(score, replace(evidence, signals={parent.id: signals})).prove(
            case.proposal
        )

    return prove
