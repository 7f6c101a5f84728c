"""What LangChain's standard tests need to know of a model that runs in this process."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel


class InThisProcess:
    """Mixed into a class of standard tests, before it.

    The standard parameters are those without `api_key`, `timeout` and `max_retries`: there is no
    network, and an argument that would be ignored is an error. None of the models calls tools, and
    their JSON comes through `response_format`, not `with_structured_output`.
    """

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 8, "stop": []}

    @property
    def supports_model_override(self) -> bool:
        return False

    @pytest.fixture
    def model(self, request: Any) -> Iterator[BaseChatModel]:
        given = getattr(request, "param", None) or {}
        made = self.chat_model_class(  # type: ignore[attr-defined]
            **{**self.standard_chat_model_params, **self.chat_model_params, **given}  # type: ignore[attr-defined]
        )
        yield made
        made.close()
