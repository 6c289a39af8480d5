import copy
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
)

from train.learning.first_position import FirstPositionLayer, absorb_keys_and_values, compute_first_position_only

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_labels": 5,
}


def classifier(attention: str = "eager", dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(1)
    config = BertConfig(
        **SHAPE, attn_implementation=attention, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )
    return BertForSequenceClassification(config).eval()


def windows() -> dict[str, torch.Tensor]:
    """Three windows of 20, 7 and 1 tokens, padded to 20."""
    torch.manual_seed(2)
    mask = (torch.arange(20) < torch.tensor([[20], [7], [1]])).long()
    return {
        "input_ids": torch.randint(5, 60, (3, 20)) * mask,
        "attention_mask": mask,
        "token_type_ids": mask * (torch.arange(20) > 10),
    }


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [True, False])
def test_logits_and_gradients_are_those_of_the_whole_layer(attention: str, padded: bool) -> None:
    whole = classifier(attention)
    first = copy.deepcopy(whole)
    compute_first_position_only(first)
    batch = windows() if padded else {name: array[:1] for name, array in windows().items()}
    found, expected = first(**batch).logits, whole(**batch).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for logits in (found, expected):
        logits.square().sum().backward()
    gradients = [dict(model.named_parameters()) for model in (first, whole)]
    assert list(gradients[0]) == list(gradients[1])
    for name, weight in gradients[0].items():
        torch.testing.assert_close(weight.grad, gradients[1][name].grad, atol=1e-5, rtol=1e-4)


def test_logits_are_the_same_without_keys_and_values() -> None:
    whole: Any = classifier()
    for weights in whole.parameters():
        torch.nn.init.normal_(weights, std=0.3)  # biases too, which are 0 in a new network
    absorbed: Any = copy.deepcopy(whole)
    assert not absorb_keys_and_values(absorbed)  # not before the last layer computes its first position only
    compute_first_position_only(absorbed)
    assert absorb_keys_and_values(absorbed)
    last = absorbed.bert.encoder.layer[-1].attention.self
    last.key.forward = last.value.forward = None  # neither is called
    batch = windows()
    mask = (1 - batch["attention_mask"][:, None, None].float()) * -1e4
    with torch.inference_mode():
        torch.testing.assert_close(absorbed(**batch).logits, whole(**batch).logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            absorbed(**batch | {"attention_mask": mask}).logits, whole(**batch).logits, atol=1e-5, rtol=1e-5
        )


def test_the_last_layer_returns_one_position() -> None:
    model: Any = classifier()
    compute_first_position_only(model)
    compute_first_position_only(model)
    assert model.bert(**windows()).last_hidden_state.shape == (3, 1, 32)
    assert [type(layer) is FirstPositionLayer for layer in model.bert.encoder.layer] == [False, False, True]


def test_dropout_in_attention_is_drawn_in_training_alone() -> None:
    model: Any = classifier(dropout=0.5)
    compute_first_position_only(model)
    assert torch.equal(model(**windows()).logits, model(**windows()).logits)
    layer, states = model.bert.encoder.layer[-1], torch.randn(2, 9, 32)
    layer.train()
    layer.attention.output.dropout.p = layer.output.dropout.p = 0.0
    assert not torch.equal(layer(states), layer(states))


def test_networks_that_read_all_positions_stay_as_they_are() -> None:
    masked = BertForMaskedLM(BertConfig(**SHAPE))
    electra = ElectraForSequenceClassification(ElectraConfig(**SHAPE, embedding_size=32))
    for model in (masked, electra):
        compute_first_position_only(model)
        assert not any(isinstance(module, FirstPositionLayer) for module in model.modules())
