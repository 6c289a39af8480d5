"""A last layer that computes its first position alone: `[CLS]`, which is all that a sequence classifier reads.

Keys and values still come from every position. What falls away is the query, the attention, the output projection and the feed-forward part of all
other positions: ten twelfths of the layer's matrix products, a fifth of a network of four layers, in training as in tagging. Weights, their names and
the logits stay what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn.functional import scaled_dot_product_attention
from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class FirstPositionLayer(BertLayer):
    """A BERT layer that returns [n_windows, 1, width]."""

    def forward(self, hidden_states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
        """Hidden states [n_windows, 1, width] from [n_windows, length, width]; the mask is [n_windows, 1, 1 or length, length] or None."""
        attention, first = self.attention.self, hidden_states[:, :1]
        query, key, value = (
            project(states).unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)
            for project, states in (
                (attention.query, first),
                (attention.key, hidden_states),
                (attention.value, hidden_states),
            )
        )
        attended = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if attention_mask is None else attention_mask[:, :, :1],
            dropout_p=attention.dropout.p if self.training else 0.0,
        )
        attended = self.attention.output(attended.transpose(1, 2).flatten(2), first)
        return self.feed_forward_chunk(attended)


class AbsorbedLayer(FirstPositionLayer):
    """The same for inference, without keys and values.

    With one query q a head, its scores q·(W_k x + b_k) are (W_k' q)·x up to what all positions share, and the attended values W_v x + b_v, weighted
    by shares that sum to 1, are W_v applied to the weighted x, plus b_v: two products of one row a head instead of two of every position.
    """

    def forward(self, hidden_states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
        """As in `FirstPositionLayer`, up to rounding."""
        attention, first = self.attention.self, hidden_states[:, :1]
        size = attention.attention_head_size
        to_keys, to_values = (each.weight.unflatten(0, (-1, size)) for each in (attention.key, attention.value))
        query = attention.query(first).unflatten(-1, (-1, size)).transpose(1, 2)  # [n_windows, n_heads, 1, head_size]
        query = (query @ (to_keys * size**-0.5)).squeeze(2)
        scores = query @ hidden_states.transpose(1, 2)
        if attention_mask is not None:
            scores = scores + attention_mask[:, 0, :1]
        attended = scores.softmax(-1) @ hidden_states
        values = (attended.unsqueeze(2) @ to_values.transpose(1, 2)).squeeze(2).flatten(1) + attention.value.bias
        return self.feed_forward_chunk(self.attention.output(values.unsqueeze(1), first))


def compute_first_position_only(model: PreTrainedModel) -> None:
    """Changes the last layer of a BERT classifier, in place; other networks, and BERT with an attention of its own, stay as they are."""
    if isinstance(model, BertForSequenceClassification) and model.config._attn_implementation in ("eager", "sdpa"):
        layers: Any = model.bert.encoder.layer
        if type(layers[-1]) is BertLayer:
            layers[-1].__class__ = FirstPositionLayer


def absorb_keys_and_values(model: PreTrainedModel) -> bool:
    """Makes the last layer an `AbsorbedLayer`, in place, where it computes its first position only; says whether it does."""
    layers: Any = model.bert.encoder.layer if isinstance(model, BertForSequenceClassification) else [None]
    if not isinstance(layers[-1], FirstPositionLayer):
        return False
    layers[-1].__class__ = AbsorbedLayer
    return True
