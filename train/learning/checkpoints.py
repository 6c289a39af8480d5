"""Checkpoints that a killed fit leaves behind: which one is whole, and whether there was anything left to do after it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from transformers import TrainerState
from transformers.trainer_callback import EarlyStoppingCallback

_STATE = "trainer_state.json"


def last_whole(folder: Path) -> tuple[Path, TrainerState] | None:
    """The last checkpoint that was written to its end; the Trainer writes the state behind all other files."""
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    for path in sorted(found, key=lambda p: int(p.name.split("-")[1]), reverse=True):
        try:
            return path, TrainerState.load_from_json(str(path / _STATE))
        except (OSError, ValueError):  # killed while it was written
            continue
    return None


def is_over(state: TrainerState, epochs: int, patience: int | None) -> bool:
    """Whether a fit that stood so had ended: its epochs are done, or validation did not improve for `patience` of them."""
    if round(state.epoch or 0) >= epochs:
        return True
    stopping: Any = state.stateful_callbacks.get(EarlyStoppingCallback.__name__, {})
    counter = stopping.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return patience is not None and counter >= patience
