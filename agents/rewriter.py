"""The rewriter: from a flagged sample to a proposal, in two steps that can each be skipped.

Prompt first, then the answer to it. What has to stay the same is decided by checks and proof, not
here. Sample text reaches the model fenced, in a message without instructions.
"""

from pydantic import BaseModel, Field, field_validator

from ..core.chat import Chat
from ..core.records import Axis, Message, Proposal, Sample
from ..prompts.loader import load
from .turns import told

PROMPT_LIMIT = 8_000
ANSWER_LIMIT = 16_000
"""Characters. Grammars need a bound; a text that fills it was cut, and is no answer."""


class RewrittenPrompt(BaseModel):
    """A prompt as it should be asked."""

    prompt: str = Field(min_length=1, max_length=PROMPT_LIMIT)

    @field_validator("prompt")
    @classmethod
    def _whole(cls, text: str) -> str:
        return _whole(text, PROMPT_LIMIT)


class RewrittenAnswer(BaseModel):
    """An answer as it should be given."""

    answer: str = Field(min_length=1, max_length=ANSWER_LIMIT)

    @field_validator("answer")
    @classmethod
    def _whole(cls, text: str) -> str:
        return _whole(text, ANSWER_LIMIT)


class Rewriter:
    """Ask an LLM for a better version of a sample, or for a new one beside it."""

    def __init__(self, chat: Chat) -> None:
        """Take the model behind the role `rewriter`."""
        self._chat = chat

    async def propose(
        self,
        sample: Sample,
        axis: Axis,
        *,
        attempt: int,
        feedback: str = "",
        neighbours: tuple[str, ...] = (),
        rewrite_prompt: bool | None = None,
        rewrite_answer: bool = True,
    ) -> Proposal:
        """Return a proposal for one flagged sample.

        `feedback` says why the attempt before was not accepted. `neighbours` are the prompts next
        to a sparse sample (diversity). `rewrite_prompt` None means what suits the axis: complexity
        rewrites the prompt, quality keeps it. A prompt with tool turns after it is never rewritten,
        since they belong to it; diversity always writes both parts.

        Raises:
            AnswerFailed: the model gave no usable text for one of the steps.
            ValueError: neither part is to be rewritten.
        """
        if axis is Axis.DIVERSITY:
            return await self._add(sample, attempt, feedback, neighbours)
        wanted = rewrite_prompt if rewrite_prompt is not None else axis is Axis.COMPLEXITY
        with_prompt = wanted and not sample.prompt_is_fixed
        if not with_prompt and not rewrite_answer:
            raise ValueError(f"sample {sample.id!r}: neither prompt nor answer is to be rewritten")
        prompt, answer = sample.prompt, sample.answer
        context = {"history": told(sample.history), "feedback": feedback}
        if with_prompt:
            filled = load(f"rewrite_prompt_{axis}").render(prompt=prompt, **context)
            prompt = (await self._chat(filled, RewrittenPrompt, attempt=attempt)).prompt
        if rewrite_answer:
            tools = told(sample.messages[sample.prompt_index + 1 : -1])
            filled = load(f"rewrite_answer_{axis}").render(
                prompt=prompt, answer=answer, tools=tools, **context
            )
            answer = (await self._chat(filled, RewrittenAnswer, attempt=attempt)).answer
        return Proposal(sample, axis, attempt, sample.with_exchange(prompt, answer), adds=False)

    async def _add(
        self, sample: Sample, attempt: int, feedback: str, neighbours: tuple[str, ...]
    ) -> Proposal:
        """Write one new single-turn sample; only a system turn is taken over."""
        system = sample.messages[:1] if sample.messages[0].role == "system" else ()
        context = {"system": system[0].content if system else "", "feedback": feedback}
        filled = load("new_prompt_diversity").render(
            prompt=sample.prompt, neighbours=neighbours, **context
        )
        prompt = (await self._chat(filled, RewrittenPrompt, attempt=attempt)).prompt
        filled = load("new_answer_diversity").render(prompt=prompt, **context)
        answer = (await self._chat(filled, RewrittenAnswer, attempt=attempt)).answer
        messages = (*system, Message("user", prompt), Message("assistant", answer))
        return Proposal(sample, Axis.DIVERSITY, attempt, messages, adds=True)


def _whole(text: str, limit: int) -> str:
    text = text.strip()
    if not text:
        raise ValueError("the text is empty")
    if len(text) >= limit:
        raise ValueError("the text was cut at its longest length; be shorter")
    return text
