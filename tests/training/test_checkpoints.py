import json
import shutil
import zipfile
from pathlib import Path

import pytest

from middo.training.checkpoints import (
    discard_incomplete,
    is_complete,
    newest_complete,
    read_record,
    write_record,
)


def safetensors(file: Path, *, cut: int = 0) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(8)
    file.write_bytes(whole[: len(whole) - cut])


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    safetensors(path / "adapter_model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        with zipfile.ZipFile(path / name, "w") as archive:
            archive.writestr("data.pkl", "x" * 200)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    return path


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def test_the_newest_is_the_one_with_the_most_steps(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        checkpoint(tmp_path, step)
    assert newest_complete(tmp_path) == tmp_path / "checkpoint-100"


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-best").mkdir()
    assert newest_complete(tmp_path) is None
    assert newest_complete(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "trainer_state.json",
    ],
)
@pytest.mark.parametrize("damage", [Path.unlink, cut, lambda file: file.write_bytes(b"")])
def test_a_checkpoint_with_a_missing_or_cut_file_is_skipped(
    tmp_path: Path, name: str, damage: object
) -> None:
    good, broken = checkpoint(tmp_path, 4), checkpoint(tmp_path, 8)
    assert is_complete(broken)
    assert callable(damage)
    damage(broken / name)
    assert not is_complete(broken)
    assert newest_complete(tmp_path) == good
    assert discard_incomplete(tmp_path) == [broken]
    assert good.is_dir()
    assert not broken.exists()


def test_a_checkpoint_under_another_number_is_not_complete(tmp_path: Path) -> None:
    shutil.copytree(checkpoint(tmp_path, 4), tmp_path / "checkpoint-5")
    assert newest_complete(tmp_path) == tmp_path / "checkpoint-4"


def test_a_record_counts_only_beside_weights(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, {"key": "k", "steps": 3})
    assert read_record(tmp_path) is None
    safetensors(tmp_path / "model.safetensors")
    assert read_record(tmp_path) == {"key": "k", "steps": 3}
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model.safetensors",
        "training.json",
    ]
    cut(tmp_path / "training.json")
    assert read_record(tmp_path) is None


def test_a_record_with_a_number_that_json_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path, {"train_loss": float("nan")})
    assert not (tmp_path / "training.json").exists()
