"""The agents' models of a run, opened on first use: chat models, recordings, the trainee itself.

Models with the same configuration share one line, and with it one limit. A model that follows the
trainee (`self`, or `vllm:` with `adapter: round`) is another one in every round.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel

from ..core.config import RunConfig, TeacherConfig
from ..core.errors import ConfigError
from ..core.ids import canonical_json, short_hash
from ..providers.failures import in_one_line
from ..providers.line import Line
from ..providers.resolve import chat_model, check_role, hang_up, model_identity
from ..stores.facts import Facts
from ..stores.recording import Recording, read_recording, recording_file
from .sources import Live, Replayed, Source
from .trainee import trainee_chat

REPLAY = "replay"
SELF = "self"
ROUND = "round"
"""As `adapter` of a `vllm:` model: the adapter that the round's training made."""
SERVER_TIMEOUT = 300.0
"""Seconds for one call where nothing else is configured; a model in this process has no limit."""
_IN_PROCESS = {"llamacpp", "vllm", SELF}


def providers_of(config: RunConfig) -> dict[str, str]:
    """Return the provider behind each role that has only one; a recording is none."""
    found = {}
    for name, role in config.agents.roles.items():
        provider, given, _ = role.model.partition(":")
        if given and not role.fallbacks and provider not in {REPLAY, "import"}:
            found[name] = provider
    return found


@dataclass(frozen=True, slots=True)
class Trainee:
    """The model that a round trained, for agents that ask it.

    Attributes:
        folder: all weights: the base model's, or those of full fine-tuning.
        adapter: the LoRA adapter's folder; None where the weights themselves were tuned.
        weights: hash of what was trained.
    """

    folder: Path
    adapter: Path | None
    weights: str
    dtype: str
    device: str
    template: Literal["auto", "plain"]


class Teachers:
    """Opens what roles name and keeps it open."""

    def __init__(
        self,
        config: RunConfig,
        facts: Facts,
        trainee: Callable[[int], Trainee],
        may_call: Callable[[], None],
        heed: Callable[[], None],
    ) -> None:
        """Remember what to open; nothing is loaded here.

        Args:
            config: of the run.
            facts: keep what was learned of a model's way to structured output.
            trainee: returns the model that a round trained.
            may_call: raises where nothing may be asked any more.
            heed: raises where the run is to stop.
        """
        self._config = config
        self._facts = facts
        self._trainee = trainee
        self._may_call = may_call
        self._heed = heed
        self._sources: dict[str, Source] = {}
        self._models: dict[str, BaseChatModel] = {}
        self._recordings: dict[str, Recording] = {}
        self._identities: dict[str, dict[str, Any]] = {}
        self._opening = asyncio.Lock()

    async def source(self, teacher: TeacherConfig, round: int) -> Source:
        """Return who answers for a teacher; loading it happens in a thread, the first time.

        Raises:
            ConfigError, ProviderError, ModelError: it can't be opened.
        """
        name = self._name(teacher, round)
        if name not in self._sources:
            async with self._opening:
                if name not in self._sources:
                    self._close_followers(teacher)
                    self._sources[name] = await asyncio.to_thread(self._open, name, teacher, round)
        return self._sources[name]

    def identity(self, teacher: TeacherConfig, round: int) -> dict[str, Any]:
        """Return what decides a teacher's answers, for keys of the ledger."""
        name = self._name(teacher, round)
        if name not in self._identities:
            self._identities[name] = self._identify(teacher, round)
        return self._identities[name]

    async def hang_up(self) -> None:
        """Close the connections to servers; to be done in the loop that asked them, at its end."""
        for model in self._models.values():
            await hang_up(model)

    def close(self) -> None:
        """Release the models that hold memory."""
        for model in self._models.values():
            _close(model)
        self._models.clear()
        self._sources.clear()

    def _open(self, name: str, teacher: TeacherConfig, round: int) -> Source:
        if provider_of(teacher) == REPLAY:
            return Replayed(teacher, self._recording(teacher))
        model = self._models[name] = self._load(teacher, round)
        line = Line(
            model,
            name=teacher.model,
            slots=self._config.refinement.concurrency,
            timeout=_timeout(teacher),
            may_call=self._may_call,
            heed=self._heed,
        )
        return Live(teacher, line, RunMemory(self._facts, self.identity(teacher, round)))

    def _load(self, teacher: TeacherConfig, round: int) -> BaseChatModel:
        if provider_of(teacher) == SELF:
            made = self._trainee(round)
            given = {"seed": self._config.seed, **teacher.params}
            try:
                return trainee_chat(
                    folder=made.folder,
                    adapter=made.adapter,
                    dtype=made.dtype,
                    device=made.device,
                    template=made.template,
                    **given,
                )
            except (TypeError, ValueError) as error:
                raise ConfigError(f"'self': a parameter is wrong: {in_one_line(error)}") from error
        if follows_trainee(teacher):
            teacher = _with_adapter(teacher, self._trainee(round).adapter)
        return chat_model(
            teacher, seed=self._config.seed, concurrency=self._config.refinement.concurrency
        )

    def _recording(self, teacher: TeacherConfig) -> Recording:
        if teacher.model not in self._recordings:
            self._recordings[teacher.model] = read_recording(_target(teacher))
        return self._recordings[teacher.model]

    def _identify(self, teacher: TeacherConfig, round: int) -> dict[str, Any]:
        if provider_of(teacher) == REPLAY:
            return {"model": REPLAY, "answers": self._recording(teacher).digest}
        if not follows_trainee(teacher):
            return model_identity(teacher, seed=self._config.seed)
        weights = {"weights": self._trainee(round).weights}
        if provider_of(teacher) == SELF:
            return {"model": SELF, "params": teacher.params, "seed": self._config.seed, **weights}
        alone = _with_adapter(teacher, None)
        return {**model_identity(alone, seed=self._config.seed), **weights}

    def _name(self, teacher: TeacherConfig, round: int) -> str:
        plain = canonical_json(teacher.model_dump(mode="json"))
        return f"{plain} {self._trainee(round).weights}" if follows_trainee(teacher) else plain

    def _close_followers(self, teacher: TeacherConfig) -> None:
        """Close the trainee of an earlier round before that of another is opened."""
        if not follows_trainee(teacher):
            return
        plain = canonical_json(teacher.model_dump(mode="json"))
        for name in [name for name in self._models if name.startswith(f"{plain} ")]:
            _close(self._models.pop(name))
            del self._sources[name]


