"""Whether an error says that memory ran out, whichever part of PyTorch says so."""

import torch

ALLOCATION_FAILED = (
    "defaultcpuallocator",  # "can't allocate memory: you tried to allocate ..."
    "not enough memory",
    "cannot allocate memory",
    "std::bad_alloc",
    "could not create a memory",  # oneDNN
)
"""What PyTorch's CPU code writes into a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory of the CPU or of the accelerator ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in ALLOCATION_FAILED)
