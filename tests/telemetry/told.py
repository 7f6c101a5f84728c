"""Events as a run tells them, with moments that can be read off."""

from dataclasses import replace
from typing import Any

from middo.core.trace import Call, Judged, Settled, TraceEvent

BEGAN = 1_700_000_000.0


def call(sample: str = "a1", at: float = 1.0, **changes: Any) -> Call:
    """Return a call of the rewriter that began `at` seconds after the start and took half a one."""
    plain = Call(
        key=f"{sample}-{at}",
        round=1,
        sample_id=sample,
        axes="quality+complexity",
        agent="rewriter",
        attempt=1,
        source="live",
        model="gpt-x-2026",
        prompt="rewrite_answer_quality",
        prompt_version=2,
        prompt_hash="f00d",
        messages=[["system", "You repair answers."], ["user", f"Prompt of {sample}"]],
        status="answered",
        value={"answer": "Vinegar dresses salads."},
        raw=['{"answer": "Vinegar dresses salads."}'],
        error=None,
        prompt_tokens=40,
        completion_tokens=8,
        usd=0.25,
        began=BEGAN + at,
        seconds=0.5,
    )
    return replace(plain, **changes)


def judged(sample: str = "a1", at: float = 2.0, **changes: Any) -> Judged:
    """Return what the check of numbers said."""
    plain = Judged(
        round=1,
        sample_id=sample,
        attempt=1,
        proposal_id="beef",
        node="checks",
        gate="numbers",
        passed=True,
        numbers={"missing": 0},
        reason="",
        at=BEGAN + at,
    )
    return replace(plain, **changes)


def settled(sample: str = "a1", seconds: float = 9.0, **changes: Any) -> Settled:
    """Return the fate of a sample that was under way for some seconds."""
    plain = Settled(1, sample, "quality", "accepted", "", 1, BEGAN, seconds)
    return replace(plain, **changes)


def life(sample: str = "a1") -> list[TraceEvent]:
    """Return a sample that is accepted at its second attempt."""
    critic = {"agent": "critic", "prompt": "critique", "value": {"verdict": "accept"}}
    return [
        call(sample, 1.0, value={"answer": "Salads."}),
        judged(sample, 1.6, gate="length", passed=False, reason="the answer is too short"),
        call(sample, 2.0, attempt=2),
        judged(sample, 2.6, attempt=2),
        call(sample, 3.0, attempt=2, **critic),
        judged(sample, 3.6, attempt=2, node="critique", gate="critic"),
        judged(sample, 5.0, attempt=2, node="proof", gate="proof.quality"),
        settled(sample, attempts=2),
    ]