class RunMemory:
    """What was learned of a model, in the run's facts: a resumed run does not probe again."""

    def __init__(self, facts: Facts, identity: dict[str, Any]) -> None:
        """Use the facts under the model's identity."""
        self._facts = facts
        self._prefix = f"ladder.{short_hash(identity)}"

    def get(self, key: str, /) -> str | None:
        """Return what was learned, or None."""
        value = self._facts.get(f"{self._prefix}.{key}")
        return None if value is None else str(value)

    def __setitem__(self, key: str, value: str, /) -> None:
        """Keep what was learned; the first word stands."""
        self._facts.put_once(f"{self._prefix}.{key}", value)


def check_teacher(teacher: TeacherConfig) -> None:
    """Find out cheaply whether a teacher can be opened; nothing heavy is loaded.

    Raises:
        ConfigError, DataError, ModelError, ProviderError: it can't.
    """
    if provider_of(teacher) == REPLAY:
        recording_file(_target(teacher))
    elif provider_of(teacher) != SELF:
        check_role(_with_adapter(teacher, None) if follows_trainee(teacher) else teacher)


def provider_of(teacher: TeacherConfig) -> str:
    """Return the part of a model's name that says who provides it."""
    return teacher.model.partition(":")[0].strip().replace("-", "_").lower()


def follows_trainee(teacher: TeacherConfig) -> bool:
    """Return whether the model is another one in every round."""
    provider = provider_of(teacher)
    return provider == SELF or (provider == "vllm" and teacher.params.get("adapter") == ROUND)


def _with_adapter(teacher: TeacherConfig, adapter: Path | None) -> TeacherConfig:
    """Return the teacher with a folder in place of `adapter: round`, or with none."""
    others = {name: value for name, value in teacher.params.items() if name != "adapter"}
    params = others if adapter is None else {**others, "adapter": str(adapter)}
    return teacher.model_copy(update={"params": params})


def _target(teacher: TeacherConfig) -> str:
    return teacher.model.partition(":")[2].strip()


def _timeout(teacher: TeacherConfig) -> float | None:
    if teacher.timeout is not None or provider_of(teacher) in _IN_PROCESS:
        return teacher.timeout
    return SERVER_TIMEOUT


def _close(model: BaseChatModel) -> None:
    close = getattr(model, "close", None)
    if callable(close):
        close()
