"""Fits one network with the transformers `Trainer`: multi-label loss over windows, early stopping, resumable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from train.evaluation.metrics import best_thresholds, evaluate
from train.learning.batches import Collator, Encoded, ItemDataset, LengthGrouped
from train.learning.bert_layers import lighten
from train.learning.calibration import sigmoid
from train.learning.checkpoints import is_over, last_whole
from train.learning.devices import pick_device, uses_bf16
from train.learning.progress import Progress, tensorboard
from train.learning.settings import TrainSettings
from train.tagging.windows import WindowShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAIN = "main"  # the folder of the fit that becomes the bundle; those of folds have other names
_SCORE_BATCH = 64


@dataclass(slots=True)
class Fitted:
    """A fitted network and how it got there.

    Attributes:
        model: in evaluation mode, on the CPU.
        epochs: epochs after which the returned weights stood (the best ones where a validation part was given).
        history: what the Trainer logged of each epoch, without how long it took.
    """

    model: PreTrainedModel
    epochs: int
    history: list[dict[str, Any]]


class ItemTrainer(Trainer):
    """A `Trainer` whose batches are windows and whose losses are over items (the highest logit of an item's windows)."""

    def __init__(self, *arguments: Any, head_lr: float, sampler: LengthGrouped, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_lr, self._length_grouped = head_lr, sampler

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        """Binary cross-entropy, the mean over items and themes."""
        labels, item = inputs["labels"], inputs["window_item"]
        logits = model(**{k: inputs[k] for k in ("input_ids", "attention_mask", "token_type_ids")}).logits
        pooled = pool(logits.float(), item, len(labels))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(pooled, labels)
        return (loss, {"logits": pooled}) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Logits and labels of one batch, by item; no loss, as the last batch of several processes is padded with other items."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            _, outputs = self.compute_loss(model, inputs, return_outputs=True)
        return None, outputs["logits"].detach(), inputs["labels"]

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Evaluation shows the headings."""
        self.data_collator.training = False
        return super().get_eval_dataloader(eval_dataset)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self._length_grouped

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW with a rate of its own for the new classification layer, no decay on biases and norms."""
        if getattr(self, "optimizer", None) is None:
            decays = set(self.get_decay_parameter_names(self.model))
            groups: dict[tuple[bool, bool], list[Any]] = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    groups.setdefault((name.startswith("classifier"), name in decays), []).append(parameter)
            self.optimizer: Any = torch.optim.AdamW(
                [
                    {
                        "params": members,
                        "lr": self._head_lr if head else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if decay else 0.0,
                    }
                    for (head, decay), members in groups.items()
                ],
                fused=True,
            )
        return self.optimizer


class StopAfter(TrainerCallback):
    """Ends the training after so many epochs of a longer schedule."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Asks the Trainer to stop."""
        if round(state.epoch) >= self.epochs:
            control.should_training_stop = True
        return control


class _TrainingMode(TrainerCallback):
    """Headings are hidden at random while training only; evaluation switches that off, the next epoch on."""

    def __init__(self, collator: Collator) -> None:
        self.collator = collator

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Back to training."""
        self.collator.training = True


def pool(logits: torch.Tensor, item: torch.Tensor, n_items: int) -> torch.Tensor:
    """The highest logit over each item's windows: [n_items, n_themes] from [n_windows, n_themes]."""
    pooled = logits.new_full((n_items, logits.shape[1]), -torch.inf)
    return pooled.scatter_reduce(0, item[:, None].expand_as(logits), logits, "amax")


def fit(
    model: PreTrainedModel,
    training: ItemDataset,
    validation: ItemDataset | None,
    settings: TrainSettings,
    shape: WindowShape,
    folder: Path,
    epochs: int | None = None,
) -> Fitted:
    """Fits a network; a folder with checkpoints of a killed run is taken up where it stopped.

    Args:
        model: the network, changed in place.
        training: items to learn from.
        validation: items that decide when to stop; None to train all epochs.
        settings: of the run.
        shape: of the windows.
        folder: for checkpoints.
        epochs: stop after so many epochs of the schedule; None for all.
    """
    keys = [str(k) for k in model.config.id2label.values()]
    trainer = _trainer(model, training, validation, settings, shape, folder, keys)
    if epochs is not None:
        trainer.add_callback(StopAfter(epochs))
    if settings.run.progress and trainer.is_world_process_zero():
        trainer.add_callback(Progress(folder.name, epochs or settings.optim.epochs))
    patience = settings.optim.patience if validation is not None else None
    last, state = last_whole(folder) or (None, None)
    if last is not None and state is not None and is_over(state, epochs or settings.optim.epochs, patience):
        # By name: the folder may have been moved since.
        whole = folder / Path(state.best_model_checkpoint).name if state.best_model_checkpoint else last
        attention = model.config._attn_implementation
        fitted = type(model).from_pretrained(whole, local_files_only=True, attn_implementation=attention)
        lighten(fitted)
    else:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        # Without the wrapper that computes in bf16, which would be exported with the network.
        fitted = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        state = trainer.state
    steps = state.best_global_step if validation is not None and state.best_global_step else state.global_step
    per_epoch = max(1, round(state.global_step / max(1, state.epoch or 1)))
    return Fitted(fitted.to("cpu").eval(), max(1, round(steps / per_epoch)), _history(state.log_history))


def _history(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = ("_runtime", "_per_second")
    return [
        {k: v for k, v in entry.items() if not k.endswith(timed)}
        for entry in log
        if "loss" in entry or "eval_loss" in entry
    ]


def _trainer(
    model: PreTrainedModel,
    training: ItemDataset,
    validation: ItemDataset | None,
    settings: TrainSettings,
    shape: WindowShape,
    folder: Path,
    keys: list[str],
) -> ItemTrainer:
    optim, run = settings.optim, settings.run
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    clock = {"trainer": None}

    def epoch() -> int:
        trainer: Any = clock["trainer"]
        return int(trainer.state.epoch or 0) if trainer else 0

    hidden = settings.data.heading_dropout if settings.data.headings else 0.0
    collator = Collator(shape, hidden, run.seed, epoch, settings.data.joining, training.items)
    sampler = LengthGrouped(optim.batch_size, lambda number: collator.lengths(training.items, number), run.seed)
    callbacks: list[TrainerCallback] = [_TrainingMode(collator)]
    if validation is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=optim.patience))
    if folder.name == MAIN:
        callbacks += tensorboard(settings)
    set_seed(run.seed)
    trainer = ItemTrainer(
        model,
        _arguments(settings, folder, validation is not None, processes),
        data_collator=collator,
        train_dataset=training,
        eval_dataset=validation,
        compute_metrics=lambda p: _validation_metrics(p, keys),
        callbacks=callbacks,
        head_lr=optim.head_lr,
        sampler=sampler,
    )
    trainer.remove_callback(PrinterCallback)
    clock["trainer"] = trainer  # type: ignore[assignment]  # the collator asks it for the epoch
    return trainer


def _arguments(settings: TrainSettings, folder: Path, validates: bool, processes: int) -> TrainingArguments:
    optim, run = settings.optim, settings.run
    device = pick_device("auto")
    on_gpu = device.type == "cuda"
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=optim.epochs,
        per_device_train_batch_size=max(1, optim.batch_size // processes),
        per_device_eval_batch_size=_SCORE_BATCH,
        learning_rate=optim.lr,
        weight_decay=optim.weight_decay,
        warmup_steps=optim.warmup,
        max_grad_norm=optim.max_grad_norm,
        lr_scheduler_type="linear",
        eval_strategy="epoch" if validates else "no",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=validates,
        metric_for_best_model="macro_f1" if validates else None,
        greater_is_better=True if validates else None,
        logging_strategy="epoch",
        report_to=[],  # `tensorboard` adds what is asked for
        restore_callback_states_from_checkpoint=True,  # how long early stopping has waited
        disable_tqdm=True,
        seed=run.seed,
        data_seed=run.seed,
        use_cpu=not on_gpu,
        bf16=uses_bf16(run.precision, device),
        remove_unused_columns=False,
        label_names=["labels"],
        ddp_backend=("nccl" if on_gpu else "gloo") if processes > 1 else None,
        dataloader_pin_memory=on_gpu,
    )


def _validation_metrics(prediction: Any, keys: list[str]) -> dict[str, float]:
    """Macro-F1 at the best cut of each theme, so that early stopping does not wait for scores to settle around one half."""
    gold = np.asarray(prediction.label_ids) > 0.5
    logits = np.asarray(prediction.predictions, dtype=np.float64)
    scores = sigmoid(logits)
    loss = float(np.mean(np.logaddexp(0, np.where(gold, -logits, logits))))
    found = evaluate(gold, scores >= np.array(best_thresholds(gold, scores)), ["validation"] * len(gold), keys)
    # Without a label there is no F1, and early stopping wants a number.
    macro, micro = np.nan_to_num([found.macro_f1, found.micro_f1]).tolist()
    return {"loss": loss, "macro_f1": macro, "micro_f1": micro}


def score(
    model: PreTrainedModel, items: ItemDataset, shape: WindowShape, precision: str = "fp32"
) -> NDArray[np.float64]:
    """Scores in [0, 1]: float64[n_items, n_themes], headings shown."""
    collator = Collator(shape, 0.0, 0, lambda: 0)
    order = sorted(range(len(items)), key=lambda i: -len(items[i]["text_ids"]))
    out = np.zeros((len(items), model.config.num_labels))
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for start in range(0, len(order), _SCORE_BATCH):
            chosen = order[start : start + _SCORE_BATCH]
            members: Sequence[Encoded] = [items[i] for i in chosen]
            batch = collator(members)
            logits = model(**{k: batch[k] for k in ("input_ids", "attention_mask", "token_type_ids")}).logits
            out[chosen] = sigmoid(pool(logits.float(), batch["window_item"], len(chosen)).double().numpy())
    return out
