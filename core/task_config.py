"""One task of `evaluation.tasks`: what every round's model is measured on besides the hold-out."""

from pathlib import PurePath
from typing import Literal, cast

from pydantic import Field, model_validator

from .section import Section

Kind = Literal["number", "constraints", "lm-eval", "import"]

MAX_TOKENS = 256
_OWN = ("number", "constraints")
_KNOWN = (
    "number, constraints, lm-eval:NAME (a task of lm-evaluation-harness) or"
    " import:package.module:function"
)


class TaskConfig(Section):
    """A task that the untuned base and every round's model are measured on; only reported."""

    metric: str = Field(
        description="`number`, `constraints`, `lm-eval:NAME` or `import:package.module:function`"
    )
    name: str | None = Field(
        None, min_length=1, max_length=60, description="default: of the data file, task or function"
    )
    data: str | None = Field(None, description="file of its rows; for `number` and `constraints`")
    limit: int | None = Field(None, ge=1, description="rows at most; default all")
    max_tokens: int | None = Field(None, ge=1, description="of an answer at most; default 256")
    include_path: str | None = Field(
        None, description="folder with task files of your own, for `lm-eval`"
    )

    @property
    def kind(self) -> Kind:
        """Who measures: one of ours, the harness, or a function."""
        return cast(Kind, self.metric.partition(":")[0])

    @property
    def target(self) -> str:
        """The task of the harness, or `package.module:function`; empty for ours."""
        return self.metric.partition(":")[2]

    @property
    def title(self) -> str:
        """What tables call it."""
        if self.name is not None:
            return self.name
        if self.kind == "lm-eval":
            return self.target
        if self.kind == "import":
            return self.target.rpartition(":")[2]
        return PurePath(self.data or "").stem

    @property
    def answer_tokens(self) -> int:
        """Tokens of an answer at most."""
        return self.max_tokens or MAX_TOKENS

    @model_validator(mode="after")
    def _whole(self) -> "TaskConfig":
        own = self.metric in _OWN
        if not own and (self.kind not in ("lm-eval", "import") or not self.target):
            raise ValueError(f"metric: {self.metric!r} is not valid; expected {_KNOWN}")
        if own and self.data is None:
            raise ValueError(f"data: is missing; {self.metric} needs a file of rows")
        if self.include_path is not None and self.kind != "lm-eval":
            raise ValueError("include_path: only tasks of lm-eval have one")
        if self.kind == "lm-eval":
            for key in ("data", "max_tokens"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: a task of lm-eval says that in its own file")
        return self
