"""Base and tuned model from one set of weights."""

from pathlib import Path

import pytest
import torch

from middo.core.errors import ModelError
from middo.training.scorer import Scorer
from middo.training.sources import load_causal_lm
from middo.training.weights import is_adapter, merge_adapter

from .conversations import ALL, ITEMS, assert_close

# peft itself reads a property that transformers is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def adapter(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    adapted = get_peft_model(
        load_causal_lm(tiny_folder, "float32", "cpu"),
        LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder)
    return folder


def test_base_then_tuned_are_each_what_a_model_of_its_own_measures(
    tiny_folder: Path, adapter: Path, tmp_path: Path
) -> None:
    assert is_adapter(adapter)
    merge_adapter(tiny_folder, adapter, tmp_path / "merged")
    pristine = Scorer(tiny_folder).score(ITEMS, ALL)
    merged = Scorer(tmp_path / "merged").score(ITEMS, ALL)

    base = Scorer(tiny_folder)
    assert base.score(ITEMS, ALL) == pristine
    tuned = base.adapted(adapter)
    assert tuned.score(ITEMS, ALL) == merged
    assert Scorer(tiny_folder, adapter=adapter).score(ITEMS, ALL) == merged
    assert abs(merged[0].loss - pristine[0].loss) > 0.01


def test_the_base_cannot_be_asked_after_the_adapter_is_merged(
    tiny_folder: Path, adapter: Path
) -> None:
    base = Scorer(tiny_folder)
    base.score(ITEMS)
    tuned = base.adapted(adapter)
    with pytest.raises(ValueError, match="went into a tuned model"):
        base.score(ITEMS)
    assert tuned.work.passes == 0
    tuned.close()
    with pytest.raises(ValueError, match="closed"):
        tuned.score(ITEMS)


def test_the_merged_weights_say_what_the_adapted_model_says(
    tiny_folder: Path, adapter: Path
) -> None:
    from peft import PeftModel

    unmerged = PeftModel.from_pretrained(load_causal_lm(tiny_folder, "float32", "cpu"), adapter)
    scorer = Scorer(tiny_folder, adapter=adapter)
    encoded = scorer.tokens.encode(ITEMS[0].messages)
    labels = [
        token if encoded.answer_span[0] <= place < encoded.answer_span[1] else -100
        for place, token in enumerate(encoded.input_ids)
    ]
    with torch.inference_mode():
        expected = unmerged(
            input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([labels])
        ).loss
    measured = scorer.score(ITEMS[:1], ALL)[0]
    assert measured.loss == pytest.approx(float(expected), abs=1e-4)
    assert_close(scorer.score(ITEMS, ALL)[0], measured)


def test_a_folder_that_is_no_adapter_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    assert not is_adapter(tmp_path)
    with pytest.raises(ModelError, match="adapter_model.safetensors"):
        Scorer(tiny_folder, adapter=tmp_path)
