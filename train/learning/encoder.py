"""The network to fine-tune: shipped, local, from a hub, from a bundle, or built here with random weights."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import EncoderError
from train.learning.settings import EncoderSettings
from train.resources import resource
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BUILTIN = "builtin"
_VOCABULARY_SIZE = 5000


def find_encoder(settings: EncoderSettings, init: str | None) -> str | None:
    """The folder or hub id to load; None for random weights.

    Raises:
        EncoderError: a folder that is named but not there.
    """
    if init:
        path = Path(init)
        bundle = path if path.is_dir() else resource(init)
        if not (bundle / "config.json").is_file():
            raise EncoderError(
                f"init={init}: no bundle there; expected a folder with config.json and model.safetensors"
            )
        return str(bundle)
    if settings.path == BUILTIN:
        folder = resource("models") / "encoder"
        return str(folder) if (folder / "config.json").is_file() else None
    if (
        settings.path is not None
        and Path(settings.path).is_dir()
        and not (Path(settings.path) / "config.json").is_file()
    ):
        raise EncoderError(
            f"{settings.path}: no encoder there; expected config.json, model.safetensors and tokenizer.json"
        )
    return settings.path


def load_tokenizer(source: str | None, texts: Sequence[str]) -> PreTrainedTokenizerBase:
    """The encoder's tokenizer; for random weights one learned from the training texts.

    Raises:
        EncoderError: it cannot be loaded.
    """
    if source is None:
        from train.learning.vocabulary import as_pretrained, learn_vocabulary

        learned = learn_vocabulary(texts, size=_VOCABULARY_SIZE, min_count=1, n_latin=200, max_latin_chars=4)
        return as_pretrained(learned, 512)
    from transformers import AutoTokenizer

    tokenizer = _load(AutoTokenizer, source, {})
    missing = [n for n in ("cls_token_id", "sep_token_id", "pad_token_id") if getattr(tokenizer, n, None) is None]
    if missing or not tokenizer.is_fast:
        raise EncoderError(f"{source}: not a BERT-like tokenizer ({', '.join(missing) or 'no tokenizer.json'})")
    return tokenizer


def load_model(source: str | None, settings: EncoderSettings, taxonomy: Taxonomy, n_tokens: int) -> PreTrainedModel:
    """A sequence classifier with one logit a theme.

    Weights are fp32 whatever the checkpoint stores; a classification layer of another taxonomy is replaced by a new one.

    Raises:
        EncoderError: it cannot be loaded.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

    names: dict[str, Any] = {
        "num_labels": len(taxonomy),
        "id2label": dict(enumerate(taxonomy.keys)),
        "label2id": {k: i for i, k in enumerate(taxonomy.keys)},
        "problem_type": "multi_label_classification",
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.dropout,
        "classifier_dropout": settings.dropout,
    }
    if source is None:
        config = BertConfig(
            vocab_size=n_tokens,
            hidden_size=settings.width,
            num_hidden_layers=settings.n_layers,
            num_attention_heads=settings.n_heads,
            intermediate_size=settings.ffn_width,
            max_position_embeddings=max(512, settings.max_length),
            **names,
        )
        return BertForSequenceClassification(config)
    model = _load(
        AutoModelForSequenceClassification, source, names | {"dtype": torch.float32, "ignore_mismatched_sizes": True}
    )
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and positions < settings.max_length:
        raise EncoderError(f"{source}: takes {positions} tokens; set encoder.max_length={positions} or less")
    return model


def window_shape(
    tokenizer: PreTrainedTokenizerBase, max_length: int, overlap: int, max_path: int, headings: bool
) -> WindowShape:
    """How items become windows for this tokenizer."""
    ids = (int(tokenizer.cls_token_id), int(tokenizer.sep_token_id), int(tokenizer.pad_token_id))
    return WindowShape(max_length, overlap, max_path, headings, *ids)


def _load(loader: Any, source: str, arguments: dict[str, Any]) -> Any:
    local = Path(source).is_dir()
    if local:
        _refuse_code(Path(source))
    try:
        return loader.from_pretrained(
            source, local_files_only=local or _offline(), trust_remote_code=False, **arguments
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        advice = "not a readable checkpoint" if local else _ADVICE
        raise EncoderError(f"encoder {source}: {advice} ({first[:160]})") from None


_ADVICE = (
    "cannot be fetched; without a network give a folder, encoder.path=FOLDER, or use encoder=yaodian, which is shipped"
)


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "True", "ON", "on", "YES", "yes")


def _refuse_code(folder: Path) -> None:
    """A checkpoint that wants its own Python code to run is refused before anything is loaded."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(config, dict) and config.get("auto_map"):
        raise EncoderError(f"encoder {folder}: it asks to run code of its own (auto_map), which is never done")
