"""A LangChain chat model over a server that takes and gives one JSON object.

    POST {url}   {"model": "...", "messages": [{"role": "user", "content": "..."}],
                  "max_tokens": 512, "temperature": 0.0, "schema": {...}}
    200          {"text": "...", "model": "...", "usage": {"input_tokens": 9, "output_tokens": 3}}

`schema` is sent where an answer has to fit a JSON schema; a server that can't hold to it ignores
it, and Middo reads the JSON out of the text. `model` and `usage` may be missing from a reply: Middo
then says that they are unknown. What this class promises, a model of your own has to as well:

- both `_generate` and `_agenerate`, as many calls run at the same time;
- no retries of its own: Middo retries, in one place;
- errors that carry `response.status_code` and the headers, so that 429 with `Retry-After` is waited
  for and a refused key is not;
- `response_format` among the arguments of a call, by which Middo asks for JSON.
"""

from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, Field, SecretStr

_ROLES = {"system": "system", "human": "user", "ai": "assistant"}


class PlainHttpChat(BaseChatModel):
    """Ask `url`; every field is a parameter in Middo's configuration."""

    model_config = ConfigDict(extra="forbid")  # a misspelt parameter is an error, not ignored

    model: str
    base_url: str = Field(description="the address that is posted to")
    api_key: SecretStr | None = Field(None, description="sent as a bearer token")
    max_tokens: int = Field(512, ge=1)
    temperature: float = Field(0.0, ge=0)
    timeout: float = Field(300.0, gt=0, description="seconds for one call")

    @property
    def _llm_type(self) -> str:
        return "plain-http"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "max_tokens": self.max_tokens, "temperature": self.temperature}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with httpx.Client(timeout=self.timeout, headers=self._headers()) as client:
            return _result(client.post(self.base_url, json=self._request(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with httpx.AsyncClient(timeout=self.timeout, headers=self._headers()) as client:
            request = self._request(messages, stop, kwargs)
            return _result(await client.post(self.base_url, json=request))

    def _headers(self) -> dict[str, str]:
        if self.api_key is None:
            return {}
        return {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": _ROLES[turn.type], "content": turn.text} for turn in messages],
            "max_tokens": arguments.get("max_tokens", self.max_tokens),
            "temperature": arguments.get("temperature", self.temperature),
        }
        if stop:
            request["stop"] = stop
        wanted = arguments.get("response_format") or {}
        if "json_schema" in wanted:
            request["schema"] = wanted["json_schema"]["schema"]
        return request


def _result(response: httpx.Response) -> ChatResult:
    response.raise_for_status()  # httpx.HTTPStatusError carries the response with its headers
    reply = response.json()
    used = reply.get("usage")
    usage = None
    if used is not None:
        read, written = int(used["input_tokens"]), int(used["output_tokens"])
        usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    message = AIMessage(
        reply["text"],
        usage_metadata=usage,
        response_metadata={"model_name": reply["model"]} if "model" in reply else {},
    )
    return ChatResult(generations=[ChatGeneration(message=message)])
