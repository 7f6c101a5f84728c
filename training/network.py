"""A causal language model as the scorer uses it: hidden states of rows, then chosen logits.

Logits of a whole batch would be the largest tensor by far (tokens times vocabulary), while the
signals need a part of them. So the network stops at the last hidden states, and the output layer
runs on the positions that are asked for, in chunks.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface

from ..core.errors import ModelError
from .blocks import NAME, Blocks, attend
from .layout import Indices, Row, Segment
from .mask import attention_masks, padded
from .sources import load_causal_lm, quiet
from .weights import with_adapter

LOGITS_AT_ONCE = 2**24
"""Logits held at the same time: 64 MiB in float32. Few rows at a time would be slower."""
LOGIT_TOLERANCE = 0.02
"""Largest difference from the model's own logits, as a share of the largest logit."""
PROBE = 16
"""Tokens of the pass that compares the chosen logits with the model's own."""

AttentionInterface.register(NAME, attend)


@dataclass(slots=True)
class Work:
    """What passes computed.

    Attributes:
        passes: forward passes.
        tokens: tokens of the rows.
        computed: the same with the padding.
    """

    passes: int = 0
    tokens: int = 0
    computed: int = 0

    @property
    def padding(self) -> float:
        """The share of the computed tokens that was padding."""
        return 1 - self.tokens / self.computed if self.computed else 0.0


@dataclass(frozen=True, slots=True)
class States:
    """Last hidden states of rows.

    Attributes:
        values: [n, size].
        starts: int64[rows], where each row begins.
    """

    values: torch.Tensor
    starts: Indices

    def at(self, rows: Indices, columns: Indices) -> torch.Tensor:
        """Return single states, [k, size]."""
        return self.values[torch.from_numpy(self.starts[rows] + columns).to(self.values.device)]

    def span(self, row: int, first: int, last: int) -> torch.Tensor:
        """Return the states of a row's tokens from `first` to before `last`."""
        start = int(self.starts[row])
        return self.values[start + first : start + last]


