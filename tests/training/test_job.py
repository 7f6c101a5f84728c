"""Training in real child processes. Each costs the import of trl, so a test shares what it can."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from middo.core.errors import DataError, Interrupted, ModelError, TrainingError, UsageError
from middo.training.job import (
    StepPlan,
    TrainedModel,
    TrainingJob,
    _prepare,
    job_from,
    plan_steps,
    train,
)
from middo.training.process import Worker, worker_environment

ASKED = ["the capital of France", "12 and 30", "a poem", "the sky", "apples", "a number"]
STEPS = 24
LATER = """
import json, os, signal, sys
from middo.training.job import job_from, train
def die(done, total, eta):
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
train(job_from(json.load(open(sys.argv[1], encoding="utf-8"))), on_progress=die)
"""


def write_rows(file: Path, *, with_long: bool = False) -> Path:
    rows: list[dict[str, Any]] = [
        {
            "id": str(number),
            "messages": [
                {"role": "user", "content": f"What of {asked}?"},
                {"role": "assistant", "content": f"The answer {number} is about {asked}."},
            ],
        }
        for number, asked in enumerate(ASKED)
    ]
    if with_long:
        long = [
            {"role": "user", "content": "sea " * 300},
            {"role": "assistant", "content": "The sea."},
        ]
        rows.insert(2, {"id": "long", "messages": long})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def make_job(base: Path, place: Path, **changes: Any) -> TrainingJob:
    plain = TrainingJob(
        base=base,
        base_digest="b",
        rows=write_rows(place / "rows.jsonl", with_long=True),
        dataset_sha256="d",
        output=place / "model",
        learning_rate=0.02,
        plan=StepPlan(2, STEPS),
        lora_rank=4,
        lora_dropout=0.1,
        max_length=128,
        seed=3,
        threads=1,
    )
    return replace(plain, **changes)


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A LoRA training that nothing interrupts."""
    return train(make_job(tiny_folder, tmp_path_factory.mktemp("whole")))


# peft asks for a name that transformers deprecates.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_lora_learns_what_it_is_shown_and_is_loadable(
    whole: TrainedModel, tiny_folder: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    losses = [loss for _, loss in whole.losses]
    assert [step for step, _ in whole.losses] == list(range(1, STEPS + 1))
    assert losses[0] > 5
    assert sum(losses[-3:]) / 3 < 0.5 * losses[0]
    assert whole.train_loss == losses[-1]
    assert (whole.rows, whole.skipped) == (len(ASKED), {"too_long": 1})
    assert whole.plan == StepPlan(2, STEPS)
    assert whole.peak_memory_mb > 100
    assert sorted(file.name for file in whole.folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "train.log",
        "training.json",
    ]
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    adapter = PeftModel.from_pretrained(base, whole.folder).state_dict()
    learned = [value for name, value in adapter.items() if "lora_B" in name]
    assert len(learned) == 2 * 7
    assert all(str(value.dtype) == "torch.float32" for value in learned)
    assert all(float(value.detach().abs().max()) > 0 for value in learned)


def test_a_finished_training_is_reused_by_its_key(whole: TrainedModel, tiny_folder: Path) -> None:
    job = make_job(tiny_folder, whole.folder.parent)
    started = time.monotonic()
    again = train(replace(job, threads=2, report_to=("none",)), should_stop=lambda: True)
    assert again == replace(whole, reused=True)
    assert time.monotonic() - started < 1


