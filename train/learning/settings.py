"""The settings of a retraining run, checked once; defaults and what they mean stand in `configs/train.yaml` and its groups."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from train.corpus.dataset import LEAKAGE
from train.errors import ConfigError

PRECISIONS = ("auto", "bf16", "fp32")


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
    dropout: float


@dataclass
class DataSettings:
    """Which rows are learned from and how they are split."""

    path: str
    held_out: Any
    validation: float
    n_folds: int
    leakage: str
    headings: bool
    heading_dropout: float
    max_path: int
    overlap: int


@dataclass
class OptimSettings:
    """AdamW and its schedule."""

    epochs: int
    batch_size: int
    lr: float
    head_lr: float
    weight_decay: float
    warmup: float
    patience: int
    max_grad_norm: float


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
    experiment: str | None = field(default=None)

    def check(self) -> None:
        """Names every setting that is out of its range.

        Raises:
            ConfigError: with all faults.
        """
        d, o, e, r = self.data, self.optim, self.encoder, self.run
        shares = isinstance(d.held_out, (int, float)) and not isinstance(d.held_out, bool) and 0 <= d.held_out < 1
        names = isinstance(d.held_out, list) and all(isinstance(n, str) for n in d.held_out)
        rules = [
            (shares or names, "data.held_out", "a share in [0, 1) or a list of plan names", d.held_out),
            (0 < d.validation < 1, "data.validation", "a share in (0, 1)", d.validation),
            (
                d.n_folds == 0 or d.n_folds >= 2,
                "data.n_folds",
                "0 (no out-of-fold thresholds) or at least 2",
                d.n_folds,
            ),
            (d.leakage in LEAKAGE, "data.leakage", "one of " + ", ".join(LEAKAGE), d.leakage),
            (0 <= d.heading_dropout <= 1, "data.heading_dropout", "a probability", d.heading_dropout),
            (0 <= d.max_path <= e.max_length // 2, "data.max_path", "0 to half of encoder.max_length", d.max_path),
            (0 <= d.overlap < e.max_length // 4, "data.overlap", "0 to a quarter of encoder.max_length", d.overlap),
            (16 <= e.max_length <= 4096, "encoder.max_length", "16 to 4096 tokens", e.max_length),
            (e.width % max(1, e.n_heads) == 0, "encoder.width", "a multiple of encoder.n_heads", e.width),
            (0 <= e.dropout < 1, "encoder.dropout", "a probability below 1", e.dropout),
            (o.epochs >= 1, "optim.epochs", "at least 1", o.epochs),
            (o.batch_size >= 1, "optim.batch_size", "at least 1", o.batch_size),
            (o.lr > 0 and o.head_lr > 0, "optim.lr", "above 0", (o.lr, o.head_lr)),
            (0 <= o.warmup < 1, "optim.warmup", "a share in [0, 1)", o.warmup),
            (o.patience >= 1, "optim.patience", "at least 1", o.patience),
            (r.precision in PRECISIONS, "run.precision", "one of " + ", ".join(PRECISIONS), r.precision),
        ]
        if faults := [f"{name} must be {wanted}, got {given!r}" for holds, name, wanted, given in rules if not holds]:
            raise ConfigError("; ".join(faults))

    def as_dict(self) -> dict[str, Any]:
        """The resolved settings as plain values."""
        return asdict(self)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.run.dir)
