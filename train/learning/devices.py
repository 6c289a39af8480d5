"""The processor a training runs on: which one, in which precision, and beside which other processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

# What a CPU must have for bf16 to be faster than fp32; others compute it, slowly.
_CPU_BF16 = ("avx512_bf16", "amx_bf16")


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the GPU of this process if there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16; `auto` does where the hardware has it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older versions of torch cannot tell.
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and any(bool(has.get(name)) for name in _CPU_BF16)


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Joins the other processes where `torchrun` started several; alone, does nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    picked = pick_device(device)
    if picked.type == "cuda":
        torch.cuda.set_device(picked)
    dist.init_process_group("nccl" if picked.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank_and_size() -> tuple[int, int]:
    """The number of this process, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
