"""A pretraining run from settings to shipped checkpoint: vocabulary, packed text, loop, export."""

from __future__ import annotations

import gc
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from tokenizers import Tokenizer

from train.errors import ConfigError, NoText, OutputError
from train.learning.devices import process_group, rank_and_size
from train.learning.pretraining import Pretraining
from train.learning.pretraining_documents import digest_text, read_documents
from train.learning.pretraining_settings import PretrainingSettings, RunSettings, VocabularySettings
from train.learning.pretraining_text import PackedText, pack_text
from train.learning.vocabulary import SPECIAL_TOKENS, learn_vocabulary, save_pretrained_tokenizer

_LOG = logging.getLogger(__name__)

_POINTS_IN_CARD = 12
_CARD = "README.md"
_CARD_OF_INIT = "init-README.md"


def pretrain(settings: PretrainingSettings) -> Path:
    """Trains until the budget is used up and writes the checkpoint; returns its folder.

    Raises:
        NoText: no text where the settings say.
        ConfigError: a weight for a source that is not there, a device that is not there, nothing to export yet, or a work
            folder of another run.
        OutputError: the work folder or the output cannot be written; said before the training wherever it shows by then.
    """
    run = settings.run
    if run.n_threads:
        torch.set_num_threads(run.n_threads)
    if not settings.text.path.is_dir():
        raise NoText(settings.text.path, "not a folder; give the folder of texts with text.path=FOLDER")
    _require_device(run.device)
    _make_folders(run)
    with process_group(run.device):
        tokenizer, text = _prepare(settings)
        pretraining = Pretraining(settings, text, tokenizer.get_vocab_size())
        if run.export_only and not pretraining.progress.step:
            raise ConfigError(f"{pretraining.state_file}: no state to export; run without run.export_only first")
        with _reported(run.work_dir, "mend that, and the same command goes on from the last state"):
            if rank_and_size()[0] == 0:
                _keep_card(settings, is_new=not pretraining.progress.step)
            if not run.export_only:
                pretraining.run()
        if rank_and_size()[0] == 0:
            export(pretraining, settings, tokenizer, text)
        # The wrapper that averages gradients goes before the process group: freed after it, it ends the group, and waits with the interpreter's lock
        # for a thread of gloo's that waits for that lock to free a tensor (seen now and then, torch 2.13).
        del pretraining
        gc.collect()
    return run.output_dir


def _require_device(name: str) -> None:
    """Says in one line what torch would say in a traceback."""
    if name.startswith("cuda") and (torch.device(name).index or 0) >= (n_gpus := torch.cuda.device_count()):
        raise ConfigError(f"run.device={name}: GPUs that torch finds here: {n_gpus}; give one of them, auto or cpu")


def _make_folders(run: RunSettings) -> None:
    """Makes both folders and tries whether they take a file, as a fault found after the training comes late."""
    for name, folder in (("run.work_dir", run.work_dir), ("run.output_dir", run.output_dir)):
        with _reported(folder, f"choose another {name}"):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass


