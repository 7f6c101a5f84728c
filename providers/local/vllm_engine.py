"""One running vLLM engine: a thread with an event loop of its own, and the engine's processes.

The engine belongs to the event loop that made it, while callers come from many: graph runs, tests,
threads without any loop. So it gets its own, and callers hold futures.
"""

import asyncio
import atexit
import gc
import itertools
import logging
import multiprocessing
import os
import threading
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...core.chat import AnswerFailed
from ...core.errors import ModelError, ProviderError
from .turns import Disarming, Turn

ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",  # it would tell its makers about this machine
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process with OpenMP threads can hang
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}
"""Set before vLLM is first imported."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an engine is made from; models with the same settings share one.

    Attributes:
        model: absolute path of a folder, or a Hugging Face name.
        context: tokens of prompt and answer.
        slots: answers at the same time.
        dtype: precision of the weights.
        cache_gib: GiB for keys and values; None leaves it to vLLM.
        rank: the largest LoRA rank to leave room for; 0 for none.
    """

    model: str
    context: int
    slots: int
    dtype: str
    cache_gib: float | None
    rank: int


@dataclass(frozen=True, slots=True)
class Request:
    """One question.

    Attributes:
        turns: the conversation.
        sampling: arguments of vLLM's `SamplingParams`.
        guide: arguments of its `StructuredOutputsParams`; None for free text.
        adapter: absolute path of a LoRA adapter.
    """

    turns: tuple[Turn, ...]
    sampling: dict[str, Any]
    guide: dict[str, Any] | None
    adapter: str | None


@dataclass(frozen=True, slots=True)
class Output:
    """One answer and its token counts; `cached_tokens` of the prompt had been read before."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Engine:
    """A vLLM engine, loaded by the first request."""

    def __init__(self, settings: Settings) -> None:
        """Start the thread; nothing is loaded yet."""
        self._settings = settings
        self._llm: Any = None
        self._tokenizer: Any = None
        self._disarming = Disarming()
        self._adapters: dict[str, int] = {}
        self._numbers = itertools.count()
        self._working: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Future[Output]:
        """Return the answer to come; cancelling it drops the request.

        Its exceptions: AnswerFailed where the prompt is too long, ModelError where the model can't
        be loaded, ProviderError where the engine has died, ValueError where the request can't be
        served in this form.
        """
        return asyncio.run_coroutine_threadsafe(self._tracked(self._answer(request)), self._loop)

    def close(self) -> None:
        """Drop what is being generated, end the engine's processes and free the memory.

        Called when Python ends where nobody has.
        """
        atexit.unregister(self.close)
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _tracked(self, answering: Coroutine[Any, Any, Output]) -> Output:
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            return await answering
        finally:
            self._working.discard(task)

    async def _shut(self) -> None:
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        self._end()

    async def _answer(self, request: Request) -> Output:
        if self._llm is None:  # no `await` inside: only one request loads
            self._load()
        ids = self._encode(request.turns)
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        name = f"vllm:{self._settings.model}"
        if len(ids) >= self._settings.context:
            raise AnswerFailed(
                f"{name}: the prompt has {len(ids)} tokens, the context {self._settings.context};"
                " set `context` in the role's params higher"
            )
        try:
            return await self._generate(ids, request)
        except EngineDeadError as error:
            raise ProviderError(
                f"{name}: the engine has died, perhaps for want of memory; lower `slots` or"
                " `cache_gib` in the role's params, then resume"
            ) from error
        except VLLMClientError as error:
            raise ValueError(f"{name}: {error}") from error

    async def _generate(self, ids: list[int], request: Request) -> Output:
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import (
            RequestOutputKind,
            SamplingParams,
            StructuredOutputsParams,
        )

        guide = None if request.guide is None else StructuredOutputsParams(**request.guide)
        sampling = SamplingParams(
            **request.sampling,
            structured_outputs=guide,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        outputs = self._llm.generate(
            TokensPrompt(prompt_token_ids=ids),
            sampling,
            f"middo-{next(self._numbers)}",
            lora_request=self._lora(request.adapter),
        )
        said = [output async for output in outputs][-1]
        answer = said.outputs[0]
        return Output(
            text=self._disarming.show(answer.text),
            finish_reason=str(answer.finish_reason),
            prompt_tokens=len(said.prompt_token_ids),
            completion_tokens=len(answer.token_ids),
            cached_tokens=said.num_cached_tokens or 0,
        )

    def _encode(self, turns: tuple[Turn, ...]) -> list[int]:
        from jinja2.exceptions import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                [{"role": role, "content": self._disarming.hide(said)} for role, said in turns],
                tokenize=False,
                add_generation_prompt=True,
            )
        except TemplateError as error:
            raise ValueError(
                f"vllm:{self._settings.model}: the chat template refuses these turns: {error}"
            ) from error
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _lora(self, adapter: str | None) -> Any:
        if adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        number = self._adapters.setdefault(adapter, len(self._adapters) + 1)
        return LoRARequest(f"adapter-{number}", number, adapter)

    def _load(self) -> None:
        os.environ.update(ENVIRONMENT)
        logging.getLogger("vllm").setLevel(logging.ERROR)  # it warns before it reads its level
        with warnings.catch_warnings(), _python_warnings("ignore"):
            warnings.simplefilter("ignore")
            self._start()
        if self._tokenizer.chat_template is None:
            self._end()
            raise ModelError(f"model {self._settings.model!r}: no chat template; use a chat model")
        self._disarming = Disarming(self._tokenizer.all_special_tokens)
        # After vLLM's own hooks, to run before them: they end the processes under a living engine.
        atexit.register(self.close)

    def _start(self) -> None:
        from vllm.config import StructuredOutputsConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        made = self._settings
        gib = made.cache_gib
        try:
            # Never in a variable of this frame: an exception inside vLLM's imports keeps it alive.
            self._llm = AsyncLLM.from_engine_args(
                AsyncEngineArgs(
                    model=made.model,
                    dtype=made.dtype,
                    max_model_len=made.context,
                    max_num_seqs=made.slots,
                    kv_cache_memory_bytes=None if gib is None else int(gib * 2**30),
                    enable_prefix_caching=True,
                    enforce_eager=current_platform.is_cpu(),  # a CPU would compile for minutes
                    enable_lora=made.rank > 0,
                    max_lora_rank=made.rank or 16,
                    # Small models can write blank lines, which any JSON may hold, to the limit.
                    structured_outputs_config=StructuredOutputsConfig(
                        backend="xgrammar", disable_any_whitespace=True
                    ),
                    disable_log_stats=True,
                    use_tqdm_on_load=False,
                    trust_remote_code=False,
                )
            )
        except Exception as error:  # whatever vLLM and its libraries raise on a model
            words = " ".join(str(error).split())[:300] or type(error).__name__
            raise ModelError(f"model {made.model!r}: vLLM can't load it: {words}") from error
        self._tokenizer = self._llm.get_tokenizer()

    def _end(self) -> None:
        if self._llm is not None:
            self._llm.shutdown()
        self._llm = self._tokenizer = None
        gc.collect()
        multiprocessing.active_children()  # takes note of the processes that have ended


@contextmanager
def _python_warnings(wanted: str) -> Iterator[None]:
    """Let the processes that start meanwhile treat warnings so."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = wanted
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before
