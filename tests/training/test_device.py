import platform
from pathlib import Path

import pytest
import torch

from middo.training.device import pick_device, pick_dtype, quiet_environment


def test_a_wanted_precision_is_kept_whatever_the_hardware() -> None:
    assert pick_dtype("float32", "cuda") == "float32"
    assert pick_dtype("bfloat16", "cpu") == "bfloat16"


def test_auto_on_a_cpu_follows_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False)
    assert pick_dtype("auto", "cpu") == "float32"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert pick_dtype("auto", "cpu") == "bfloat16"


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(),
    reason="reads what Linux says of x86 processors",
)
def test_auto_agrees_with_what_the_processor_says_of_itself() -> None:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = next(line for line in text.splitlines() if line.startswith("flags")).split()
    computes = {"avx512_bf16", "amx_bf16"} & set(flags)
    assert pick_dtype("auto", "cpu") == ("bfloat16" if computes else "float32")


def test_auto_does_without_probes_that_the_build_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, probe)
    assert pick_dtype("auto", "cpu") == "float32"


def test_auto_on_a_gpu_asks_for_real_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def supported(including_emulation: bool) -> bool:
        asked["emulation"] = including_emulation
        return True

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert pick_dtype("auto", "cuda:0") == "bfloat16"
    assert asked == {"emulation": False}


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == "cuda"


def test_threads_wait_passively_and_are_counted_only_on_request() -> None:
    assert quiet_environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_NUM_THREADS" not in quiet_environment()
    assert quiet_environment(2)["OMP_NUM_THREADS"] == "2"
