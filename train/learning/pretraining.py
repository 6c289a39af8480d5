"""Masked-language-model pretraining: the loop, and the checkpoints from which it goes on exactly.

Which blocks a step reads, which tokens it hides and what dropout drops follow from the seed and the step alone; the
state file adds weights, optimizer and the position in the data. A run that was killed and started again therefore takes
the same steps as one that was not, as long as its budget is in steps; one in minutes ties the learning rate to the clock.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from train.errors import ConfigError
from train.learning.devices import pick_device, rank_and_size, uses_bf16
from train.learning.masked_language_model import MaskedLanguageModel, hide_tokens
from train.learning.pretraining_settings import PretrainingSettings
from train.learning.pretraining_text import Batch, Epoch, PackedText

_LOG = logging.getLogger(__name__)

_HELD_OUT_BLOCKS = 128
# Added to the seed, so that no two of these share random numbers.
_ORDER_STREAM, _HELD_OUT_STREAM, _MASK_STREAM = range(3)


@dataclass
class Progress:
    """How far a run has come; `phase`, `epoch` and `block` are its position in the data."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    phase: int = 0
    epoch: int = 0
    block: int = 0


class Pretraining:
    """One run of pretraining, resumed from its work folder if that holds a state.

    Attributes:
        progress: how far it has come.
        model: what is trained.
    """

    def __init__(self, settings: PretrainingSettings, text: PackedText, vocabulary_size: int) -> None:
        """Builds the model, or reads it back.

        Args:
            settings: all settings.
            text: the packed corpus.
            vocabulary_size: tokens in the vocabulary `text` was packed with.

        Raises:
            ConfigError: the work folder holds a run with other settings, or `init` is not such a network.
        """
        self._settings, self._text, self._vocabulary_size = settings, text, vocabulary_size
        self._rank, self._n_processes = rank_and_size()
        self._device = pick_device(settings.run.device)
        self._bf16 = uses_bf16(settings.run.precision, self._device)
        torch.manual_seed(settings.seed)
        self.model = MaskedLanguageModel(settings.network, vocabulary_size, self._device).to(self._device)
        self.progress = Progress()
        self._optimizer = self._build_optimizer()
        self._epoch: Epoch | None = None
        self._train_documents, self._held_out_documents = self._split()
        if self.state_file.is_file():
            self._load()
        elif settings.init:
            self.model.go_on_from(settings.init)
        self._wrapped: nn.Module = DistributedDataParallel(self.model) if self._n_processes > 1 else self.model
        self._clock = time.monotonic()

    @property
    def state_file(self) -> Path:
        """Everything a run needs to go on."""
        return self._settings.run.work_dir / "state.pt"

    @property
    def loss_file(self) -> Path:
        """The loss curve, one JSON object a line."""
        return self._settings.run.work_dir / "loss.jsonl"

    def share_done(self) -> float:
        """The part of the budget that is used up, 0 to 1."""
        budget, progress = self._settings.budget, self.progress
        by_steps = progress.step / budget.steps if budget.steps else 0.0
        by_clock = progress.seconds / (60 * budget.minutes) if budget.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))

    def run(self) -> None:
        """Trains until the budget is used up; a state is saved every few minutes and at the end."""
        run, saved_at = self._settings.run, self.progress.seconds
        losses: list[Tensor] = []
        logged = (self.progress.tokens, self.progress.seconds)
        while self.share_done() < 1:
            losses.append(self.step())
            if self.progress.step % run.log_steps == 0:
                self._log(torch.stack(losses).mean().item(), logged)
                losses, logged = [], (self.progress.tokens, self.progress.seconds)
            if self.progress.seconds - saved_at >= 60 * run.checkpoint_minutes:
                self.save()
                saved_at = self.progress.seconds
        self.save()

    def step(self) -> Tensor:
        """One update; returns the loss of hidden tokens before it, on the device.

        Raises:
            ConfigError: the text is too small for one batch.
        """
        self._enter_phase()
        batch = self._next_batch()
        p, optim = self.progress, self._settings.optim
        rng = np.random.default_rng([self._settings.seed, _MASK_STREAM, p.step, self._rank])
        torch.manual_seed(int(rng.integers(2**63)))  # dropout
        for group in self._optimizer.param_groups:
            group["lr"] = optim.lr * self.lr_factor()
        self._wrapped.train()
        of_tokens, of_bags = self._losses(self._wrapped, batch, rng)
        (of_tokens + self._settings.masking.bag_weight * of_bags).backward()  # type: ignore[no-untyped-call]
        if optim.max_grad_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), optim.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        p.step += 1
        p.tokens += int(np.count_nonzero(batch.pieces)) * self._n_processes
        self._count_time()
        return of_tokens.detach()

    def held_out_loss(self) -> float | None:
        """Loss on documents that are not trained on, masked alike each time; None without such documents."""
        phase = self._settings.phases[self.progress.phase]
        if not len(self._held_out_documents):
            return None
        seed = [self._settings.seed, _HELD_OUT_STREAM]
        epoch = Epoch(self._text, self._held_out_documents, {}, phase.length, np.random.default_rng(seed))
        batch = epoch.batch(0, min(len(epoch), _HELD_OUT_BLOCKS))
        self.model.eval()
        with torch.inference_mode():
            return self._losses(self.model, batch, np.random.default_rng(seed))[0].item()

    def save(self) -> None:
        """Writes the state; a kill while it writes leaves the last one whole.

        Raises:
            OSError: it cannot be written.
        """
        if self._rank:
            return
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        half_done = self.state_file.with_suffix(".half-done")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
            "identity": self._identity(),
        }
        try:
            torch.save(state, half_done)
        except RuntimeError as error:  # torch's own word for a full disk
            raise OSError(str(error).splitlines()[0]) from error
        half_done.replace(self.state_file)

    def _identity(self) -> str:
        """What a state must share with the run that goes on from it."""
        return json.dumps({"text": self._text.digest} | self._settings.what_is_learned(), sort_keys=True)

    def _load(self) -> None:
        state = torch.load(self.state_file, map_location=self._device, weights_only=True)
        if state["identity"] != self._identity():
            raise ConfigError(
                f"{self.state_file}: a run on another text, or with other settings than its budget, optim and run: "
                "give another run.work_dir, or delete this one to start anew"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        if not self._rank and self.loss_file.is_file():
            lines = self.loss_file.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= self.progress.step]
            self.loss_file.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def _build_optimizer(self) -> torch.optim.AdamW:
        optim = self._settings.optim
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": optim.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=optim.lr, betas=(0.9, optim.beta2), fused=True)

    def _split(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        order = np.random.default_rng([self._settings.seed, _HELD_OUT_STREAM]).permutation(len(self._text.ends))
        n_held_out = round(len(order) * self._settings.text.held_out)
        return order[n_held_out:], order[:n_held_out]

    def lr_factor(self) -> float:
        """What the next step's learning rate is multiplied by: warm-up times decay."""
        warm_up = min(1.0, (self.progress.step + 1) / max(1, self._settings.optim.warmup_steps))
        done = self.share_done()
        return warm_up * (1 - done if self._settings.optim.decay == "linear" else (1 + math.cos(math.pi * done)) / 2)

    def _enter_phase(self) -> None:
        p, phases = self.progress, self._settings.phases
        while self.share_done() >= phases[p.phase].until and p.phase + 1 < len(phases):
            if self._settings.init is None:  # the positions of a checkpoint are trained already
                self.model.repeat_positions(phases[p.phase].length, phases[p.phase + 1].length)
            p.phase, p.epoch, p.block, self._epoch = p.phase + 1, 0, 0, None

    def _next_batch(self) -> Batch:
        p, phase = self.progress, self._settings.phases[self.progress.phase]
        at_once = phase.batch_size * self._n_processes
        if self._epoch is None:
            self._epoch = self._plan_epoch()
        if p.block and p.block + at_once > len(self._epoch):
            p.epoch, p.block = p.epoch + 1, 0
            self._epoch = self._plan_epoch()
        if at_once > len(self._epoch):
            raise ConfigError(
                f"the text fills {len(self._epoch)} blocks of {phase.length} tokens, a step needs {at_once}: "
                "give more text or a smaller phases.batch_size"
            )
        start = p.block + self._rank * phase.batch_size
        p.block += at_once
        return self._epoch.batch(start, phase.batch_size)

    def _plan_epoch(self) -> Epoch:
        p, settings = self.progress, self._settings
        rng = np.random.default_rng([settings.seed, _ORDER_STREAM, p.phase, p.epoch])
        length = settings.phases[p.phase].length
        return Epoch(self._text, self._train_documents, settings.text.weights, length, rng)

    def _losses(self, model: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        hidden, guess = hide_tokens(batch, self._vocabulary_size, self._settings.masking, rng)
        arrays = (hidden, batch.pieces, batch.positions, guess, batch.ids)
        tensors = [torch.from_numpy(array).to(self._device) for array in arrays]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            of_tokens, of_bags = model(*tensors)
        return of_tokens, of_bags

    def _count_time(self) -> None:
        """Adds the time since the last count, logging and saving included; all processes take the first one's clock."""
        now = time.monotonic()
        self.progress.seconds += now - self._clock
        self._clock = now
        if self._n_processes > 1:
            shared = torch.tensor(self.progress.seconds, dtype=torch.float64, device=self._device)
            dist.broadcast(shared, 0)
            self.progress.seconds = shared.item()

    def _log(self, loss: float, before: tuple[int, float]) -> None:
        if self._rank:
            return
        p = self.progress
        speed = (p.tokens - before[0]) / max(p.seconds - before[1], 1e-9)
        line = {
            "step": p.step,
            "tokens": p.tokens,
            "seconds": round(p.seconds, 1),
            "loss": round(loss, 4),
            "held_out_loss": self.held_out_loss(),
            "tokens_per_second": round(speed),
            "length": self._settings.phases[p.phase].length,
        }
        self.loss_file.parent.mkdir(parents=True, exist_ok=True)
        with self.loss_file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        _LOG.info("step %d: loss %.3f, %d tokens/s, %.0f %% done", p.step, loss, speed, 100 * self.share_done())
