"""The objectives of pretraining: guess hidden tokens, and say from `[CLS]` alone which tokens its piece holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertForPreTraining

from train.errors import ConfigError
from train.learning.bert_layers import lighten
from train.learning.pretraining_settings import MaskingSettings, NetworkSettings
from train.learning.pretraining_text import Batch
from train.learning.vocabulary import MASK_ID, PAD_ID

# What a fine-tuning starts from has BERT's usual dropout, whatever pretraining had.
_FINE_TUNING_DROPOUT = 0.1
# Of a checkpoint to go on from, what guessing hidden tokens alone does not need: the bag loss trains the one, nothing the other.
_MAY_LACK = ("bert.pooler.", "cls.seq_relationship.")


def hide_tokens(
    batch: Batch, vocabulary_size: int, settings: MaskingSettings, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hides tokens: 80 % become [MASK], 10 % a random token, 10 % stay.

    Returns:
        The ids with tokens hidden, int64 [n_blocks, length], and the flat indices of what is to be guessed.
    """
    lengths = np.arange(1, len(settings.span_probs) + 1)
    start_prob = settings.prob / float(np.dot(lengths, settings.span_probs))
    starts = rng.random(batch.ids.shape) < start_prob
    spans = rng.choice(lengths, size=batch.ids.shape, p=settings.span_probs)
    chosen = starts.copy()
    for extra in range(1, len(lengths)):
        chosen[:, extra:] |= (starts & (spans > extra))[:, :-extra]
    chosen &= batch.ids > MASK_ID  # the special tokens come first in the vocabulary
    fate = rng.random(batch.ids.shape)
    hidden = np.where(chosen & (fate < 0.8), MASK_ID, batch.ids)
    random_ids = rng.integers(MASK_ID + 1, vocabulary_size, size=batch.ids.shape)
    return np.where(chosen & (fate >= 0.9), random_ids, hidden), np.flatnonzero(chosen)


