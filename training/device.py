"""Where a model runs and in which precision: decided by capability, never by timing.

A run must decide the same on every start, and losses of two precisions can't be compared. CPUs
without bfloat16 instructions emulate them, about four times slower than float32.
"""

from typing import Literal

Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "bfloat16"]


def pick_device() -> Device:
    """Return `cuda` where PyTorch sees a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_dtype(wanted: Literal["auto", "float32", "bfloat16"], device: str) -> Dtype:
    """Return the precision to load weights in: `wanted`, or for `auto` what the hardware computes.

    Args:
        wanted: the configuration's `model.dtype`.
        device: `cpu`, or `cuda` with or without an index.
    """
    if wanted != "auto":
        return wanted
    return "bfloat16" if _computes_bfloat16(device) else "float32"


def _computes_bfloat16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # absent in some builds
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)


def quiet_environment(threads: int | None = None) -> dict[str, str]:
    """Return the environment variables to set before torch is loaded, here or in a child.

    Two programs whose OpenMP threads wait by spinning bring a small machine to a halt, so threads
    wait passively. Progress bars and telemetry of the libraries are off.

    Args:
        threads: CPU threads for the process; None leaves the choice to OpenMP.
    """
    quiet = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    return quiet if threads is None else {**quiet, "OMP_NUM_THREADS": str(threads)}
