"""The objective of pretraining: hide tokens of a batch, guess them with a BERT."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM

from train.learning.pretraining_settings import MaskingSettings, NetworkSettings
from train.learning.pretraining_text import Batch
from train.learning.vocabulary import MASK_ID, PAD_ID

# What a fine-tuning starts from has BERT's usual dropout, whatever pretraining had.
_FINE_TUNING_DROPOUT = 0.1


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

    def __init__(self, network: NetworkSettings, vocabulary_size: int) -> None:
        super().__init__()
        self.bert_lm = BertForMaskedLM(
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
            )
        )

    def forward(self, hidden: Tensor, pieces: Tensor, positions: Tensor, guess: Tensor, answers: Tensor) -> Tensor:
        """Mean cross-entropy in nats.

        Args:
            hidden: int64 [n_blocks, length], ids with tokens hidden.
            pieces: int64 [n_blocks, length]; a token attends to the tokens of its own number.
            positions: int64 [n_blocks, length].
            guess: int64 [n_hidden], flat indices of the hidden tokens.
            answers: int64 [n_hidden], their ids.
        """
        may_attend = pieces[:, None, :, None] == pieces[:, None, None, :]
        states = self.bert_lm.bert(input_ids=hidden, attention_mask=may_attend, position_ids=positions)
        logits = self.bert_lm.cls(states.last_hidden_state.flatten(0, 1)[guess])
        return nn.functional.cross_entropy(logits.float(), answers)

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

    def as_shipped(self) -> BertForMaskedLM:
        """A copy in fp16, with the dropout that fine-tuning expects."""
        copy = BertForMaskedLM(self.bert_lm.config)
        copy.load_state_dict(self.bert_lm.state_dict())
        copy.config.hidden_dropout_prob = copy.config.attention_probs_dropout_prob = _FINE_TUNING_DROPOUT
        nn.Module.to(copy, torch.float16)
        return copy
