"""The weights of a trained model: their hash, and an adapter merged into its base."""

import hashlib
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from .sources import load_causal_lm, load_tokenizer, quiet


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 over the safetensors files of a folder, in order of name, 64 digits."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.name.encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds a LoRA adapter rather than all weights."""
    return (folder / "adapter_config.json").exists()


def merge_adapter(base: Path, adapter: Path, to: Path) -> None:
    """Write base + adapter as safetensors with the tokenizer; float32 while merging and on disk.

    The folder appears under its name when it is complete.

    Raises:
        ModelError: base or adapter can't be loaded.
    """
    from peft import PeftModel

    partial = to.with_name(to.name + ".partial")
    model = load_causal_lm(base, "float32", "cpu")
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(partial, safe_serialization=True)
    load_tokenizer(base).save_pretrained(partial)
    partial.rename(to)


def with_adapter(model: Any, adapter: Path) -> Any:
    """Return a loaded model with a LoRA adapter merged into its weights, in the same memory.

    Raises:
        ModelError: it is no adapter, or does not fit the model.
    """
    from peft import PeftModel

    from .memory import is_out_of_memory

    if not (adapter / "adapter_model.safetensors").is_file():
        raise ModelError(f"{adapter}: holds no adapter_model.safetensors; it is not an adapter")
    with quiet():
        try:
            merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"{adapter}: the adapter does not fit the model: {error}") from error
    return merged.eval()
