"""The settings of a pretraining run, checked once; the defaults and what they mean stand in `configs/pretrain.yaml`."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from train.errors import ConfigError


@dataclass
class TextSettings:
    """What is read."""

    path: Path
    weights: dict[str, float]
    held_out: float


@dataclass
class VocabularySettings:
    """How the vocabulary is learned."""

    size: int
    min_count: int
    n_latin: int
    max_latin_chars: int


@dataclass
class NetworkSettings:
    """The shape of the BERT."""

    n_layers: int
    width: int
    n_heads: int
    ffn_width: int
    max_positions: int
    dropout: float


@dataclass
class MaskingSettings:
    """Which tokens are to be guessed, and from what."""

    prob: float
    span_probs: list[float]
    bag_weight: float


@dataclass
class OptimSettings:
    """AdamW and its schedule."""

    lr: float
    beta2: float
    weight_decay: float
    warmup_steps: int
    decay: str
    max_grad_norm: float


@dataclass
class PhaseSettings:
    """A stretch of the run with blocks of one length."""

    until: float
    length: int
    batch_size: int


@dataclass
class BudgetSettings:
    """When the run ends: at the first of the two that is reached."""

    steps: int | None
    minutes: float | None


@dataclass
class RunSettings:
    """Where and how the run is carried out; nothing here changes what is learned."""

    output_dir: Path
    work_dir: Path
    device: str
    precision: str
    n_threads: int
    checkpoint_minutes: float
    log_steps: int
    export_only: bool


@dataclass
class PretrainingSettings:
    """All settings of a run."""

    init: Path | None
    text: TextSettings
    vocabulary: VocabularySettings
    network: NetworkSettings
    masking: MaskingSettings
    optim: OptimSettings
    phases: list[PhaseSettings]
    budget: BudgetSettings
    run: RunSettings
    seed: int

    def __post_init__(self) -> None:
        """Checks all ranges.

        Raises:
            ConfigError: naming every setting that is out of range.
        """
        if faults := [message for is_fine, message in self._rules() if not is_fine]:
            raise ConfigError("pretraining settings: " + "; ".join(faults))

    def _rules(self) -> list[tuple[bool, str]]:
        network, masking, optim, budget, run = self.network, self.masking, self.optim, self.budget, self.run
        vocabulary = self.vocabulary
        untils = [phase.until for phase in self.phases]
        longest = max((phase.length for phase in self.phases), default=0)
        return [
            (0 <= self.text.held_out < 0.5, f"text.held_out={self.text.held_out}: expected 0 or more, below 0.5"),
            (all(0 <= w < math.inf for w in self.text.weights.values()), "text.weights: expected 0 or more, finite"),
            (200 <= vocabulary.size <= 2**16, f"vocabulary.size={vocabulary.size}: expected 200 to 65536"),
            (vocabulary.min_count > 0, f"vocabulary.min_count={vocabulary.min_count}: expected 1 or more"),
            (
                0 <= vocabulary.n_latin <= vocabulary.size,
                f"vocabulary.n_latin={vocabulary.n_latin}: expected 0 to vocabulary.size={vocabulary.size}",
            ),
            (
                vocabulary.max_latin_chars > 0,
                f"vocabulary.max_latin_chars={vocabulary.max_latin_chars}: expected 1 or more",
            ),
            (min(network.n_layers, network.n_heads) > 0, "network.n_layers and network.n_heads: expected 1 or more"),
            (
                network.n_heads > 0 and network.width > 0 and network.width % network.n_heads == 0,
                f"network.width={network.width}: expected a multiple of network.n_heads={network.n_heads}, above 0",
            ),
            (0 <= network.dropout < 1, f"network.dropout={network.dropout}: expected 0 or more, below 1"),
            (0 < masking.prob < 1, f"masking.prob={masking.prob}: expected between 0 and 1"),
            (
                abs(sum(masking.span_probs) - 1) < 1e-6 and min(masking.span_probs) >= 0,
                f"masking.span_probs={list(masking.span_probs)}: must be 0 or more and sum to 1",
            ),
            (
                0 <= masking.bag_weight < math.inf,
                f"masking.bag_weight={masking.bag_weight}: expected 0 or more, finite",
            ),
            (network.ffn_width > 0, f"network.ffn_width={network.ffn_width}: expected 1 or more"),
            (0 < optim.lr < 1, f"optim.lr={optim.lr}: expected between 0 and 1"),
            (0 <= optim.beta2 < 1, f"optim.beta2={optim.beta2}: expected 0 or more, below 1"),
            (0 <= optim.weight_decay < 1, f"optim.weight_decay={optim.weight_decay}: expected 0 or more, below 1"),
            (optim.warmup_steps >= 0, f"optim.warmup_steps={optim.warmup_steps}: expected 0 or more"),
            (optim.max_grad_norm >= 0, f"optim.max_grad_norm={optim.max_grad_norm}: expected 0 (no clipping) or more"),
            (optim.decay in {"linear", "cosine"}, f"optim.decay={optim.decay}: expected linear or cosine"),
            (
                all(a < b for a, b in pairwise([0.0, *untils])) and untils[-1:] == [1],
                "phases: until must rise from above 0 and end at 1",
            ),
            (all(p.length >= 8 and p.batch_size > 0 for p in self.phases), "phases: length from 8, batch_size from 1"),
            (
                longest <= network.max_positions,
                f"phases: length {longest} exceeds network.max_positions={network.max_positions}",
            ),
            (bool(budget.steps or budget.minutes), "budget: give budget.steps or budget.minutes, or both"),
            (
                (budget.steps or 0) >= 0 and 0 <= (budget.minutes or 0) < math.inf,
                "budget.steps and budget.minutes: expected finite numbers above 0",
            ),
            (run.log_steps > 0, f"run.log_steps={run.log_steps}: expected 1 or more"),
            (run.checkpoint_minutes >= 0, f"run.checkpoint_minutes={run.checkpoint_minutes}: expected 0 or more"),
            (
                re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,2})?", run.device) is not None,
                f"run.device={run.device}: expected auto, cpu, cuda or cuda:NUMBER",
            ),
            (run.precision in {"auto", "bf16", "fp32"}, f"run.precision={run.precision}: expected auto, bf16 or fp32"),
            (0 <= run.n_threads <= 4096, f"run.n_threads={run.n_threads}: expected 0 (torch decides) to 4096"),
            (0 <= self.seed < 2**32, f"seed={self.seed}: expected 0 to 4294967295"),
        ]

    def what_is_learned(self) -> dict[str, Any]:
        """The settings on which data, network and task depend, as plain values: all but budget, optim and run."""
        values = asdict(self) | {"init": str(self.init)}
        del values["budget"], values["optim"], values["run"], values["text"]["path"]
        return values
