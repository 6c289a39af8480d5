"""The settings of a retraining run, checked once; defaults and what they mean stand in `configs/train.yaml` and its groups."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from train.corpus.dataset import LEAKAGE
from train.errors import ConfigError

PRECISIONS = ("auto", "bf16", "fp32")
REPORTS = ("tensorboard",)

# (whether it holds, the setting, what is allowed, what was given)
Rule = tuple[bool, str, str, Any]


@dataclass
class EncoderSettings:
    """Which pretrained network is fine-tuned.

    `path` is a local folder or a hub id; null builds the network described by the shape fields, with random weights and a
    vocabulary learned from the training text.
    """

    name: str
    path: str | None
    max_length: int
    n_layers: int
    width: int
    n_heads: int
    ffn_width: int
    dropout: float | None
    attention_dropout: float | None
    head_dropout: float | None


@dataclass
class DataSettings:
    """Which rows are learned from and how they are split."""

    path: str
    plan_key: str | None
    held_out: Any
    validation: float
    n_folds: int
    leakage: str
    headings: bool
    heading_dropout: float
    joining: float
    rehearsal: str | None
    rehearsal_items: int
    max_path: int
    overlap: int


@dataclass
class OptimSettings:
    """AdamW and its schedule."""

    epochs: int
    min_steps: int
    batch_size: int
    lr: float
    head_lr: float
    weight_decay: float
    warmup: float
    patience: int
    max_grad_norm: float

    def for_items(self, n_items: int) -> OptimSettings:
        """The same for a training part of this size: more epochs, if `min_steps` asks for them, and in proportion more patience."""
        epochs = max(self.epochs, math.ceil(self.min_steps / math.ceil(n_items / self.batch_size)))
        return replace(self, epochs=epochs, patience=math.ceil(self.patience * epochs / self.epochs))


@dataclass
class RunSettings:
    """Where and how the run happens."""

    dir: str
    seed: int
    precision: str
    n_threads: int | None
    report_to: str | None
    sample: str | None
    progress: bool


@dataclass
class TrainSettings:
    """All of `configs/train.yaml`."""

    labels: str | None
    init: str | None
    encoder: EncoderSettings
    data: DataSettings
    optim: OptimSettings
    run: RunSettings

    def check(self) -> None:
        """Names every setting that is out of its range.

        Raises:
            ConfigError: with all faults.
        """
        rules = [*_encoder_rules(self.encoder), *_data_rules(self), *_optim_rules(self.optim), *_run_rules(self.run)]
        if faults := [f"{name} must be {wanted}, got {given!r}" for holds, name, wanted, given in rules if not holds]:
            raise ConfigError("; ".join(faults))

    def as_dict(self) -> dict[str, Any]:
        """The resolved settings as plain values."""
        return asdict(self)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.run.dir)


def _encoder_rules(e: EncoderSettings) -> list[Rule]:
    counts = [(f"encoder.{name}", getattr(e, name)) for name in ("n_layers", "width", "n_heads", "ffn_width")]
    return [
        *((n >= 1, name, "at least 1", n) for name, n in counts),
        (e.n_heads < 1 or e.width % e.n_heads == 0, "encoder.width", "a multiple of encoder.n_heads", e.width),
        (16 <= e.max_length <= 4096, "encoder.max_length", "16 to 4096 tokens", e.max_length),
        *(
            (p is None or 0 <= p < 1, f"encoder.{name}", "a probability below 1, or null", p)
            for name, p in (
                ("dropout", e.dropout),
                ("attention_dropout", e.attention_dropout),
                ("head_dropout", e.head_dropout),
            )
        ),
    ]


def _data_rules(settings: TrainSettings) -> list[Rule]:
    d, length = settings.data, settings.encoder.max_length
    share = isinstance(d.held_out, (int, float)) and not isinstance(d.held_out, bool) and 0 <= d.held_out < 1
    names = isinstance(d.held_out, list) and all(isinstance(n, str) for n in d.held_out)
    file = isinstance(d.held_out, str) and d.held_out.endswith(".jsonl")
    has_cuts = d.validation > 0 or d.n_folds > 0 or settings.init is not None
    return [
        (bool(d.path), "data.path", "`builtin`, a .jsonl file or a folder of them", d.path),
        (
            share or names or file,
            "data.held_out",
            "a share in [0, 1), a list of plan names or a .jsonl file",
            d.held_out,
        ),
        (0 <= d.validation < 1, "data.validation", "a share in [0, 1)", d.validation),
        (has_cuts, "data.validation", "above 0 where data.n_folds is 0 and no init gives thresholds", d.validation),
        (d.n_folds in (0, *range(2, 101)), "data.n_folds", "0 (thresholds from validation) or 2 to 100", d.n_folds),
        (d.leakage in LEAKAGE, "data.leakage", "one of " + ", ".join(LEAKAGE), d.leakage),
        (0 <= d.heading_dropout <= 1, "data.heading_dropout", "a probability", d.heading_dropout),
        (0 <= d.joining <= 1, "data.joining", "a probability", d.joining),
        (d.rehearsal is None or d.n_folds == 0, "data.n_folds", "0 where data.rehearsal is given", d.n_folds),
        (d.rehearsal_items >= 1, "data.rehearsal_items", "at least 1", d.rehearsal_items),
        (0 <= d.max_path <= length // 2, "data.max_path", "0 to half of encoder.max_length", d.max_path),
        (0 <= d.overlap < max(1, length // 4), "data.overlap", "0 to a quarter of encoder.max_length", d.overlap),
    ]


def _optim_rules(o: OptimSettings) -> list[Rule]:
    counts = [(f"optim.{name}", getattr(o, name)) for name in ("epochs", "batch_size", "patience")]
    return [
        *((n >= 1, name, "at least 1", n) for name, n in counts),
        (o.min_steps >= 0, "optim.min_steps", "0 or more", o.min_steps),
        (0 < o.lr < 1, "optim.lr", "between 0 and 1", o.lr),
        (0 < o.head_lr < 1, "optim.head_lr", "between 0 and 1", o.head_lr),
        (0 <= o.weight_decay < 1, "optim.weight_decay", "0 or more, below 1", o.weight_decay),
        (0 <= o.warmup < 1, "optim.warmup", "a share in [0, 1)", o.warmup),
        (o.max_grad_norm >= 0, "optim.max_grad_norm", "0 (no clipping) or more", o.max_grad_norm),
    ]


def _run_rules(r: RunSettings) -> list[Rule]:
    return [
        (bool(r.dir), "run.dir", "a folder", r.dir),
        (0 <= r.seed < 2**32, "run.seed", "0 to 4294967295", r.seed),
        (r.precision in PRECISIONS, "run.precision", "one of " + ", ".join(PRECISIONS), r.precision),
        (r.n_threads is None or r.n_threads >= 1, "run.n_threads", "at least 1, or null", r.n_threads),
        (r.report_to in (None, *REPORTS), "run.report_to", "null or " + ", ".join(REPORTS), r.report_to),
    ]
