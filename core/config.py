"""The configuration of a run, checked by pydantic before anything heavy is loaded.

Keys not listed here are errors. Reading files, flags and environment variables is
`middo.formats.configuration`; this module only says what a configuration is. `config_hash` covers
everything that can change the data; what a resumed run may change is in `CHANGEABLE`.
"""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from .ids import content_hash
from .records import Axis
from .section import Section
from .task_config import TaskConfig

Share = Annotated[float, Field(gt=0, lt=1)]
Band = tuple[float, float]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

CHANGEABLE = ("budget", "refinement.concurrency", "traces", "review")
"""Dotted keys outside the configuration's hash, which `resume --set` may change.

`review` says whether a person is waited for. What people decide is no setting: it is in the run's
database, word by word, and so is what went on without them.
"""


class DataConfig(Section):
    """What to train on."""

    path: str = Field("demo", description="file, folder, Hugging Face data set, or `demo`")
    format: Literal["auto", "alpaca", "sharegpt", "messages", "prompt", "question"] = Field(
        "auto", description="importer; `auto` detects it from the columns"
    )
    limit: int | None = Field(None, ge=8, description="a seeded random number of usable rows")
    max_quarantined: float = Field(
        0.1, ge=0, le=1, description="share of unusable rows above which a run does not start"
    )


class ModelConfig(Section):
    """The trainee."""

    base: str = Field(
        "smollm2-135m", description="folder, Hugging Face name, .gguf file, or `smollm2-135m`"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="`auto`: bfloat16 where the hardware computes it, else float32"
    )
    template: Literal["auto", "plain"] = Field(
        "auto", description="chat template: the tokenizer's own where it has one, or the plain one"
    )
    max_length: int = Field(
        1024, ge=32, description="tokens; longer samples are unscored and not trained on"
    )


class LoraConfig(Section):
    """Low-rank adaptation."""

    rank: int = Field(16, ge=1, description="rank of the update matrices")
    alpha: int = Field(32, ge=1, description="scaling numerator: updates count alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the update")


class TrainingConfig(Section):
    """How the trainee is fine-tuned, the same in every round."""

    method: Literal["lora", "full"] = Field("lora", description="adapter, or all weights")
    epochs: float = Field(1.0, gt=0, description="passes over the first round's data")
    learning_rate: float | None = Field(
        None, gt=0, description="default 2e-4 for lora, 2e-5 for full"
    )
    batch_tokens: int = Field(1024, ge=32, description="tokens per optimizer step, on average")
    lora: LoraConfig = LoraConfig()
    report_to: list[str] = Field([], description="trackers that transformers knows, as `wandb`")

    @property
    def rate(self) -> float:
        """The learning rate, with the method's default filled in."""
        default = 2e-4 if self.method == "lora" else 2e-5
        return self.learning_rate if self.learning_rate is not None else default


class SignalsConfig(Section):
    """What the diagnostician measures and how much it flags."""

    axes: list[Axis] = Field(list(Axis), min_length=1, description="axes to diagnose")
    selection: Literal["signals", "random", "all"] = Field(
        "signals", description="samples to refine: those flagged, as many at random, or all"
    )
    share: Share = Field(0.08, description="share of the rows to flag per axis at the first look")
    k: dict[Axis, float] = Field(
        {}, description="fixed threshold factors, instead of those chosen from `share`"
    )
    neighbours: int = Field(2, ge=1, le=50, description="nearest samples that density averages")
    calibration: int = Field(64, ge=0, description="rows that quality is calibrated on")


class RefinementConfig(Section):
    """How flagged samples are refined."""

    attempts: int = Field(3, ge=1, le=10, description="proposals per flagged sample at most")
    concurrency: int = Field(8, ge=1, description="samples refined at the same time")
    added_share: float = Field(0.05, ge=0, lt=1, description="new samples per round at most")
    max_samples: int | None = Field(
        None, ge=0, description="flagged samples refined per round at most; the rest is deferred"
    )


class ChecksConfig(Section):
    """Bounds that a proposal has to keep."""

    similarity: Band = Field((0.60, 0.995), description="cosine band of the old and new prompt")
    length_ratio: Band = Field((0.2, 5.0), description="new answer's length over the old one's")
    embedder: str = Field("minilm", description="sentence-transformers model, `minilm`, `trainee`")

    @model_validator(mode="after")
    def _ordered(self) -> "ChecksConfig":
        for key, (low, high) in (("similarity", self.similarity), ("length", self.length_ratio)):
            if low >= high:
                raise ValueError(f"{key}: the lower bound {low} is not below the upper {high}")
        return self


class TeacherConfig(Section):
    """An LLM that an agent can ask."""

    model: str = Field(description="`provider:model`, such as `llamacpp:smollm2-135m`")
    params: dict[str, Any] = Field({}, description="arguments for the model, as `temperature`")
    api_key_env: str | None = Field(None, description="environment variable that holds the key")
    timeout: float | None = Field(
        None, gt=0, description="seconds for one call; default 300, none for models in this process"
    )


class RoleConfig(TeacherConfig):
    """The model behind one agent, and who answers where it can't."""

    fallbacks: list[TeacherConfig] = Field(
        [], description="models asked in this order where the one before is down or has no answer"
    )

    @property
    def chain(self) -> tuple[TeacherConfig, ...]:
        """The models in the order in which they are asked."""
        first = TeacherConfig(**{name: getattr(self, name) for name in TeacherConfig.model_fields})
        return (first, *self.fallbacks)