def test_stopped_and_killed_and_resumed_is_bit_identical(
    whole: TrainedModel, tiny_folder: Path, tmp_path: Path
) -> None:
    job = make_job(tiny_folder, tmp_path)
    seen: list[int] = []
    with pytest.raises(Interrupted, match="resume"):
        train(job, on_progress=note(seen), should_stop=lambda: 8 in seen)
    assert seen[0] == 0
    assert len(seen) == max(seen) + 1
    work = job.output / "unfinished"
    stopped = {path.name for path in work.glob("checkpoint-*")}
    assert f"checkpoint-{max(seen)}" in stopped

    file = tmp_path / "job.json"
    file.write_text(json.dumps(job.as_dict()), encoding="utf-8")
    parent = subprocess.run(
        [sys.executable, "-c", LATER, str(file), str(max(seen) + 6)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert parent.returncode == -signal.SIGKILL
    wait_until_free(work / "lock", seconds=5)
    assert not (job.output / "training.json").exists()
    newest = max(int(path.name.split("-")[1]) for path in work.glob("checkpoint-*"))
    assert max(seen) <= newest < STEPS
    half = work / f"checkpoint-{STEPS - 1}"
    half.mkdir()
    (half / "trainer_state.json").write_text("{", encoding="utf-8")

    resumed: list[int] = []
    model = train(job, on_progress=note(resumed))
    assert resumed == list(range(newest, STEPS + 1))
    assert model.weights == whole.weights
    assert model.losses == whole.losses
    assert not model.reused
    assert not work.exists()


def test_full_training_gives_a_whole_model(tiny_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    job = make_job(
        tiny_folder, tmp_path, method="full", plan=None, epochs=2.0, batch_tokens=160, threads=2
    )
    etas: list[float | None] = []
    model = train(job, on_progress=lambda done, total, eta: etas.append(eta))
    assert model.tokens < len(ASKED) * 128
    assert model.plan == StepPlan(3, 4)
    assert len(etas) == 1 + model.plan.max_steps
    assert etas[0] is None
    assert etas[-1] == 0
    assert model.losses[-1][1] < model.losses[0][1]
    tuned = AutoModelForCausalLM.from_pretrained(model.folder)
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    moved = tuned.get_input_embeddings().weight - base.get_input_embeddings().weight
    assert float(moved.detach().abs().max()) > 0.001
    assert AutoTokenizer.from_pretrained(model.folder).chat_template


def test_no_trainable_row_is_a_data_error_and_clears_another_keys_training(
    tiny_folder: Path, tmp_path: Path
) -> None:
    job = make_job(tiny_folder, tmp_path, max_length=16, seed=99)
    old = job.output / "unfinished"
    (old / "checkpoint-7").mkdir(parents=True)
    (old / "job.json").write_text('{"key": "another"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"no row can be trained on \(too_long: 7\)") as caught:
        train(job)
    assert "\n" not in str(caught.value)
    assert not (old / "checkpoint-7").exists()


def test_weights_that_cannot_be_loaded_are_a_model_error(tiny_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for file in tiny_folder.iterdir():
        whole = file.read_bytes()
        (base / file.name).write_bytes(whole[:-99] if file.suffix == ".safetensors" else whole)
    with pytest.raises(ModelError, match="can't be loaded") as caught:
        train(make_job(base, tmp_path))
    assert "\n" not in str(caught.value)
    assert str(base) in str(caught.value)


def test_killed_and_frozen_and_robbed_of_checkpoints_it_gives_the_same_weights(
    whole: TrainedModel, tiny_folder: Path, tmp_path: Path
) -> None:
    job = make_job(tiny_folder, tmp_path)
    checkpoints = job.output / "unfinished"

    killed: list[int] = []
    with pytest.raises(
        TrainingError, match=r"killed \(out of memory\?\); lower model\.max_length.*train\.log"
    ) as told:
        train(job, on_progress=note(killed), should_stop=signalled(killed, 7, signal.SIGKILL))
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 1
    assert own_children() == []
    assert not (job.output / "training.json").exists()
    for found in checkpoints.glob("checkpoint-*"):
        halve(found / "optimizer.pt")

    frozen: list[int] = []
    with pytest.raises(
        TrainingError, match=r"no sign of life for 8 seconds and was killed"
    ) as told:
        train(
            job,
            on_progress=note(frozen),
            should_stop=signalled(frozen, 13, signal.SIGSTOP),
            silence=8.0,
        )
    assert frozen[0] == 0  # of the only checkpoint a file is cut short: it begins anew
    assert "\n" not in str(told.value)
    assert own_children() == []
    older, newest = sorted(int(path.name[11:]) for path in checkpoints.glob("checkpoint-*"))
    (checkpoints / f"checkpoint-{newest}" / "adapter_model.safetensors").unlink()

    resumed: list[int] = []
    model = train(job, on_progress=note(resumed))
    assert resumed == list(range(older, STEPS + 1))
    assert (model.weights, model.losses) == (whole.weights, whole.losses)


def test_a_crash_is_one_line_that_names_the_error_and_the_log(tmp_path: Path) -> None:
    job, log = tmp_path / "job.json", tmp_path / "train.log"
    job.write_text('{"job": {}}', encoding="utf-8")
    with pytest.raises(TrainingError, match=r"KeyError: 'plan'; see .*train\.log") as caught:
        worker(job, log).run()
    assert "\n" not in str(caught.value)
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_a_child_that_dies_without_a_word_is_reported_by_its_log(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("ValueError: of an earlier attempt\n", encoding="utf-8")
    broken = worker(tmp_path / "job.json", log, {"PYTHONHOME": str(tmp_path)})
    with pytest.raises(TrainingError, match=r"exit code 1\): .+train\.log") as caught:
        broken.run()
    assert "earlier" not in str(caught.value)


def test_a_folder_with_other_files_is_left_alone(tiny_folder: Path, tmp_path: Path) -> None:
    job = make_job(tiny_folder, tmp_path)
    job.output.mkdir()
    (job.output / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="no training left there"):
        train(job)
    assert [file.name for file in job.output.iterdir()] == ["thesis.txt"]


def test_a_training_that_was_killed_before_its_job_was_whole_begins_again(tmp_path: Path) -> None:
    job = make_job(tmp_path / "no-model", tmp_path)
    draft = job.output / "unfinished" / ".job.json.tmp"
    draft.parent.mkdir(parents=True)
    draft.write_text('{"key": "ab', encoding="utf-8")
    file = _prepare(job, job.key)
    assert json.loads(file.read_text("utf-8"))["key"] == job.key
    assert [path.name for path in file.parent.iterdir()] == ["job.json"]


def test_a_job_survives_json_and_its_key_means_the_weights(tmp_path: Path) -> None:
    job = make_job(tmp_path, tmp_path)
    assert job_from(json.loads(json.dumps(job.as_dict()))) == job
    same = replace(job, output=tmp_path / "x", device="cuda:1", threads=None, report_to=("wandb",))
    assert same.key == job.key
    changes: list[dict[str, Any]] = [
        {"base_digest": "c"},
        {"dataset_sha256": "e"},
        {"seed": 4},
        {"learning_rate": 0.01},
        {"plan": StepPlan(3, STEPS)},
        {"method": "full"},
        {"dtype": "bfloat16"},
        {"max_length": 64},
        {"lora_rank": 8},
        {"template": "plain"},
    ]
    assert len({job.key, *(replace(job, **change).key for change in changes)}) == 11


def test_steps_hold_about_the_asked_tokens_and_cover_the_rows() -> None:
    assert plan_steps([100] * 72, 1.0, 1000) == StepPlan(11, 7)
    assert plan_steps([100] * 72, 2.5, 1000) == StepPlan(11, 18)
    assert plan_steps([50], 1.0, 1000) == StepPlan(1, 1)
    assert plan_steps([2000] * 5, 0.1, 1000) == StepPlan(1, 1)
    for rows in range(1, 200):
        plan = plan_steps([30] * rows, 1.0, 256)
        assert plan.rows_per_step * plan.max_steps >= rows
        assert plan.rows_per_step * (plan.max_steps - 1) < rows


def test_the_child_sees_one_gpu() -> None:
    def seen(device: str, own: dict[str, str]) -> str | None:
        return worker_environment(device, 2, own).get("CUDA_VISIBLE_DEVICES")

    assert seen("cpu", {}) is None
    assert seen("cuda", {}) == "0"
    assert seen("cuda:1", {}) == "1"
    assert seen("cuda", {"CUDA_VISIBLE_DEVICES": "5,7"}) == "5"
    assert seen("cuda:1", {"CUDA_VISIBLE_DEVICES": "5,7"}) == "7"
    assert worker_environment("cpu", 2, {"A": "1"})["OMP_NUM_THREADS"] == "2"


def test_the_parent_side_loads_no_torch() -> None:
    code = "import sys, middo.training.job, middo.training.worker; print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'middo.training.job'" in shown.stdout
    assert not any(f"'{name}'" in shown.stdout for name in ("torch", "transformers", "trl"))


def note(seen: list[int]) -> Callable[[int, int, float | None], None]:
    return lambda done, total, eta: seen.append(done)


def signalled(seen: list[int], step: int, number: signal.Signals) -> Callable[[], bool]:
    """Send the training process a signal as soon as it tells of a step; never ask it to stop."""

    def look() -> bool:
        if seen and seen[-1] >= step:
            for pid in own_children():
                os.kill(pid, number)
        return False

    return look


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def worker(job: Path, log: Path, environment: dict[str, str] | None = None) -> Worker:
    return Worker(
        job,
        log=log,
        environment={**os.environ, **(environment or {})},
        on_progress=lambda done, total, eta: None,
        should_stop=lambda: False,
        silence=60,
    )


def own_children() -> list[int]:
    shown = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    pids = [int(word) for word in shown.split()]
    return [
        pid for pid in pids if b"middo.training.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def wait_until_free(lock: Path, seconds: float) -> None:
    """Wait until the process that holds the lock is gone."""
    deadline = time.monotonic() + seconds
    with lock.open("rb") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                assert time.monotonic() < deadline, "the child outlived its parent"
                time.sleep(0.05)
