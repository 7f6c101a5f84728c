"""Memory: what is never built, and what happens when there is not enough."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from middo.core.measures import Measured, measured_from
from middo.training import network
from middo.training.memory import is_out_of_memory
from middo.training.reading import BLOCKS, MASKS, PATHS, Way, read
from middo.training.scorer import Scorer

from .conversations import ALL, ITEMS, assert_close, item

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def starved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process measured that ran out of memory for real."""
    if not Path("/proc/self/status").exists():
        pytest.skip("reads Linux's figures of memory")
    folder = tmp_path_factory.mktemp("starved")
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.starved", str(folder), "100"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_batch_beyond_the_memory_is_split_and_all_rows_come_back(starved: dict[str, Any]) -> None:
    *together, huge = [measured_from(plain) for plain in starved["together"]]
    assert starved["splits"] > 0
    assert len(together) == 6
    for one, expected in zip(together, starved["one_by_one"], strict=True):
        assert_close(one, measured_from(expected))
    assert huge == Measured(unscored="out_of_memory")


def test_memory_does_not_grow_with_vocabulary_times_length(starved: dict[str, Any]) -> None:
    assert starved["logits_mb"] > 400
    assert starved["grown_mb"] < 100


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("full"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("std::bad_alloc"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_every_kind_of_full_memory_splits_the_batch(
    error: Exception,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scorer = Scorer(tiny_folder)
    expected = scorer.score(ITEMS, ALL)

    def small(net: Any, exchanges: Any, *rest: Any, **options: Any) -> Any:
        if len(exchanges) > 1 or exchanges[0].answer_tokens == expected[1].answer_tokens:
            raise error
        return read(net, exchanges, *rest, **options)

    monkeypatch.setattr("middo.training.scorer.read", small)
    found = scorer.score(ITEMS, ALL)
    assert is_out_of_memory(error)
    assert found[1] == Measured(unscored="out_of_memory")
    assert scorer.splits == 4
    assert "a batch of 5 conversations is split" in caplog.text
    for one, other in zip([found[0], *found[2:]], [expected[0], *expected[2:]], strict=True):
        assert_close(one, other)


def test_other_errors_are_not_taken_for_full_memory(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    scorer = Scorer(tiny_folder)
    monkeypatch.setattr("middo.training.scorer.read", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        scorer.score(ITEMS)
    assert scorer.splits == 0


@pytest.mark.parametrize("way", [BLOCKS, MASKS, PATHS], ids=lambda way: way.name)
def test_logits_are_built_where_they_are_needed_a_few_at_a_time(
    way: Way, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(tiny_folder)
    scorer.way = way
    expected = scorer.score(ITEMS, ALL)
    rows: list[int] = []
    head = scorer._network._model.get_output_embeddings()
    watch = head.register_forward_hook(lambda _, given, made: rows.append(len(given[0])))
    vocabulary = scorer._network.config.vocab_size
    monkeypatch.setattr(network, "LOGITS_AT_ONCE", 7 * vocabulary)
    found = scorer.score(ITEMS, ALL)
    watch.remove()
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
    assert max(rows) == 7
    # Each answer token twice with one end, each unrepeated prompt token twice, six questions.
    wanted = sum(2 * one.answer_tokens + 1 + 6 for one in found)
    repeated = [(one.copied or 0) * one.prompt_tokens for one in found]
    wanted += 2 * sum(m.prompt_tokens - round(r) for m, r in zip(found, repeated, strict=True))
    assert sum(rows) == wanted
    assert sum(rows) < 0.7 * sum(scorer.count_tokens(ITEMS, ALL))


def test_an_item_is_the_smallest_batch(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(tiny_folder)
    _ = scorer.way

    def full(*arguments: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("middo.training.scorer.read", full)
    assert scorer.score([item("x", "How?", "So.")]) == [Measured(unscored="out_of_memory")]
    assert scorer.splits == 0