class PlanBounds(Section):
    """How far an LLM as diagnostician may move the plan; what goes beyond is held there."""

    k: Band = Field((0.5, 4.0), description="threshold factors that it may set")
    share: Band = Field((0.1, 0.8), description="part of the refine budget that one axis may get")

    @model_validator(mode="after")
    def _ordered(self) -> "PlanBounds":
        for key, (low, high) in (("k", self.k), ("share", self.share)):
            if not 0 <= low < high:
                raise ValueError(f"{key}: give a lower bound of 0 or more and a higher upper one")
        return self


class AgentsConfig(Section):
    """Which model plays which role.

    No critic: the rewriter's model is asked. No diagnostician: the plan is the code's own.
    """

    rewriter: RoleConfig = RoleConfig(model="llamacpp:smollm2-135m")
    critic: RoleConfig | None = None
    diagnostician: RoleConfig | None = None
    plan: PlanBounds = PlanBounds()

    @property
    def judge(self) -> RoleConfig:
        """The critic's model, or the rewriter's where none is configured."""
        return self.critic or self.rewriter

    @property
    def roles(self) -> dict[str, RoleConfig]:
        """Every role that asks a model, by name."""
        roles = {"rewriter": self.rewriter, "critic": self.judge}
        return (
            roles if self.diagnostician is None else {**roles, "diagnostician": self.diagnostician}
        )


class EvaluationConfig(Section):
    """What rounds are measured on; the gate looks at the hold-out alone."""

    data: str | None = Field(None, description="a file of your own instead of a split of the data")
    rows: int | None = Field(None, ge=1, description="hold-out size; default 10 %, 64 to 500 rows")
    exclude_overlap: bool = Field(
        True, description="leave out training rows that overlap evaluation data, not only tell them"
    )
    tasks: list[TaskConfig] = Field(
        [], description="tasks that every round is measured on; reported, not gated on"
    )

    @field_validator("tasks")
    @classmethod
    def _distinct(cls, tasks: list[TaskConfig]) -> list[TaskConfig]:
        titles = [task.title for task in tasks]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"two are called {title!r}; give one of them a name")
        return tasks


class GateConfig(Section):
    """When a round counts as better, and when as worse."""

    margin: float = Field(0.005, ge=0, description="nats per token that a round may lose")
    seeds: int = Field(
        3, ge=1, le=20, description="trainings over which a round has to be better, or worse"
    )
    patience: int = Field(2, ge=1, description="rounds without `better` before the run ends")
    on_worse: Literal["stop", "continue"] = Field(
        "stop", description="after a rollback: end the run, or go on from the best round"
    )


class BudgetConfig(Section):
    """Hard caps, checked before each call to an LLM. A run that meets one can be resumed."""

    max_usd: float | None = Field(None, gt=0, description="price of all LLM calls together")
    max_tokens: int | None = Field(None, ge=1, description="tokens of all LLM calls together")
    max_hours: float | None = Field(None, gt=0, description="wall-clock time of the run")
    prices: str | None = Field(
        None, description="YAML or JSON file with prices of models that have no known one"
    )


class TracesConfig(Section):
    """What is recorded of a run's work. It goes nowhere but to the run folder, unless told."""

    store: bool = Field(
        True, description="keep every LLM call, verdict and node in `traces.db`, without keys"
    )
    langsmith: bool = Field(
        False, description="let LangSmith's environment variables send LLM calls there"
    )
    otlp: str | None = Field(
        None, description="address of an OpenTelemetry receiver (OTLP over HTTP) for all traces"
    )
    otlp_headers_env: str | None = Field(
        None, description="environment variable with headers for it, as `name=value,name=value`"
    )

    @field_validator("otlp")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        # Messages never repeat the value: it may hold what it is refused for.
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or not url.isprintable():
            raise ValueError("give an address such as http://localhost:6006/v1/traces")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "the address holds a login or arguments; put headers with the key into an"
                " environment variable and name it in traces.otlp_headers_env"
            )
        return url

    @field_validator("otlp_headers_env")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None and not _VARIABLE.fullmatch(name):
            raise ValueError("give the name of an environment variable, not its value")
        return name


class RunConfig(Section):
    """Everything that a run depends on."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    signals: SignalsConfig = SignalsConfig()
    refinement: RefinementConfig = RefinementConfig()
    checks: ChecksConfig = ChecksConfig()
    agents: AgentsConfig = AgentsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    gate: GateConfig = GateConfig()
    budget: BudgetConfig = BudgetConfig()
    traces: TracesConfig = TracesConfig()
    review: bool = Field(
        False, description="pause before merge until a person has decided on every proposal"
    )
    rounds: int = Field(3, ge=0, description="refinements at most; trainings are one more")
    seed: int = Field(7, ge=0, lt=2**31, description="feeds all randomness")


LATER: tuple[tuple[str, Any], ...] = (
    ("evaluation.exclude_overlap", False),
    ("evaluation.tasks", []),
    ("signals.selection", "signals"),
    ("gate.seeds", 1),
)
"""Dotted keys that a version added, with what every version before it did.

A run that an earlier version began goes on as it began: its configuration is read with these values
(`formats.configuration.load_kept`), and the hash leaves them out, so it is the same.
"""


def config_hash(config: RunConfig) -> str:
    """Return the hash of all keys that can change the data (not those in `CHANGEABLE`)."""
    return content_hash(hashed_part(config))


def hashed_part(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as JSON types without the keys in `CHANGEABLE`."""
    plain = config.model_dump(mode="json")
    for dotted in CHANGEABLE:
        section, _, key = dotted.partition(".")
        if key:
            plain[section].pop(key)
        else:
            plain.pop(section, None)
    for dotted, before in LATER:
        section, _, key = dotted.partition(".")
        if plain[section][key] == before:
            plain[section].pop(key)
    return plain
