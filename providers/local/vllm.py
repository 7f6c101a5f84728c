"""vLLM's engine on this machine: many answers at a time without a server or a key.

Calls that come together are batched by the engine as they run, so `refinement.concurrency` is what
makes it fast. Common beginnings of prompts are computed once (prefix caching). The engine's log is
off, and so is vLLM's report of its use to its makers.

vLLM starts processes of its own by importing the program's main module anew: a script that uses it
needs `if __name__ == "__main__":`, which the `middo` command has.
"""

import asyncio
import importlib.util
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from ...core.errors import ModelError, ProviderError
from .sharing import Lease, Shared
from .turns import chat_result, in_one_piece, refuse_unknown, turns_of
from .vllm_engine import Engine, Output, Request, Settings

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""LoRA ranks that vLLM has room for; an adapter gets the next larger one."""

_ARGUMENTS = {"max_tokens", "temperature", "top_p", "seed", "response_format"}
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def check_engine() -> None:
    """Raise `ProviderError` with the line to run where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise ProviderError('vLLM is not installed; run `pip install "middo[vllm]"`')


def model_source(model: str) -> str:
    """Return the absolute path of a model folder, or a Hugging Face name as it is.

    Raises:
        ModelError: the folder is no model's, or the name can't be one.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"model {model!r}: holds no config.json; it is not a model folder")
        return str(path.resolve())
    if path.is_file() or not _HUB_NAME.fullmatch(model):
        raise ModelError(
            f"model {model!r}: vLLM takes a folder of safetensors or a Hugging Face name, and"
            " there is no such folder; for a .gguf file use llamacpp:"
        )
    return model


def adapter_rank(adapter: str) -> int:
    """Return the room that a LoRA adapter needs, one of `RANKS`.

    Raises:
        ModelError: there is no adapter, or its rank is beyond the largest.
    """
    folder = Path(adapter).expanduser()
    try:
        said = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        rank = int(said["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"adapter {adapter!r}: no adapter_config.json with a rank; name a LoRA adapter's folder"
        ) from error
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"adapter {adapter!r}: holds no adapter_model.safetensors")
    room = next((size for size in RANKS if size >= rank), None)
    if room is None:
        raise ModelError(f"adapter {adapter!r}: rank {rank} is more than vLLM's {RANKS[-1]}")
    return room


_engines: Shared[Settings, Engine] = Shared(Engine)


class VllmChat(BaseChatModel):
    """A model in vLLM's engine as a LangChain chat model, with guided `response_format`."""

    model_config = ConfigDict(extra="forbid")

    structured_rung: ClassVar[str] = "json_schema"
    """The rung of the ladder of structured output that every model of this engine serves."""

    model: str = Field(description="folder of safetensors, or a Hugging Face name")
    adapter: str | None = Field(None, description="folder of a LoRA adapter for the model")
    context: int = Field(2048, ge=64, description="tokens, prompt and answer together")
    slots: int = Field(64, ge=1, description="answers at the same time")
    max_tokens: int = Field(512, ge=1, description="tokens of an answer at most")
    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token")
    seed: int = Field(0, ge=0, description="for temperatures above 0")
    stop: list[str] = Field([], description="texts that end an answer where a call names none")
    repeat_penalty: float = Field(
        1.0, ge=1, le=2, description="above 1 it keeps small models from looping until the limit"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="precision; `auto` is that of the model's files"
    )
    cache_gib: float | None = Field(
        None, gt=0, description="GiB for what was read of prompts; default: what vLLM decides"
    )
    streaming: bool = Field(
        False, description="as LangChain knows it; an answer then comes as one chunk"
    )

    _lease: Lease[Settings, Engine] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Find engine, model and adapter now, so that a mistake shows before any work."""
        super().model_post_init(context)
        check_engine()
        settings = Settings(
            model=model_source(self.model),
            context=self.context,
            slots=self.slots,
            dtype=self.dtype,
            cache_gib=self.cache_gib,
            rank=0 if self.adapter is None else adapter_rank(self.adapter),
        )
        self._lease = Lease(_engines, settings)

    def close(self) -> None:
        """Free the engine unless another model uses it; a later call loads it again."""
        self._lease.close()

    @property
    def _llm_type(self) -> str:
        return "middo-vllm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "adapter": self.adapter,
            "context": self.context,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stop": self.stop,
            "repeat_penalty": self.repeat_penalty,
            "dtype": self.dtype,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        return self._result(self._lease.open().submit(request).result())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        # Cancelling the wrapped future cancels the engine's own task, which drops the request.
        return self._result(await asyncio.wrap_future(self._lease.open().submit(request)))

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

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]
    ) -> Request:
        refuse_unknown(arguments, _ARGUMENTS, "vllm")
        given = dict(arguments)
        form = given.pop("response_format", None)
        return Request(
            turns=tuple(turns_of(messages, "vllm")),
            sampling={
                "max_tokens": self.max_tokens,
                "temperature": self.temperature,
                "seed": self.seed,
                "stop": self.stop if stop is None else stop,
                "repetition_penalty": self.repeat_penalty,
                **given,
            },
            guide=_guide(form),
            adapter=None
            if self.adapter is None
            else str(Path(self.adapter).expanduser().resolve()),
        )

    def _result(self, output: Output) -> ChatResult:
        settings = self._lease.key
        local = Path(settings.model).is_absolute()
        name = Path(settings.model).name if local else settings.model
        return chat_result(
            output.text,
            model_name=f"vllm:{name}",
            finish_reason=output.finish_reason,
            prompt_tokens=output.prompt_tokens,
            completion_tokens=output.completion_tokens,
            cached_tokens=output.cached_tokens,
        )


def _guide(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a `response_format` of OpenAI's as arguments of vLLM's structured outputs."""
    match form:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"json_object": True}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return {"json": schema}
    raise ValueError(f"vllm takes no response_format {form!r}")
