"""The model that is being tuned, as the teacher of its own data: provider `self`.

It generates with transformers, one answer at a time, since it is there for as long as a round's
refinement only and mostly small. There is no grammar: the ladder of structured output asks it in
plain text. Turns are encoded as training encodes them, so that it is asked what it was trained on.
"""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from ...core.chat import AnswerFailed
from .cancelling import in_pool
from .turns import Turn, chat_result, in_one_piece, refuse_unknown, turns_of

_ARGUMENTS = {"max_tokens", "temperature", "top_p", "seed"}


class Trainee(Protocol):
    """A loaded model with the tokens that it was trained on."""

    model: Any
    """A causal language model of transformers, ready for inference."""
    ends: frozenset[int]
    """Tokens that end an answer."""

    def encode(self, turns: Sequence[Turn]) -> list[int]:
        """Return the tokens up to the header of the answer.

        Raises:
            AnswerFailed: the turns can't be written in the model's chat template.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """What one generation gave; `finish_reason` is `stop` or `length`."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class TraineeChat(BaseChatModel):
    """The trainee of a round as a LangChain chat model; `load` is called by the first question."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    structured_rung: ClassVar[str] = "text"
    """The rung of the ladder of structured output that this engine serves."""

    load: Callable[[], Trainee] = Field(exclude=True, repr=False, description="loads the model")
    model: str = Field("self", description="the name it answers under")
    max_tokens: int = Field(512, ge=1, description="tokens of an answer at most")
    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token")
    seed: int = Field(0, ge=0, description="for temperatures above 0")
    stop: list[str] = Field([], description="texts that end an answer where a call names none")
    repeat_penalty: float = Field(
        1.0, ge=1, le=2, description="above 1 it keeps small models from looping until the limit"
    )
    streaming: bool = Field(
        False, description="as LangChain knows it; an answer then comes as one chunk"
    )

    _trainee: Trainee | None = PrivateAttr(default=None)
    _pool: ThreadPoolExecutor | None = PrivateAttr(default=None)
    # One for the weights, held while they generate; one for the pool, held for a moment.
    _generating: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _opening: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def close(self) -> None:
        """Wait for what is being generated and free the weights; a later call loads them again."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        with self._generating:
            trainee, self._trainee = self._trainee, None
        if trainee is not None:
            _forget(trainee)

    @property
    def _llm_type(self) -> str:
        return "middo-trainee"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stop": self.stop,
            "repeat_penalty": self.repeat_penalty,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        arguments = self._arguments(stop, kwargs)
        return self._result(self._answer(turns_of(messages, "self"), arguments, threading.Event()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        arguments = self._arguments(stop, kwargs)
        with self._opening:
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="trainee")
            pool = self._pool
        work = partial(self._answer, turns_of(messages, "self"), arguments)
        return self._result(await in_pool(pool, work))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield in_one_piece(self._generate(messages, stop, run_manager, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        yield in_one_piece(await self._agenerate(messages, stop, run_manager, **kwargs))

    def _arguments(self, stop: list[str] | None, given: dict[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, _ARGUMENTS, "self")
        return {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "top_p": 1.0,
            "repeat_penalty": self.repeat_penalty,
            "stop": self.stop if stop is None else stop,
            **given,
        }

    def _answer(
        self, turns: Sequence[Turn], arguments: dict[str, Any], cancelled: threading.Event
    ) -> Answered:
        with self._generating:
            if self._trainee is None:
                self._trainee = self.load()
            return _generated(self._trainee, turns, arguments, cancelled)

    def _result(self, answered: Answered) -> ChatResult:
        return chat_result(
            answered.text,
            model_name=self.model,
            finish_reason=answered.finish_reason,
            prompt_tokens=answered.prompt_tokens,
            completion_tokens=answered.completion_tokens,
        )


def _generated(
    trainee: Trainee, turns: Sequence[Turn], arguments: dict[str, Any], cancelled: threading.Event
) -> Answered:
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    prompt = trainee.encode(turns)
    model = trainee.model
    config = model.config.get_text_config()
    room = int(getattr(config, "max_position_embeddings", None) or 2**31) - len(prompt)
    if room < 1:
        raise AnswerFailed(
            f"self: the prompt has {len(prompt)} tokens, more than the model's context"
        )
    sampled = arguments["temperature"] > 0
    ends = sorted(trainee.ends) or None
    settings = GenerationConfig(
        max_new_tokens=min(arguments["max_tokens"], room),
        do_sample=sampled,
        temperature=arguments["temperature"] if sampled else None,
        top_p=arguments["top_p"] if sampled else None,
        top_k=0 if sampled else None,  # transformers would cut to the 50 likeliest
        repetition_penalty=arguments["repeat_penalty"],
        eos_token_id=ends,
        pad_token_id=ends and ends[0],
    )

    def said(ids: Any) -> list[int]:
        found: list[int] = ids[0, len(prompt) :].tolist()
        return found[:-1] if found and found[-1] in trainee.ends else found

    stops = [stop for stop in arguments["stop"] if stop]

    def halts(ids: Any, scores: Any, **kwargs: Any) -> Any:
        done = cancelled.is_set() or any(stop in trainee.decode(said(ids)) for stop in stops)
        return torch.full((len(ids),), done, device=ids.device)

    ids = torch.tensor([prompt], device=model.device)
    devices = [model.device] if model.device.type == "cuda" else []
    # The seed is this answer's own: the process's generator goes on as if nothing had happened.
    with torch.inference_mode(), torch.random.fork_rng(devices):
        torch.manual_seed(arguments["seed"])
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([halts]),
        )
    text = trainee.decode(said(found))
    cut = min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)
    ended = cut is not None or int(found[0, -1]) in trainee.ends
    return Answered(
        text=text[:cut],
        finish_reason="stop" if ended else "length",
        prompt_tokens=len(prompt),
        completion_tokens=found.shape[1] - len(prompt),
    )


def _forget(trainee: Trainee) -> None:
    import gc

    import torch

    cuda = trainee.model.device.type == "cuda"
    trainee.model = None
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
