"""LangChain's standard tests in vLLM's engine, where it is installed.

Those that generate need a model folder, and `-m ""` since they are slow:

    MIDDO_TEST_VLLM_MODEL=FOLDER pytest -m "" tests/providers/test_standard_vllm.py
"""

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from middo.providers.local.vllm import VllmChat

from .standard import InThisProcess

MODEL = os.environ.get("MIDDO_TEST_VLLM_MODEL")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vllm isn't installed"
)


class _Small(InThisProcess):
    @property
    def chat_model_class(self) -> type[VllmChat]:
        return VllmChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL or "some/model", "context": 512, "slots": 8, "cache_gib": 0.25}


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Iterator[None]:
    """Hold the engine from the first test to the last, so that it loads once."""
    holder = VllmChat(**_Small().chat_model_params)
    holder._lease.open()
    yield
    holder.close()


class TestUnit(_Small, ChatModelUnitTests):
    """Nothing is loaded."""


@pytest.mark.slow
@pytest.mark.skipif(MODEL is None, reason="MIDDO_TEST_VLLM_MODEL names no model folder")
class TestIntegration(_Small, ChatModelIntegrationTests):
    """The model answers."""
