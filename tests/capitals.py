"""Two local tasks of lm-evaluation-harness over the same rows, and whether the harness is there."""

import importlib.util
import json
from pathlib import Path

import pytest

from middo.training.harness import INSTALL

needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason=f"needs lm-eval: {INSTALL}"
)
CAPITALS = [("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Peru", "Lima")]
CHOICE = """
task: middo_capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "What is the capital of {{{{country}}}}?"
doc_to_target: label
doc_to_choice: "{{{{choices}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ANSWER = """
task: middo_capitals_said
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: "What is the capital of {{{{country}}}}?"
doc_to_target: capital
generation_kwargs: {{max_gen_toks: 4, until: ["."]}}
metric_list: [{{metric: exact_match}}]
"""


def write_tasks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write task files and their data into a new folder; the hub must not be asked."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(folder.with_name("hf-cache")))
    folder.mkdir()
    data = folder / "capitals.jsonl"
    names = [capital for _, capital in CAPITALS]
    lines = [
        json.dumps({"country": country, "capital": name, "choices": names, "label": place})
        for place, (country, name) in enumerate(CAPITALS)
    ]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "choice.yaml").write_text(CHOICE.format(data=data), encoding="utf-8")
    (folder / "answer.yaml").write_text(ANSWER.format(data=data), encoding="utf-8")
    return folder
