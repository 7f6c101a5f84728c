"""How large a trained model will be, from the shapes in the base model's files; no torch."""

import json
import math
from pathlib import Path
from typing import Any

from ..core.config import RunConfig
from ..training.device import Dtype


def model_size(config: RunConfig, folder: Path, dtype: Dtype) -> dict[str, Any]:
    """Return the size of a trained model from the shapes in the base model's files.

    LoRA adds two narrow matrices to every linear layer except the output's; a model's embeddings
    and output are named so in the families that transformers knows.
    """
    plain = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    plain = plain.get("text_config", plain)
    width = int(plain.get("hidden_size") or plain.get("n_embd") or plain.get("d_model") or 0)
    shapes = [shape for file in sorted(folder.glob("*.safetensors")) for shape in _shapes(file)]
    if config.training.method == "lora":
        apart = ("embed", "lm_head", "wte", "wpe")
        linear = [s for name, s in shapes if len(s) == 2 and not any(w in name for w in apart)]
        trainable = config.training.lora.rank * sum(map(sum, linear))
        return {"model_bytes": trainable * 4.0, "trainable": trainable, "width": width}
    trainable = sum(math.prod(shape) for _, shape in shapes)
    size = 2.0 if dtype == "bfloat16" else 4.0
    return {"model_bytes": trainable * size, "trainable": trainable, "width": width}


def _shapes(file: Path) -> list[tuple[str, list[int]]]:
    """Return name and shape of each tensor from a safetensors file's header."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return [(name, one["shape"]) for name, one in header.items() if name != "__metadata__"]
