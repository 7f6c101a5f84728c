"""`middo diagnose` from the command line: what it prints is what its files say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from middo.stores.tables import read_signals
from tests.loop import rows, write_rows
from tests.tiny import tiny_model

from .conftest import Command, Ran

pytestmark = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing:FutureWarning"  # in peft itself
)

SETTINGS = ("--set", "signals.calibration=40", "--set", "signals.share=0.2")


def lora(base: Path, folder: Path) -> Path:
    """Write an adapter of `base` that changes what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_pretrained(base)
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """48 rows, of which the last can't be used and two answers are too short for complexity."""
    path = tmp_path / "rows.jsonl"
    chosen: list[dict[str, str]] = rows()[:45]
    chosen += [{"instruction": f"Say {word}.", "output": "Yes."} for word in ("yes", "no")]
    lines = [json.dumps(row) for row in [*chosen, {"instruction": "Empty", "output": ""}]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("with_adapter", [False, True], ids=["alone", "adapter"])
def test_what_is_printed_is_what_the_files_say(
    middo: Command, data: Path, tiny_folder: Path, tmp_path: Path, with_adapter: bool
) -> None:
    out = tmp_path / "out"
    adapter = ["--adapter", lora(tiny_folder, tmp_path / "lora")] if with_adapter else []
    words = ["diagnose", data, "--model", tiny_folder, "--out", out, *adapter, *SETTINGS]
    words += ["--set", "data.max_quarantined=0.1", "--set", "data.limit=44"]
    ran = middo(*words)
    assert ran.code == 0, ran.err
    document = json.loads((out / "diagnosis.json").read_text("utf-8"))
    found = read_signals(out / "signals.parquet")
    flat = " ".join(ran.out.split())
    assert flat.startswith(f"Data {data}: 48 rows, 1 quarantined (quarantine.jsonl), 3 left out")
    assert "Rows 44 looked at: 44 scored Model" in flat
    assert (f"Adapter {tmp_path / 'lora'}" if with_adapter else "Adapter none:") in flat
    which = "the smaller one of base and tuned model" if with_adapter else "loss alone"
    assert which in flat
    assert all((row["loss_tuned"] is not None) == with_adapter for row in found)
    assert_axes(ran, document, found)
    assert_worst(ran, document, data)
    kinds = document["calibration"]["kinds"]
    assert len(kinds) >= 4
    for kind in kinds:
        verdict = "yes" if kind["counts"] else "no"
        interval = f"{kind['low']:.3f} to {kind['high']:.3f} {verdict} "
        assert f" {kind['kind']} {kind['rows']} {kind['auc']:.3f} {interval}" in flat
    assert len((out / "quarantine.jsonl").read_text("utf-8").splitlines()) == 1
    again = middo(*words, "--json")
    assert again.code == 0
    assert again.document["scoring"]["passes"] == 0
    assert {**again.document, "scoring": document["scoring"]} == document
    refused(middo(*words, "--set", "signals.share=0.3"), out, "another diagnosis", "--out")


def assert_axes(ran: Ran, document: dict[str, Any], found: list[dict[str, Any]]) -> None:
    columns = {"complexity": "complexity", "diversity": "density", "quality": "quality"}
    assert document["axes"]["complexity"]["on"]
    assert document["axes"]["diversity"]["on"]
    for axis, column in columns.items():
        report = document["axes"][axis]
        values = [row[column] for row in found if row[column] is not None]
        section = re.split(rf"^{axis.capitalize()}: ", ran.out, flags=re.MULTILINE)[1]
        section = re.split(r"\n(?=\S)", section)[0]
        if not report["on"]:
            assert report["reason"].split()[0] in section
            continue
        bins = re.findall(r"^  +(?:-?\d|below|above).*?  +([\d,]+)(?:  (.*))?$", section, re.M)
        assert sum(int(count) for count, _ in bins) == len(values)
        beyond = sum(int(count) for count, bar in bins if "█" in bar)
        threshold = report["threshold"]
        high = axis == "complexity"
        assert beyond == sum(v > threshold if high else v < threshold for v in values)
        assert f"Beyond       {beyond} of {len(values)} rows with a score" in section
        assert sum(axis in row["flags"] for row in found) == report["flagged"] <= beyond


def assert_worst(ran: Ran, document: dict[str, Any], data: Path) -> None:
    texts = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    assert document["worst"]
    for axis in ("complexity", "diversity", "quality"):
        worst = [row for row in document["worst"] if row["axis"] == axis]
        of_axis = [flag["score"] for flag in document["flags"] if flag["axis"] == axis]
        ordered = sorted(of_axis, reverse=axis == "complexity")[:5]
        assert [row["score"] for row in worst] == ordered
    for row in document["worst"]:
        number = int(row["source"].rsplit(":", 1)[1])
        assert texts[number - 1]["instruction"] == row["prompt"]
        assert f"{row['score']:.4f}  {row['source']}\n" in ran.out
        assert f"prompt  {row['prompt']}\n" in ran.out


def refused(ran: Ran, *parts: object) -> None:
    assert (ran.code, ran.out) == (2, "")
    problems = [line for line in ran.err.splitlines() if line.startswith("middo: ")]
    assert len(problems) == 1
    assert ran.err.splitlines()[-1] == problems[0]
    assert all(str(part) in problems[0] for part in parts)


def test_missing_data_is_one_line(middo: Command, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = middo("diagnose", tmp_path / "no.jsonl", "--model", tiny_folder, "--out", out)
    refused(ran, "no.jsonl")
    assert not out.exists()


def test_a_missing_model_is_one_line(middo: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(middo("diagnose", data, "--model", "./none", "--out", out), "./none")
    assert not out.exists()


def test_a_folder_without_adapter_is_one_line(
    middo: Command, data: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["diagnose", data, "--model", tiny_folder, "--out", out, "--adapter", tmp_path]
    words += ["--set", "data.max_quarantined=0.1"]
    refused(middo(*words), tmp_path, "adapter_config.json")
    assert not out.exists()


def test_an_adapter_of_another_model_is_one_line(
    middo: Command, data: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    other = lora(tiny_folder, tmp_path / "lora")
    base = tiny_model(tmp_path / "gpt2", "gpt2")
    words = ["diagnose", data, "--model", base, "--out", tmp_path / "out", "--adapter", other]
    refused(middo(*words, "--set", "data.max_quarantined=0.1"), other)


def test_a_folder_with_other_files_is_kept(
    middo: Command, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    path = write_rows(tmp_path / "rows.jsonl")
    ran = middo("diagnose", path, "--model", tiny_folder, "--out", out)
    refused(ran, out, "other files", "--out")
    assert [file.name for file in out.iterdir()] == ["mine.txt"]


def test_a_file_is_no_folder_to_write_to(middo: Command, tiny_folder: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl")
    refused(middo("diagnose", path, "--model", tiny_folder, "--out", path), path, "is a file")
