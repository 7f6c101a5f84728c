"""LangChain's standard tests, with the tiny random model as the trainee."""

from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from middo.graph.trainee import trainee_chat
from middo.providers.local.trainee import TraineeChat

from ..providers.standard import InThisProcess


class _Tiny(InThisProcess):
    folder: Path

    @pytest.fixture(autouse=True)
    def _find(self, tiny_folder: Path) -> None:
        self.folder = tiny_folder

    @property
    def chat_model_class(self) -> type[TraineeChat]:
        return TraineeChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        made = trainee_chat(self.folder, dtype="float32", device="cpu", template="auto")
        return {"load": made.load}


class TestUnit(_Tiny, ChatModelUnitTests):
    """Nothing is loaded."""


class TestIntegration(_Tiny, ChatModelIntegrationTests):
    """The model answers."""
