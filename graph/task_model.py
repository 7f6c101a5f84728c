"""What a metric of the user's own is given, `import:package.module:function` of a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Generate(Protocol):
    """Answers prompts greedily, in batches, as the model was trained: each is a user's turn."""

    def __call__(self, prompts: Sequence[str], max_tokens: int | None = None) -> list[str]:
        """Return one answer per prompt.

        Raises:
            ValueError: a prompt is longer than the model's context or can't be encoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class TaskModel:
    """The model that is measured.

    Attributes:
        generate: asks it; loaded by the first call.
        folder: weights and tokenizer, loadable by transformers: all weights, or the base of the
            adapter.
        adapter: LoRA folder, loadable by peft; None for the untuned base and for full fine-tuning.
        rows: the rows of the task's `data`, as they are in the file, at most `limit`.
    """

    generate: Generate
    folder: Path
    adapter: Path | None
    rows: tuple[dict[str, Any], ...]
