"""The engines that run on this machine, by the provider's name in `provider:model`.

What decides an answer is a model's files, not the folder they lie in, so that a run can be resumed
where its models have moved.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from . import llamacpp, vllm

_SAMPLED_BYTES = 1 << 20
_READ = (".safetensors", ".json", ".jinja", ".model", ".txt")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """How one provider is used.

    Attributes:
        chat: makes the chat model from `model` and the role's params.
        check: raises what `chat` would for such a model and params, nothing loaded.
        identity: what decides the answers of such a model, in place of its name.
    """

    chat: Callable[..., BaseChatModel]
    check: Callable[[str, Mapping[str, Any]], None]
    identity: Callable[[str, Mapping[str, Any]], dict[str, Any]]


def _check_llamacpp(model: str, params: Mapping[str, Any]) -> None:
    llamacpp.check_engine()
    llamacpp.model_file(model)


def _llamacpp_identity(model: str, params: Mapping[str, Any]) -> dict[str, Any]:
    path = llamacpp.model_file(model)
    file = {"bytes": path.stat().st_size, "ends": _ends_hash(path)}
    return {"model": f"llamacpp:{path.name}", "file": file}


def _check_vllm(model: str, params: Mapping[str, Any]) -> None:
    vllm.check_engine()
    vllm.model_source(model)
    if params.get("adapter") is not None:
        vllm.adapter_rank(str(params["adapter"]))


def _vllm_identity(model: str, params: Mapping[str, Any]) -> dict[str, Any]:
    identity: dict[str, Any] = {}
    folder = Path(vllm.model_source(model))
    if folder.is_absolute():
        identity = {"model": f"vllm:{folder.name}", "files": _folder_hash(folder)}
    if params.get("adapter") is not None:
        identity["adapter"] = _folder_hash(Path(str(params["adapter"])).expanduser())
    return identity


ENGINES = {
    "llamacpp": LocalEngine(llamacpp.LlamaCppChat, _check_llamacpp, _llamacpp_identity),
    "vllm": LocalEngine(vllm.VllmChat, _check_vllm, _vllm_identity),
}


def _folder_hash(folder: Path) -> str:
    """Return a hash of the names, sizes and ends of a model's files."""
    files = sorted(file for file in folder.iterdir() if file.suffix in _READ)
    listed = [f"{file.name} {file.stat().st_size} {_ends_hash(file)}" for file in files]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16]


def _ends_hash(path: Path) -> str:
    """Return a hash of a file's first and last MiB: the header and the last weights."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLED_BYTES))
        file.seek(max(path.stat().st_size - _SAMPLED_BYTES, 0))
        digest.update(file.read(_SAMPLED_BYTES))
    return digest.hexdigest()[:16]
