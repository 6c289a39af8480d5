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


def compute_first_position_only(model: PreTrainedModel) -> None:
    """Changes the last layer of a BERT classifier, in place; other networks, and BERT with an attention of its own, stay as they are."""
    if isinstance(model, BertForSequenceClassification) and model.config._attn_implementation in ("eager", "sdpa"):
        layers: Any = model.bert.encoder.layer
        if type(layers[-1]) is BertLayer:
            layers[-1].__class__ = FirstPositionLayer
