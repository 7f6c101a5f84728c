"""Model folders from strangers: weights that are pickles, code in the repository, templates."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

from middo.core.errors import ModelError
from middo.training.sources import load_causal_lm, load_tokenizer, resolve_model

RUNS = "from pathlib import Path\nPath({mark!r}).touch()\n"


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, (RUNS.format(mark=str(self.mark)),))


@pytest.fixture
def model(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def changed(file: Path, **values: object) -> None:
    plain = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(plain | values), encoding="utf-8")


def test_a_pickle_behind_a_decoy_is_not_opened(model: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(mark)))
    load_causal_lm(model, "float32", "cpu")
    (model / "model.safetensors").rename(model / "other.safetensors")
    resolve_model(str(model))
    with pytest.raises(ModelError, match=r"can't be loaded"):
        load_causal_lm(model, "float32", "cpu")
    assert not mark.exists()
    # The same file does run code where somebody opens it.
    pickle.loads((model / "pytorch_model.bin").read_bytes())
    assert mark.exists()


def test_code_in_a_model_folder_does_not_run(model: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (model / "modeling_evil.py").write_text(RUNS.format(mark=str(mark)), encoding="utf-8")
    named = {"AutoConfig": "modeling_evil.Config", "AutoModelForCausalLM": "modeling_evil.Model"}
    changed(model / "config.json", auto_map=named)
    tokenizer = {"AutoTokenizer": ["modeling_evil.Tokenizer", None]}
    changed(model / "tokenizer_config.json", auto_map=tokenizer)
    load_tokenizer(model)
    load_causal_lm(model, "float32", "cpu")
    changed(model / "config.json", model_type="evil")
    with pytest.raises(ModelError):
        load_causal_lm(model, "float32", "cpu")
    assert not mark.exists()


def test_a_chat_template_can_not_leave_its_sandbox(model: Path) -> None:
    from jinja2.exceptions import SecurityError

    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(SecurityError):
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


def test_a_checkpoint_that_is_a_pickle_of_more_than_tensors_is_refused(tmp_path: Path) -> None:
    """What transformers reads when a training goes on: optimizer, scheduler and random state."""
    import torch

    mark = tmp_path / "ran"
    torch.save({"state": Evil(mark)}, tmp_path / "optimizer.pt")
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        torch.load(tmp_path / "optimizer.pt", weights_only=True)
    assert not mark.exists()
