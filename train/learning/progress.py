"""What a fit shows while it runs: a bar on a terminal, a line an epoch in a file, curves in TensorBoard."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from transformers import TrainerCallback

from train.errors import MissingExtra
from train.learning.settings import TrainSettings


class Progress(TrainerCallback):
    """Steps as a bar, each epoch's validation figures as a line."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs
        self._console = Console(stderr=True)
        self._bar: Bar | None = None
        self._task: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Opens the bar, at the step a resumed run stands at."""
        total = round(state.max_steps * self.epochs / max(1, args.num_train_epochs))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._bar.start()
        self._task = self._bar.add_task(self.name, total=total, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Moves the bar."""
        if self._bar:
            self._bar.update(self._task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Prints what an epoch ended with."""
        logs = logs or {}
        if "eval_macro_f1" in logs:
            self._console.print(
                f"{self.name} epoch {logs['epoch']:.0f}: validation macro-F1 {logs['eval_macro_f1']:.3f}"
            )
        elif "loss" in logs:
            self._console.print(f"{self.name} epoch {logs['epoch']:.0f}: loss {float(logs['loss']):.4f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Closes the bar."""
        if self._bar:
            self._bar.stop()


def tensorboard(settings: TrainSettings) -> list[TrainerCallback]:
    """Curves in `tensorboard/` of the run, where `run.report_to` asks for them.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    if settings.run.report_to is None or int(os.environ.get("RANK", "0")):
        return []
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra("run.report_to=tensorboard", "train") from None
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(settings.folder / "tensorboard")))]
