"""The critic: an LLM's view of a proposal, read by code.

The model lists problems and names a verdict; `decide` turns both into pass or fail, so that a
careless or talked-over model cannot pass what it finds faulty. Whether meaning is kept in fact is
not left to it: checks come before, the proof after.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ..core.chat import Chat
from ..core.records import Axis, Proposal, Sample, Verdict
from ..prompts.loader import load
from .turns import told

Line = Annotated[str, Field(max_length=200)]

GOALS = {
    Axis.COMPLEXITY: "Make the task easier to learn from, with an answer that matches it.",
    Axis.QUALITY: "Repair what is wrong in the example and change nothing else.",
    Axis.DIVERSITY: "Write a new example on a related subject, with a correct answer.",
}
"""What the rewriter was asked to do, in the critic's words."""

_NOTHING = {"", "none", "no", "n/a", "null", "nothing", "no problem", "no problems"}


class Critique(BaseModel):
    """What the critic found. `dropped`: details that were left out on purpose."""

    problems: list[Line] = Field(max_length=4)
    dropped: list[Line] = Field(max_length=4)
    feedback: str = Field(max_length=400)
    verdict: Literal["accept", "revise", "reject"]


class Critic:
    """Ask an LLM to compare a proposal with its original."""

    def __init__(self, chat: Chat) -> None:
        """Take the model behind the role `critic`."""
        self._chat = chat

    async def judge(
        self, sample: Sample, proposal: Proposal, check_words: list[str], attempt: int
    ) -> Critique:
        """Return the critique of a proposal; `check_words` are the checks' remarks.

        Raises:
            AnswerFailed: the model gave no usable critique.
        """
        filled = load("critique").render(
            goal=GOALS[proposal.axis],
            history=told(sample.history),
            tools=told(sample.messages[sample.prompt_index + 1 : -1]),
            old_prompt=sample.prompt,
            old_answer=sample.answer,
            new_prompt=proposal.prompt,
            new_answer=proposal.answer,
            checks="\n".join(check_words),
        )
        return await self._chat(filled, Critique, attempt=attempt)


def decide(critique: Critique) -> Verdict:
    """Return the verdict `critic`: passed only on `accept` without a problem.

    Contradictions count against the proposal, since the original is always there to keep:
    `accept` beside problems is read as `revise`; `revise` without any problem or feedback does not
    pass and says that nothing was named. Blank entries and "none" are no problems. What the code
    made of it is in `numbers["verdict"]`, what the model said in `numbers["said"]`.
    """
    problems = _meant(critique.problems)
    feedback = critique.feedback.strip()
    verdict = "revise" if critique.verdict == "accept" and problems else critique.verdict
    numbers = {
        "verdict": verdict,
        "said": critique.verdict,
        "problems": problems,
        "dropped": _meant(critique.dropped),
    }
    if verdict == "accept":
        return Verdict("critic", True, numbers)
    named = "; ".join([*problems, *([feedback] if _meant([feedback]) else [])])
    return Verdict("critic", False, numbers, named or f"the critic says {verdict} and no more")


def _meant(lines: list[str]) -> list[str]:
    stripped = [line.strip() for line in lines]
    return [line for line in stripped if line.rstrip(".").lower() not in _NOTHING]