@contextmanager
def _reported(folder: Path, advice: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise OutputError(f"{folder}: not a folder that can be written ({reason or error}); {advice}") from None


def _prepare(settings: PretrainingSettings) -> tuple[Tokenizer, PackedText]:
    """Vocabulary and packed text; the first process makes them, the others find them made."""
    rank, n_processes = rank_and_size()
    if rank:
        dist.barrier()
    if settings.init:
        tokenizer = _vocabulary_of(settings.init)
    else:
        tokenizer = _vocabulary(settings.text.path, settings.vocabulary, settings.run.work_dir)
    text = pack_text(settings.text.path, tokenizer, settings.run.work_dir / "packed")
    if n_processes > 1 and not rank:
        dist.barrier()
    _LOG.info("tokens by source: %s", text.source_sizes())
    if strangers := sorted(set(settings.text.weights) - set(text.sources)):
        raise ConfigError(f"text.weights: no source named {', '.join(strangers)}; there are {', '.join(text.sources)}")
    return tokenizer, text


def _vocabulary_of(init: Path) -> Tokenizer:
    file = init / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigError(f"init={init}: no checkpoint to go on from; {file.name} cannot be read ({error})") from None
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
    if list(ids.values()) != list(range(len(SPECIAL_TOKENS))):
        found = ", ".join(f"{token} {'missing' if at is None else at}" for token, at in ids.items())
        raise ConfigError(
            f"init={init}: another vocabulary than this command learns; expected {', '.join(SPECIAL_TOKENS)} as tokens "
            f"0 to {len(SPECIAL_TOKENS) - 1}, got {found}: give a checkpoint that this command wrote"
        )
    return tokenizer


def _vocabulary(text: Path, settings: VocabularySettings, work_dir: Path) -> Tokenizer:
    file = work_dir / f"vocabulary-{digest_text(text, json.dumps(asdict(settings)))}.json"
    if not file.is_file():
        _LOG.info("learning the vocabulary")
        paragraphs = (paragraph for document in read_documents(text) for paragraph in document.paragraphs)
        file.parent.mkdir(parents=True, exist_ok=True)
        half_done = file.with_suffix(".half-done")
        learn_vocabulary(paragraphs, **asdict(settings)).save(str(half_done))
        half_done.replace(file)
    return Tokenizer.from_file(str(file))


def export(pretraining: Pretraining, settings: PretrainingSettings, tokenizer: Tokenizer, text: PackedText) -> None:
    """Writes a standard transformers checkpoint in fp16, with tokenizer and model card; draws the loss curve.

    Raises:
        OutputError: it cannot be written; the state in the work folder stays as it is.
    """
    run = settings.run
    curve = _read_curve(pretraining.loss_file)
    card = _card(pretraining, settings, text, curve)
    kept = f"the training is kept in {run.work_dir}: run.export_only=true with another run.output_dir writes it"
    with _reported(run.output_dir, kept):
        run.output_dir.mkdir(parents=True, exist_ok=True)
        pretraining.model.as_shipped().save_pretrained(run.output_dir)
        # Written readable by its owner alone; it is there to be passed on.
        (run.output_dir / "model.safetensors").chmod(0o644)
        save_pretrained_tokenizer(tokenizer, settings.network.max_positions, run.output_dir)
        (run.output_dir / _CARD).write_text(card, encoding="utf-8")
    if curve:
        with _reported(run.work_dir, f"the checkpoint is written to {run.output_dir}, only loss.png is missing"):
            _draw(curve, run.work_dir / "loss.png")
    _LOG.info("written to %s", run.output_dir)


def _keep_card(settings: PretrainingSettings, *, is_new: bool) -> None:
    """Keeps what the card of `init` says before the run: the export may overwrite it, and the run be resumed after that."""
    kept = settings.run.work_dir / _CARD_OF_INIT
    if settings.init and (is_new or not kept.is_file()):
        card = settings.init / _CARD
        kept.write_bytes(card.read_bytes() if card.is_file() else b"")


def _read_curve(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def _card(
    pretraining: Pretraining, settings: PretrainingSettings, text: PackedText, curve: list[dict[str, Any]]
) -> str:
    network, progress, weights = settings.network, pretraining.progress, settings.text.weights
    config = pretraining.model.bert_lm.config
    n_weights = sum(weight.numel() for weight in pretraining.model.parameters())
    longest = max(phase.length for phase in settings.phases[: progress.phase + 1])
    sources = [f"| {name} | {size:,} | {weights.get(name, 1.0):g} |" for name, size in text.source_sizes().items()]
    return "\n".join(
        [
            "---\nlanguage: zh\nlibrary_name: transformers\npipeline_tag: fill-mask\n---",
            "# A small Chinese encoder for administrative prose\n",
            f"BERT with {network.n_layers} layers of width {network.width} and {network.n_heads} heads: "
            f"{n_weights / 1e6:.1f} M weights, stored in fp16.",
            f"Its {config.vocab_size:,} tokens were learned from the text below: each Han character and each digit is one,",
            "Latin words are cut into short pieces, case and full-width forms are folded.",
            *(["It went on from an earlier checkpoint, whose record stands at the end.\n"] if settings.init else [""]),
            f"Pretrained as a masked language model with `python -m train.pretrain` on {datetime.now(UTC):%Y-%m-%d}:",
            f"{progress.step:,} steps, {progress.tokens:,} tokens, {progress.seconds / 60:.0f} minutes, seed {settings.seed}.",
            f"Blocks held up to {longest} tokens{'' if settings.init else ': positions beyond were not trained'}. "
            f"{settings.masking.prob:.0%} of the tokens hidden in spans of 1 to {len(settings.masking.span_probs)}, "
            f"weight of the bag loss {settings.masking.bag_weight:g}, rate {settings.optim.lr:g}.\n",
            "## Text\n\nParagraphs that repeat were dropped. The weight is how often an epoch reads the source.\n",
            "| source | tokens | weight |\n|---|---|---|",
            *sources,
            "\n## Loss (nats per masked token)\n",
            "| tokens seen | training | held-out documents |\n|---|---|---|",
            *_curve_rows(curve),
            "\n## Use\n",
            "`AutoModel.from_pretrained(FOLDER)`, `AutoTokenizer.from_pretrained(FOLDER)`. Made to be fine-tuned, not to generate.",
            "It knows the words of the texts named above, and shares their slant.\n",
            *(_earlier(settings.run.work_dir / _CARD_OF_INIT) if settings.init else []),
        ]
    )


_BEFORE = "\n## Before\n\n"


def _earlier(card: Path) -> list[str]:
    """What the card of the checkpoint that a run went on from says of its training and of that before it, the last first."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if not text:
        return []
    own, *earlier = text.split(_BEFORE)
    told = own.split("Pretrained as a masked language model", 1)[-1].split("\n## Use", 1)[0]
    return [
        _BEFORE.lstrip("\n") + "Pretrained as a masked language model" + told.replace("\n## ", "\n### ") + "\n",
        *(_BEFORE.lstrip("\n") + part.rstrip("\n") + "\n" for part in earlier),
    ]


def _curve_rows(curve: list[dict[str, Any]]) -> list[str]:
    every = max(1, len(curve) // _POINTS_IN_CARD)
    points = curve[every - 1 :: every]
    return [f"| {c['tokens']:,} | {c['loss']:.2f} | {_rounded(c['held_out_loss'])} |" for c in points]


def _rounded(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.2f}"


def _draw(curve: list[dict[str, Any]], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    millions = [c["tokens"] / 1e6 for c in curve]
    axes.plot(millions, [c["loss"] for c in curve], label="training")
    if curve[-1]["held_out_loss"] is not None:
        axes.plot(millions, [c["held_out_loss"] for c in curve], label="held out")
    axes.set(xlabel="million tokens", ylabel="loss, nats per masked token")
    axes.legend()
    figure.savefig(file)
