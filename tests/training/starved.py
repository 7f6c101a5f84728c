"""Measure what passes take of memory, then take it away; run by `test_scorer_memory.py`.

Prints JSON: megabytes by which a long answer raised the peak under a large vocabulary, and those
that its logits would fill; measurements one by one with memory to spare, those of the whole batch
under a limit, and the splits.

    python -m tests.training.starved FOLDER MEGABYTES
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from middo.training.scorer import Scorer

from ..tiny import tiny_config, tiny_tokenizer
from .conversations import ALL, item

WIDE = 8192
"""Size of the layers inside: a pass needs about 96 KiB per token."""
VOCABULARY = 150_000


def main() -> None:
    """Do both and print."""
    torch.set_num_threads(1)
    folder, spare = Path(sys.argv[1]), int(sys.argv[2])
    sys.stdout.write(json.dumps({**vocabulary(folder / "v"), **starved(folder / "w", spare)}))


def vocabulary(folder: Path) -> dict[str, Any]:
    """Score a short answer, then a long one; return what the long one added to the peak."""
    scorer = Scorer(model(folder, VOCABULARY), max_length=4000)
    scorer.score([item("short", "How?", "Paris is it. " * 40)])
    before = kib("VmHWM")
    (measured,) = scorer.score([item("long", "How?", "Paris is it. " * 200)])
    scorer.close()
    return {
        "grown_mb": (kib("VmHWM") - before) // 1024,
        "logits_mb": measured.answer_tokens * VOCABULARY * 4 // 2**20,
    }


def starved(folder: Path, spare: int) -> dict[str, Any]:
    """Score with memory to spare, then with that of a few conversations."""
    scorer = Scorer(model(folder, None, intermediate_size=WIDE), max_length=8000)
    items = [
        item(f"{n}", "Name the capital of France. " * (n + 1), "Paris is it. " * (n + 3))
        for n in range(6)
    ]
    one_by_one = [scorer.score([one], ALL)[0] for one in items]
    huge = item("huge", "How many apples? " * 300, "There are 7 apples left. " * 100)
    limit = kib("VmSize") * 1024 + spare * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    together = scorer.score([*items, huge], ALL)
    return {
        "one_by_one": [one.as_dict() for one in one_by_one],
        "together": [one.as_dict() for one in together],
        "splits": scorer.splits,
    }


def model(folder: Path, vocabulary: int | None, **changes: int) -> Path:
    """Write a tiny model with some sizes changed."""
    tokenizer = tiny_tokenizer()
    config = tiny_config("llama", vocabulary or len(tokenizer))
    config.max_position_embeddings = 2**14
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def kib(name: str) -> int:
    """Return one of the kernel's figures of this process: `VmSize` mapped, `VmHWM` peak."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


if __name__ == "__main__":
    main()
