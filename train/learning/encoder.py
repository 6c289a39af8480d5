"""The network to fine-tune: shipped, local, from a hub, from a bundle, or built here with random weights."""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import EncoderError, listed
from train.learning.settings import EncoderSettings
from train.resources import resource
from train.tagging.bundle import bundle_folder
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BUILTIN = "builtin"
_VOCABULARY_SIZE = 5000
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # name or owner/name; anything else is meant as a folder
_REACH_SECONDS = 5


def find_encoder(settings: EncoderSettings, init: str | None) -> str | None:
    """The folder or hub id to load; None for random weights.

    Raises:
        EncoderError: a folder that is named but not there.
    """
    if init:
        bundle = bundle_folder(init)
        if not (bundle / "config.json").is_file():
            raise EncoderError(
                f"init={init}: no bundle there; expected a folder with config.json and model.safetensors"
            )
        return str(bundle)
    if settings.path == BUILTIN:
        folder = resource("models") / "encoder"
        if not (folder / "config.json").is_file():
            raise EncoderError(
                f"encoder {settings.name}: {folder} is not there; install again, or give encoder.path=FOLDER"
            )
        return str(folder)
    if settings.path is None:
        return None
    named = Path(settings.path)
    if (named.is_dir() or not _HUB_ID.fullmatch(settings.path)) and not (named / "config.json").is_file():
        raise EncoderError(
            f"encoder.path={settings.path}: no encoder there; expected a folder with config.json, model.safetensors and tokenizer.json"
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

    if Path(source).is_dir() and not any((Path(source) / name).is_file() for name in _TOKENIZERS):
        raise EncoderError(f"encoder {source}: no tokenizer there; expected {' or '.join(_TOKENIZERS)}")
    tokenizer = _load(AutoTokenizer, source, {})
    missing = [n for n in ("cls_token_id", "sep_token_id", "pad_token_id") if getattr(tokenizer, n, None) is None]
    if missing or not tokenizer.is_fast:
        raise EncoderError(f"encoder {source}: not a BERT-like tokenizer ({', '.join(missing) or 'no tokenizer.json'})")
    return tokenizer


def load_model(source: str | None, settings: EncoderSettings, taxonomy: Taxonomy, n_tokens: int) -> PreTrainedModel:
    """A sequence classifier with one logit a theme.

    Weights are fp32 whatever the checkpoint stores; a classification layer of another taxonomy is replaced by a new one.

    Raises:
        EncoderError: it cannot be loaded.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

    from train.learning.bert_layers import lighten

    names: dict[str, Any] = {
        "num_labels": len(taxonomy),
        "id2label": dict(enumerate(taxonomy.keys)),
        "label2id": {k: i for i, k in enumerate(taxonomy.keys)},
        "problem_type": "multi_label_classification",
    }
    dropouts = {
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.attention_dropout,
        "classifier_dropout": settings.head_dropout,
    }
    names |= {name: prob for name, prob in dropouts.items() if prob is not None}
    if not torch.cuda.is_available():
        names["attn_implementation"] = "eager"  # see MaskedLanguageModel: the fused kernel trains slowly on a CPU
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
        model = BertForSequenceClassification(config)
    else:
        arguments = names | {"dtype": torch.float32, "ignore_mismatched_sizes": True, "output_loading_info": True}
        model, loading = _load(AutoModelForSequenceClassification, source, arguments)
        _require_whole(model, source, loading)
        _require_bert_like(model.config, source, settings.max_length, n_tokens)
        if _has_as_many_other_themes(source, taxonomy):
            _renew_head(model)
    lighten(model)
    return model


def _require_whole(model: PreTrainedModel, source: str, loading: dict[str, Any]) -> None:
    """Refuses a checkpoint that lacks weights of the encoder, or has them in other sizes: transformers makes random ones of them without a word.

    The classification layer and a pooler before it may be new.
    """
    named = [
        str(each[0] if isinstance(each, tuple) else each)
        for kind in ("missing_keys", "mismatched_keys")
        for each in loading[kind]
    ]
    lacking = sorted(
        name for name in named if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name
    )
    if lacking:
        raise EncoderError(
            f"encoder {source}: its weights do not fit its config.json ({listed(lacking, ', ', 3)}); copy the checkpoint again"
        )


def _has_as_many_other_themes(source: str, taxonomy: Taxonomy) -> bool:
    """Whether a folder holds a classifier of other themes, or another order, that transformers takes for one of these, as their number is the same."""
    try:
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
        classifies = any(name.endswith("ForSequenceClassification") for name in config["architectures"])
        keys = [config["id2label"][str(at)] for at in range(len(taxonomy))]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return classifies and len(config["id2label"]) == len(taxonomy) and keys != taxonomy.keys


def _renew_head(model: PreTrainedModel) -> None:
    from torch import nn

    head: Any = model.classifier
    for layer in head.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=getattr(model.config, "initializer_range", 0.02))
            nn.init.zeros_(layer.bias)


def _require_bert_like(config: Any, source: str, max_length: int, n_tokens: int) -> None:
    positions = getattr(config, "max_position_embeddings", None)
    if positions and positions < max_length:
        raise EncoderError(f"encoder {source}: takes {positions} tokens; set encoder.max_length={positions} or less")
    if getattr(config, "type_vocab_size", 0) < 2:
        raise EncoderError(
            f"encoder {source}: not BERT-like, it knows no token types and could not tell headings from text"
        )
    if config.vocab_size < n_tokens:
        raise EncoderError(
            f"encoder {source}: its tokenizer has {n_tokens} tokens, its network {config.vocab_size}; they do not belong together"
        )


def window_shape(
    tokenizer: PreTrainedTokenizerBase, max_length: int, overlap: int, max_path: int, headings: bool
) -> WindowShape:
    """How items become windows for this tokenizer."""
    ids = (int(tokenizer.cls_token_id), int(tokenizer.sep_token_id), int(tokenizer.pad_token_id))
    return WindowShape(max_length, overlap, max_path, headings, *ids)


def _load(loader: Any, source: str, arguments: dict[str, Any]) -> Any:
    """From a folder, else from what the hub left on this machine, else from the hub."""
    arguments = arguments | {"trust_remote_code": False}
    if Path(source).is_dir():
        _refuse_code(Path(source))
        try:
            return loader.from_pretrained(source, local_files_only=True, **arguments)
        except _FAULTS as error:
            raise EncoderError(f"encoder {source}: not a readable checkpoint ({_first_line(error)})") from None
    try:
        return loader.from_pretrained(source, local_files_only=True, **arguments)
    except _FAULTS:
        _require_hub(source)
    try:
        return loader.from_pretrained(source, **arguments)
    except _FAULTS as error:
        raise EncoderError(f"encoder {source}: cannot be fetched; {_WITHOUT_HUB} ({_first_line(error)})") from None


_TOKENIZERS = ("tokenizer.json", "vocab.txt")  # without either transformers makes one that knows no word
_FAULTS = (OSError, ValueError, RuntimeError, KeyError, ImportError, TypeError)
_WITHOUT_HUB = "without a network give a folder, encoder.path=FOLDER, or use encoder=yaodian, which is shipped"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _require_hub(source: str) -> None:
    """Asks the hub once, since its client tries for a minute before it says that there is none.

    Raises:
        EncoderError: the hub does not answer within seconds, or is switched off.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "ON", "YES"):
        why = "HF_HUB_OFFLINE is set"
    else:
        why = _why_unreachable(constants.ENDPOINT)
    if why:
        raise EncoderError(f"encoder {source}: is not on this machine and cannot be fetched; {_WITHOUT_HUB} ({why})")


def _why_unreachable(url: str) -> str:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # the hub's own address
    try:
        with urllib.request.urlopen(request, timeout=_REACH_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""  # an answer
    except urllib.error.URLError as error:
        # The hub's client brings certificates of its own.
        return "" if isinstance(error.reason, ssl.SSLError) else f"{url} does not answer: {error.reason}"
    except OSError as error:
        return f"{url} does not answer: {error}"


def _refuse_code(folder: Path) -> None:
    """A checkpoint that wants its own Python code to run is refused before anything is loaded."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(config, dict) and config.get("auto_map"):
        raise EncoderError(f"encoder {folder}: it asks to run code of its own (auto_map), which is never done")
