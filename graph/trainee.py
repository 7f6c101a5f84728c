"""The trainee of a round as a chat model: training's weights and tokens, given to `providers`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..core.chat import AnswerFailed
from ..providers.local.trainee import TraineeChat
from ..training.sources import load_causal_lm, load_tokenizer
from ..training.template import Turn
from ..training.tokens import Tokens, Unscored
from ..training.weights import with_adapter


def trainee_chat(
    folder: Path,
    adapter: Path | None = None,
    *,
    dtype: str,
    device: str,
    template: Literal["auto", "plain"],
    **params: Any,
) -> TraineeChat:
    """Return the chat model of a model folder, a LoRA adapter merged into it.

    The weights are loaded by the first question, on `device` in `dtype`, beside whatever else is
    loaded. `params` are those of `TraineeChat`.
    """
    return TraineeChat(load=lambda: _Loaded(folder, adapter, dtype, device, template), **params)


class _Loaded:
    def __init__(
        self,
        folder: Path,
        adapter: Path | None,
        dtype: str,
        device: str,
        template: Literal["auto", "plain"],
    ) -> None:
        self._tokens = Tokens(load_tokenizer(folder), template)
        self.ends = self._tokens.ends()
        model = load_causal_lm(folder, dtype, device)
        self.model: Any = model if adapter is None else with_adapter(model, adapter)

    def encode(self, turns: Sequence[Turn]) -> list[int]:
        try:
            return self._tokens.encode_prompt(turns)
        except Unscored as error:
            raise AnswerFailed(f"self: the prompt can't be encoded: {error.reason}") from error

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokens.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
