"""One pass per batch against one plain pass per question: the same numbers."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from middo.core.measures import Item
from middo.training.reading import BLOCKS, MASKS, PATHS, Way
from middo.training.scorer import Scorer
from middo.training.sources import ALIAS_PACKAGE, resolve_model

from ..tiny import tiny_model
from .conversations import (
    ALL,
    DIFFERENCES,
    EMBEDDING,
    ITEMS,
    LOSS,
    LOSSES,
    RATING,
    assert_close,
    item,
)
from .plain import PlainPasses

# Windows are of 16 tokens, and every conversation here is longer.
KINDS = [
    "llama",
    "gpt2",
    "granite",
    "qwen2",
    "qwen2-window",
    "qwen3",
    "mistral-window",
    "gemma2-window",
    "gemma3-window",
]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("kinds") / request.param, request.param)


def assert_exact(scorer: Scorer, plain: PlainPasses, items: Sequence[Item]) -> None:
    for scored, measured in zip(items, scorer.score(items, ALL), strict=True):
        expected = plain.signals(scored)
        assert measured.unscored is None
        for name in ("answer_tokens", "prompt_tokens"):
            assert getattr(measured, name) == expected[name], name
        for name in LOSSES:
            assert getattr(measured, name) == pytest.approx(expected[name], abs=LOSS), name
        for name in DIFFERENCES:
            if name in expected:
                wanted = pytest.approx(expected[name], abs=2 * LOSS)
                assert getattr(measured, name) == wanted, name
        assert measured.ratings == pytest.approx(expected["ratings"], abs=RATING)
        assert measured.embedding is not None
        np.testing.assert_allclose(measured.embedding, expected["embedding"], atol=EMBEDDING)


def test_every_signal_equals_a_plain_pass_of_its_own(folder: Path) -> None:
    scorer = Scorer(folder)
    # Gemma 2 caps its attention scores, which only transformers' own function can.
    assert scorer.way is (MASKS if folder.name == "gemma2-window" else BLOCKS)
    assert_exact(scorer, PlainPasses(folder), ITEMS)


@pytest.mark.parametrize("way", [MASKS, PATHS], ids=lambda way: way.name)
def test_all_ways_give_the_same_numbers(folder: Path, way: Way) -> None:
    scorer = Scorer(folder)
    chosen = scorer.score(ITEMS, ALL)
    scorer.way = way
    for one, other in zip(chosen, scorer.score(ITEMS, ALL), strict=True):
        assert_close(one, other)


@pytest.mark.skipif(
    importlib.util.find_spec(ALIAS_PACKAGE) is None, reason="SmolLM2's weights are not installed"
)
def test_the_real_small_model_is_measured_exactly() -> None:
    folder = resolve_model("smollm2-135m").folder
    scorer = Scorer(folder)
    assert scorer.way is BLOCKS
    items = [
        item(
            "poem",
            "Write two lines about the sea, and name a colour.",
            "The sea is blue and never still,\nit sings below the windy hill.",
        ),
        item("sum", "What is 12 + 30?", "12 + 30 = 42."),
    ]
    assert_exact(scorer, PlainPasses(folder), items)
    true, false = scorer.score(
        [items[1], item("other", "What is 12 + 30?", items[0].messages[-1].content)], ALL
    )
    assert true.recoverability is not None
    assert false.recoverability is not None
    assert true.loss < false.loss - 1
    assert true.recoverability > false.recoverability + 0.5