class MaskedLanguageModel(nn.Module):
    """A BERT that computes its loss at the hidden tokens only: a fifth of the work at the vocabulary.

    Attributes:
        bert_lm: the model as `transformers` knows it; its input and output embeddings are the same weights.
    """

    def __init__(self, network: NetworkSettings, vocabulary_size: int, device: torch.device) -> None:
        """Builds it with random weights.

        Args:
            network: its shape.
            vocabulary_size: tokens in the vocabulary.
            device: where it is going to be trained.
        """
        super().__init__()
        self.bert_lm = BertForPreTraining(
            BertConfig(
                vocab_size=vocabulary_size,
                hidden_size=network.width,
                num_hidden_layers=network.n_layers,
                num_attention_heads=network.n_heads,
                intermediate_size=network.ffn_width,
                max_position_embeddings=network.max_positions,
                hidden_dropout_prob=network.dropout,
                attention_probs_dropout_prob=network.dropout,
                pad_token_id=PAD_ID,
                tie_word_embeddings=True,
                # On a CPU the backward pass of the fused kernel takes two fifths of a step: 10,200 tokens/s against 15,400.
                attn_implementation="eager" if device.type == "cpu" else "sdpa",
            )
        )
        lighten(self.bert_lm)
        self.bert_lm.cls.seq_relationship.requires_grad_(False)  # sentence order is not asked for

    def forward(
        self, hidden: Tensor, pieces: Tensor, positions: Tensor, guess: Tensor, whole: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Two losses in nats: of the hidden tokens (mean cross-entropy), and of the bags.

        The second asks the pooled `[CLS]` of every piece for the set of its tokens: the mean over pieces of the mean over distinct tokens
        of their negative log-probability, as in bag-of-words pretraining of retrieval encoders (arXiv:2401.11248). Guessing hidden tokens
        alone never trains `[CLS]`, which is what a classifier reads.

        Args:
            hidden: int64 [n_blocks, length], ids with tokens hidden.
            pieces: int64 [n_blocks, length]; a token attends to the tokens of its own number, 0 is padding.
            positions: int64 [n_blocks, length].
            guess: int64 [n_hidden], flat indices of the hidden tokens.
            whole: int64 [n_blocks, length], ids before any was hidden.
        """
        apart = pieces[:, None, :, None] != pieces[:, None, None, :]
        kind = (
            torch.get_autocast_dtype(hidden.device.type)
            if torch.is_autocast_enabled(hidden.device.type)
            else torch.float32
        )
        # Added to the attention scores, in their own type; a mask of booleans would be added as 0 and 1 there.
        mask = torch.zeros(apart.shape, dtype=kind, device=hidden.device).masked_fill_(apart, torch.finfo(kind).min)
        states = self.bert_lm.bert(input_ids=hidden, attention_mask=mask, position_ids=positions).last_hidden_state
        flat = states.flatten(0, 1)
        logits = self.bert_lm.cls.predictions(flat[guess])
        of_tokens = nn.functional.cross_entropy(logits.float(), whole.flatten()[guess])

        starts = (positions == 0) & (pieces > 0)
        first = flat[starts.flatten()]
        pooled = self.bert_lm.bert.pooler(first[:, None])
        bags = bags_of_pieces(whole, pieces, starts, logits.shape[1])
        guesses = nn.functional.log_softmax(self.bert_lm.cls.predictions(pooled).float(), dim=1)
        return of_tokens, -(bags * guesses).sum() / len(first)

    def go_on_from(self, folder: Path) -> None:
        """Takes over the weights of a checkpoint that this module wrote.

        Args:
            folder: holds config.json and model.safetensors.

        Raises:
            ConfigError: there is no such checkpoint, or it has another shape or vocabulary.
        """
        try:
            weights = load_file(folder / "model.safetensors")
            config = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except (OSError, SafetensorError, ValueError, TypeError) as error:
            raise ConfigError(f"init={folder}: no checkpoint to go on from ({error})") from None
        own = self.bert_lm.state_dict()
        differ = [name for name, weight in weights.items() if name not in own or own[name].shape != weight.shape]
        given = {own[name].data_ptr() for name in weights if name in own}  # tied weights are written once
        differ += [n for n, w in own.items() if w.data_ptr() not in given and not n.startswith(_MAY_LACK)]
        if config.get("num_attention_heads") != self.bert_lm.config.num_attention_heads:
            differ.append("num_attention_heads")
        if differ:
            raise ConfigError(
                f"init={folder}: another network than network.* describes; they differ in {min(differ)}: "
                "give the network.* that this checkpoint was made with"
            )
        self.bert_lm.load_state_dict(own | {name: weight.float() for name, weight in weights.items()})

    def repeat_positions(self, trained: int, wanted: int) -> None:
        """Starts positions that were never seen from those that were, over and over (as Longformer does, arXiv:2004.05150).

        Without it the loss jumped from 2.4 to 4.1 when blocks grew from 128 to 320 tokens and stayed there for two million tokens.

        Args:
            trained: positions seen so far.
            wanted: positions about to be used.
        """
        table = self.bert_lm.bert.embeddings.position_embeddings.weight
        with torch.no_grad():
            for start in range(trained, wanted, trained):
                end = min(start + trained, wanted)
                table[start:end] = table[: end - start]

    def as_shipped(self) -> BertForPreTraining:
        """A copy in fp16, with the dropout that fine-tuning expects; it opens as a masked language model and as a classifier."""
        copy = BertForPreTraining(self.bert_lm.config)
        copy.load_state_dict(self.bert_lm.state_dict())
        copy.config.hidden_dropout_prob = copy.config.attention_probs_dropout_prob = _FINE_TUNING_DROPOUT
        nn.Module.to(copy, torch.float16)
        return copy


def bags_of_pieces(ids: Tensor, pieces: Tensor, starts: Tensor, vocabulary_size: int) -> Tensor:
    """Which tokens each piece holds, special ones apart: float32 [n_pieces, n_tokens], every row summing to 1."""
    piece = starts.flatten().cumsum(0) - 1
    counts = (ids.flatten() > MASK_ID) & (pieces.flatten() > 0)
    bags = torch.zeros(int(starts.sum()), vocabulary_size, device=ids.device)
    bags[piece[counts], ids.flatten()[counts]] = 1
    return bags / bags.sum(1, keepdim=True).clamp_min(1)
