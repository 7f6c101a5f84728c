"""A causal language model as the scorer uses it: hidden states of rows, then chosen logits.

Logits of a whole batch would be the largest tensor by far (tokens times vocabulary), while the
signals need a part of them. So the network stops at the last hidden states, and the output layer
runs on the positions that are asked for, in chunks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from .layout import Row
from .mask import attention_masks, padded
from .sources import load_causal_lm, quiet

LOGITS_AT_ONCE = 2**24
"""Logits held at the same time: 64 MiB in float32."""
LOGIT_TOLERANCE = 0.02
"""Largest difference from the model's own logits, as a share of the largest logit."""
PROBE = 16
"""Tokens of the pass that compares the chosen logits with the model's own."""


class Network:
    """A model without its training machinery."""

    def __init__(self, folder: Path, adapter: Path | None, dtype: str, device: str) -> None:
        """Load the weights, and merge the adapter into them.

        Raises:
            ModelError: weights or adapter can't be loaded, or the model changes its logits in a
                way that is not known here.
        """
        self._model = load_causal_lm(folder, dtype, device)
        if adapter is not None:
            self._model = _merged(self._model, adapter)
        self._device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, dtype)
        self.config = self._model.config.get_text_config()
        # A wrong mask shifts losses by about one nat; bfloat16 scatters them by about 0.1.
        self.tolerance = 1e-3 if dtype == "float32" else 0.25
        self._require_known_logits(folder)

    @property
    def context(self) -> int:
        """The longest path in tokens that the model has positions for."""
        return int(getattr(self.config, "max_position_embeddings", None) or 2**31)

    @torch.inference_mode()
    def hidden(self, rows: Sequence[Row]) -> torch.Tensor:
        """Return the last hidden states [rows, width, size]; those of padding mean nothing."""
        ids = padded([row.ids for row in rows]).to(self._device)
        arguments: dict[str, Any] = {}
        # Padding on the right is out of sight of causal attention, which needs no mask then.
        if not all(row.is_plain for row in rows):
            masks = attention_masks(self.config, rows, self._dtype)
            arguments["attention_mask"] = (
                {kind: mask.to(self._device) for kind, mask in masks.items()}
                if isinstance(masks, dict)
                else masks.to(self._device)
            )
            arguments["position_ids"] = padded([row.positions for row in rows]).to(self._device)
        states: torch.Tensor = self._model.base_model(
            input_ids=ids, use_cache=False, **arguments
        ).last_hidden_state
        return states

    @torch.inference_mode()
    def log_probabilities(self, states: torch.Tensor, tokens: Sequence[Sequence[int]]) -> Any:
        """Return the log probabilities of chosen tokens after each state, float32[n, k].

        Args:
            states: [n, size], one state per prediction.
            tokens: [n][k], the tokens whose probability is wanted.
        """
        chosen = torch.tensor(tokens, device=states.device)
        chunk = max(1, LOGITS_AT_ONCE // int(self.config.vocab_size))
        parts = []
        for start in range(0, len(states), chunk):
            logits = self._logits(states[start : start + chunk])
            picked = logits.gather(1, chosen[start : start + chunk])
            parts.append(picked - logits.logsumexp(dim=1, keepdim=True))
        return torch.cat(parts).cpu().numpy()

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model.get_output_embeddings()(states).float()
        cap = getattr(self.config, "final_logit_softcapping", None)
        if cap:
            logits = cap * torch.tanh(logits / cap)
        logits = logits * float(getattr(self.config, "logit_scale", None) or 1.0)
        return logits / float(getattr(self.config, "logits_scaling", None) or 1.0)

    @torch.inference_mode()
    def _require_known_logits(self, folder: Path) -> None:
        ids = [(7 * index + 3) % int(self.config.vocab_size) for index in range(PROBE)]
        plain = [0] * PROBE
        row = Row(ids, list(range(PROBE)), plain, plain)
        ours = self._logits(self.hidden([row])[0])
        theirs = self._model(torch.tensor([ids], device=self._device)).logits[0].float()
        difference = float((ours - theirs).abs().max())
        if not difference <= LOGIT_TOLERANCE * max(1.0, float(theirs.abs().max())):
            raise ModelError(
                f"{folder}: {self.config.model_type!r} models change their logits in a way that"
                f" can't be scored (off by {difference:.3g}); use another model"
            )


def _merged(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise ModelError(f"{adapter}: holds no adapter_model.safetensors; it is not an adapter")
    with quiet():
        try:
            merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        except Exception as error:
            raise ModelError(f"{adapter}: the adapter does not fit the model: {error}") from error
    return merged.eval()
