"""BERT layers that compute the same with less: weights, their names and the logits stay what they were.

The last layer of a classifier computes its first position alone, `[CLS]`, which is all that a sequence classifier reads. On a CPU the other layers
make queries, keys and values in one product, and keep their states in the type of the products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertLayer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class MergedLayer(BertLayer):
    """A BERT layer for training on a CPU.

    transformers keeps the states between layers in f32 under autocast, casts them for each of three products and their gradients back, and computes
    the softmax in f32: a fifth of a step goes into copies. Here states are cast once, and all is in the type of the products.
    """

    def forward(self, hidden_states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
        """Hidden states [n_windows, length, width] of the same; the mask is [n_windows, 1, 1 or length, length] or None."""
        attention = self.attention.self
        size = attention.attention_head_size
        states = hidden_states.to(_product_type(hidden_states))
        n_windows, length, _ = states.shape
        parts = (attention.query, attention.key, attention.value)
        merged = functional.linear(states, torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
        heads = merged.view(n_windows, length, 3, -1, size).permute(2, 0, 3, 1, 4).reshape(3, -1, length, size)
        query, key, value = heads.unbind(0)  # each [n_windows · n_heads, length, head_size]
        scores = torch.bmm(query * size**-0.5, key.transpose(1, 2))
        if attention_mask is not None:
            bias = _as_bias(attention_mask, scores.dtype)
            scores = (scores.view(n_windows, -1, length, length) + bias).view_as(scores)
        shares = functional.dropout(scores.softmax(-1), attention.dropout.p, self.training)
        attended = torch.bmm(shares, value).view(n_windows, -1, length, size).transpose(1, 2).flatten(2)
        return self.feed_forward_chunk(self.attention.output(attended, states))


class FirstPositionLayer(BertLayer):
    """A BERT layer that returns [n_windows, 1, width], and computes neither keys nor values.

    With one query q a head, its scores q·(W_k x + b_k) are (W_k' q)·x up to what all positions share, and the attended values Σ s (W_v x + b_v) are W_v
    applied to the weighted x, plus b_v Σ s: two products of one row a head instead of two of every position. The query, the output projection and the
    feed-forward part of all other positions fall away.
    """

    def forward(self, hidden_states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
        """Hidden states [n_windows, 1, width] from [n_windows, length, width]; the mask is [n_windows, 1, 1 or length, length] or None."""
        attention, first = self.attention.self, hidden_states[:, :1]
        size = attention.attention_head_size
        to_keys, to_values = (each.weight.unflatten(0, (-1, size)) for each in (attention.key, attention.value))
        # By heads first, or each window would have a copy of the weights of its own: [n_heads, n_windows, head_size]
        query = attention.query(first.squeeze(1)).unflatten(-1, (-1, size)).transpose(0, 1)
        query = torch.bmm(query, to_keys * size**-0.5).transpose(0, 1)  # [n_windows, n_heads, width]
        scores = torch.bmm(query, hidden_states.transpose(1, 2))
        if attention_mask is not None:
            scores = scores + _as_bias(attention_mask[:, 0, :1], scores.dtype)
        shares, bias = scores.softmax(-1), attention.value.bias.view(-1, 1, size)
        if self.training and attention.dropout.p:
            shares = functional.dropout(shares, attention.dropout.p)
            bias = bias * shares.sum(-1).transpose(0, 1).unsqueeze(-1)  # what is left no longer sums to 1
        attended = torch.bmm(shares, hidden_states).transpose(0, 1)  # [n_heads, n_windows, width]
        values = (torch.bmm(attended, to_values.transpose(1, 2)) + bias).transpose(0, 1).flatten(1)
        return self.feed_forward_chunk(self.attention.output(values.unsqueeze(1), first))


class ExportedLayer(FirstPositionLayer):
    """The same in products of each window by itself, for inference.

    By heads a product has a row for each window, and runtimes choose their kernel by the number of rows: an item's scores would then depend, in their
    last bit, on what is tagged beside it.
    """

    def forward(self, hidden_states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
        """As in `FirstPositionLayer`, up to rounding, without dropout."""
        attention, first = self.attention.self, hidden_states[:, :1]
        size = attention.attention_head_size
        to_keys, to_values = (each.weight.unflatten(0, (-1, size)) for each in (attention.key, attention.value))
        query = attention.query(first).unflatten(-1, (-1, size)).transpose(1, 2)  # [n_windows, n_heads, 1, head_size]
        query = (query @ (to_keys * size**-0.5)).squeeze(2)
        scores = query @ hidden_states.transpose(1, 2)
        if attention_mask is not None:
            scores = scores + _as_bias(attention_mask[:, 0, :1], scores.dtype)
        attended = scores.softmax(-1) @ hidden_states
        values = (attended.unsqueeze(2) @ to_values.transpose(1, 2)).squeeze(2).flatten(1) + attention.value.bias
        return self.feed_forward_chunk(self.attention.output(values.unsqueeze(1), first))


def _product_type(states: Tensor) -> torch.dtype:
    """In which matrix products are computed, under autocast or not."""
    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype


def _as_bias(mask: Tensor, kind: torch.dtype) -> Tensor:
    """A mask, True or 0 for what is attended to, as what is added to scores."""
    least = torch.finfo(kind).min
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=kind).masked_fill(~mask, least)
    return mask if mask.dtype == kind else mask.clamp(min=least).to(kind)


def lighten(model: PreTrainedModel) -> None:
    """Changes the layers of a BERT, in place, where its attention is eager or fused; other networks stay as they are."""
    attention = getattr(model.config, "_attn_implementation", None)
    layers: Any = model.bert.encoder.layer if hasattr(model, "bert") else []
    if attention not in ("eager", "sdpa"):
        return
    for layer in layers:
        if type(layer) is BertLayer and attention == "eager":
            layer.__class__ = MergedLayer
    if isinstance(model, BertForSequenceClassification):
        layers[-1].__class__ = FirstPositionLayer


def lighten_for_export(model: PreTrainedModel) -> bool:
    """Gives a lightened classifier, in place, the layers whose graph runtimes know best; says whether its last layer computes one position only."""
    layers: Any = model.bert.encoder.layer if isinstance(model, BertForSequenceClassification) else [None]
    for layer in layers:
        if isinstance(layer, MergedLayer):
            layer.__class__ = BertLayer
    if isinstance(layers[-1], FirstPositionLayer):
        layers[-1].__class__ = ExportedLayer
    return isinstance(layers[-1], ExportedLayer)
