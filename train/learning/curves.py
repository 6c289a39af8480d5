"""Training curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws training loss, validation loss and validation macro-F1 over epochs.

    Args:
        history: what the Trainer logged.
        path: of the .png file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    losses, f1 = figure.subplots(1, 2)
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(h["epoch"], h[key]) for h in history if key in h]
        if points:
            losses.plot(*zip(*points, strict=True), marker="o", label=label)
    points = [(h["epoch"], h["eval_macro_f1"]) for h in history if "eval_macro_f1" in h]
    if points:
        f1.plot(*zip(*points, strict=True), marker="o", color="tab:green")
    losses.set(xlabel="epoch", title="loss")
    losses.legend()
    f1.set(xlabel="epoch", title="macro-F1, validation plans", ylim=(0, 1))
    for axes in (losses, f1):
        axes.grid(alpha=0.3)
    figure.savefig(str(path), dpi=110)
