"""How a model computes branches is found out, not looked up."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from middo.training import blocks
from middo.training.mask import attention_masks
from middo.training.reading import BLOCKS, MASKS, PATHS
from middo.training.scorer import Scorer

from ..tiny import tiny_model
from .conversations import ALL, EMBEDDING, ITEMS, LOSS, RATING, assert_close
from .plain import PlainPasses


def test_torch_attention_is_used_where_the_model_can(tiny_folder: Path, tmp_path: Path) -> None:
    assert Scorer(tiny_folder)._network.attention == "sdpa"
    assert Scorer(tiny_model(tmp_path, "gemma2-window"))._network.attention == "eager"


def test_a_model_with_attention_of_its_own_gets_masks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = Scorer(tiny_model(tmp_path, "falcon"))
    with caplog.at_level(logging.WARNING):
        assert scorer.way is MASKS
    assert "no passes with attention in blocks: they differ from separate passes" in caplog.text
    measured, expected = scorer.score(ITEMS[:1], ALL)[0], PlainPasses(tmp_path).signals(ITEMS[0])
    assert measured.loss == pytest.approx(expected["loss"], abs=LOSS)
    assert measured.reverse == pytest.approx(expected["reverse"], abs=LOSS)


def test_a_model_that_misreads_masks_is_measured_path_by_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = Scorer(tiny_model(tmp_path, "mpt"), max_length=512)
    plain = PlainPasses(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert scorer.way is PATHS
    assert "no passes with masks: they differ from separate passes" in caplog.text
    assert not scorer.fused
    right = scorer.score(ITEMS, ALL)
    for scored, measured in zip(ITEMS, right, strict=True):
        expected = plain.signals(scored)
        for name in ("loss", "alone", "prompt", "reverse"):
            assert getattr(measured, name) == pytest.approx(expected[name], abs=LOSS), name
        assert measured.ratings == pytest.approx(expected["ratings"], abs=RATING)
        assert measured.embedding == pytest.approx(expected["embedding"], abs=EMBEDDING)
    # What would be believed without the self-test:
    scorer.way = MASKS
    wrong = scorer.score(ITEMS, ALL)
    assert (
        max(abs((a.alone or 0) - (b.alone or 0)) for a, b in zip(wrong, right, strict=True)) > 0.1
    )


@pytest.mark.parametrize("kind", ["qwen2-window", "mistral-window", "gemma3-window"])
def test_a_window_that_is_ignored_is_noticed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unaware(config: Any, rows: Any, dtype: torch.dtype) -> Any:
        class Windowless:
            sliding_window = None

        return attention_masks(Windowless, rows, dtype)

    scorer = Scorer(tiny_model(tmp_path, kind))
    expected = scorer.score(ITEMS, ALL)
    assert scorer.way is BLOCKS
    monkeypatch.setattr("middo.training.network.attention_masks", unaware)
    monkeypatch.setattr(
        blocks.Blocks,
        "mask",
        lambda self, after, length, window, like, real=blocks.Blocks.mask: real(
            self, after, length, None, like
        ),
    )
    blind = Scorer(tmp_path)
    assert blind.way is PATHS
    for one, other in zip(expected, blind.score(ITEMS, ALL), strict=True):
        assert_close(one, other)


def test_memory_that_runs_out_in_the_test_is_no_verdict(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **others: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    scorer = Scorer(tiny_folder)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "scaled_dot_product_attention", full)
        with pytest.raises(RuntimeError, match="allocate"):
            _ = scorer.way
    assert scorer.way is BLOCKS