class Network:
    """A model without its training machinery."""

    def __init__(self, folder: Path, dtype: str, device: str) -> None:
        """Load the weights.

        Raises:
            ModelError: they can't be loaded, or the model changes its logits in a way that is not
                known here.
        """
        self._model = load_causal_lm(folder, dtype, device)
        self._folder = folder
        self._device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, dtype)
        self.config = self._model.config.get_text_config()
        self.attention = str(self._model.config._attn_implementation)
        self.work = Work()
        # A wrong mask shifts losses by about one nat; bfloat16 scatters them by about 0.1.
        self.tolerance = 1e-3 if dtype == "float32" else 0.25
        self._require_known_logits()

    @property
    def context(self) -> int:
        """The longest path in tokens that the model has positions for."""
        return int(getattr(self.config, "max_position_embeddings", None) or 2**31)

    @property
    def may_pack(self) -> bool:
        """Whether rows in blocks are worth a try: on CPUs, in place of PyTorch's attention."""
        return self._device.type == "cpu" and self.attention == "sdpa"

    def adapted(self, adapter: Path) -> "Network":
        """Return this model with a LoRA adapter merged into its weights.

        They are the same weights in the same memory, so this network is closed: there is no way
        back, as taking an adapter out again is not exact.

        Raises:
            ModelError: it is no adapter, or does not fit the model.
        """
        self._use(self.attention)
        tuned = copy(self)
        self._model = None
        tuned._model = with_adapter(tuned._model, adapter)
        tuned._require_known_logits()
        tuned.work = Work()
        return tuned

    @torch.inference_mode()
    def hidden(self, rows: Sequence[Row], *, packed: bool) -> States:
        """Return the last hidden states of rows.

        Args:
            rows: of one pass.
            packed: whether the rows stand one behind the other, attention running in blocks, or
                below each other with padding, under a mask.
        """
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        values, width = self._packed(rows) if packed else self._padded(rows)
        starts = np.arange(len(rows)) * width if width else np.cumsum(lengths) - lengths
        self.work.passes += 1
        self.work.tokens += int(lengths.sum())
        self.work.computed += len(values)
        return States(values, starts)

    @torch.inference_mode()
    def log_probabilities(
        self, states: torch.Tensor, tokens: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the log probabilities of chosen tokens after each state, float32[n, k].

        Args:
            states: [n, size], one state per prediction.
            tokens: int32[n, k], the tokens whose probability is wanted.
        """
        chosen = torch.from_numpy(tokens).long().to(states.device)
        parts = []
        for part in self._chunks(len(states)):
            logs = self._logits(states[part]).log_softmax(dim=1)
            parts.append(logs.gather(1, chosen[part]))
        found: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return found

    @torch.inference_mode()
    def entropies(
        self, states: torch.Tensor, tokens: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return log probabilities as above, and the entropy of each prediction, float32[n], nats.

        Costs a third more than log probabilities alone.
        """
        chosen = torch.from_numpy(tokens).long().to(states.device)
        picked, entropies = [], []
        for part in self._chunks(len(states)):
            logs = self._logits(states[part]).log_softmax(dim=1)
            picked.append(logs.gather(1, chosen[part]))
            entropies.append(-torch.linalg.vecdot(logs.exp(), logs))
        return torch.cat(picked).cpu().numpy(), torch.cat(entropies).cpu().numpy()

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _packed(self, rows: Sequence[Row]) -> tuple[torch.Tensor, int]:
        self._use(NAME)
        states = self._forward(
            padded([np.concatenate([row.ids for row in rows])]),
            position_ids=padded([np.concatenate([row.positions for row in rows])]).to(self._device),
            blocks=Blocks(rows),
        )
        return states[0], 0

    def _padded(self, rows: Sequence[Row]) -> tuple[torch.Tensor, int]:
        self._use(self.attention)
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
        states = self._forward(padded([row.ids for row in rows]), **arguments)
        return states.flatten(0, 1), states.shape[1]

    def _forward(self, ids: torch.Tensor, **arguments: Any) -> torch.Tensor:
        if self._model is None:
            raise ValueError(f"{self._folder}: closed, or its weights went into a tuned model")
        found = self._model.base_model(input_ids=ids.to(self._device), use_cache=False, **arguments)
        states: torch.Tensor | None = getattr(found, "last_hidden_state", None)
        if states is None:
            raise ModelError(
                f"{self._folder}: {self.config.model_type!r} models don't show their hidden states;"
                " use another model"
            )
        return states

    def _use(self, attention: str) -> None:
        if self._model is not None and self._model.config._attn_implementation != attention:
            with quiet():  # a model that can't change it says so; the self-test finds out
                self._model.set_attn_implementation(attention)

    def _chunks(self, count: int) -> list[slice]:
        size = max(1, LOGITS_AT_ONCE // int(self.config.vocab_size))
        return [slice(start, start + size) for start in range(0, count, size)]

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model.get_output_embeddings()(states).float()
        cap = getattr(self.config, "final_logit_softcapping", None)
        if cap:
            logits = cap * torch.tanh(logits / cap)
        scale = getattr(self.config, "logit_scale", None) or 1.0
        scale /= getattr(self.config, "logits_scaling", None) or 1.0
        return logits if scale == 1.0 else logits * scale

    @torch.inference_mode()
    def _require_known_logits(self) -> None:
        ids = (7 * np.arange(PROBE, dtype=np.int32) + 3) % int(self.config.vocab_size)
        states, _ = self._padded([Row([Segment(ids)])])
        ours = self._logits(states)
        theirs = self._model(padded([ids]).to(self._device)).logits[0].float()
        difference = float((ours - theirs).abs().max())
        if not difference <= LOGIT_TOLERANCE * max(1.0, float(theirs.abs().max())):
            raise ModelError(
                f"{self._folder}: {self.config.model_type!r} models change their logits in a way"
                f" that can't be scored (off by {difference:.3g}); use another model"
            )
