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
from transformers.models.bert.modeling_bert import BertLayer

from train.learning.bert_layers import ExportedLayer, FirstPositionLayer, MergedLayer, lighten, lighten_for_export

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
def test_logits_and_gradients_are_those_of_whole_layers(attention: str, padded: bool) -> None:
    whole: Any = classifier(attention)
    for weights in whole.parameters():
        torch.nn.init.normal_(weights, std=0.1)  # biases too, which are 0 in a new network
    light = copy.deepcopy(whole)
    lighten(light)
    batch = windows() if padded else {name: array[:1] for name, array in windows().items()}
    found, expected = light(**batch).logits, whole(**batch).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for logits in (found, expected):
        logits.square().sum().backward()
    gradients = [dict(model.named_parameters()) for model in (light, whole)]
    assert list(gradients[0]) == list(gradients[1])
    for name, weight in gradients[0].items():
        # A bias of keys moves all scores of a query alike, which changes nothing; whole layers leave rounding there.
        given = torch.zeros_like(weight) if weight.grad is None else weight.grad
        torch.testing.assert_close(given, gradients[1][name].grad, atol=2e-5, rtol=1e-4)


def test_a_light_network_is_as_close_to_fp32_in_bf16_as_a_whole_one() -> None:
    whole: Any = classifier()
    light = copy.deepcopy(whole)
    lighten(light)
    exact = whole(**windows()).logits
    with torch.autocast("cpu", torch.bfloat16):
        errors = [(model(**windows()).logits.float() - exact).abs().max() for model in (light, whole)]
    assert 0 < errors[0] < 2 * errors[1]


def test_states_between_light_layers_are_in_the_type_of_the_products() -> None:
    light: Any = classifier()
    lighten(light)
    kinds = []
    for layer in light.bert.encoder.layer:
        layer.register_forward_hook(lambda _, __, states: kinds.append(states.dtype))
    light(**windows())
    with torch.autocast("cpu", torch.bfloat16):
        light(**windows())
    assert kinds == [torch.float32] * 3 + [torch.bfloat16] * 3


def test_the_last_layer_of_a_classifier_computes_one_position_without_keys_and_values() -> None:
    model: Any = classifier()
    lighten(model)
    lighten(model)
    assert [type(layer) for layer in model.bert.encoder.layer] == [MergedLayer, MergedLayer, FirstPositionLayer]
    last = model.bert.encoder.layer[-1].attention.self
    last.key.forward = last.value.forward = None  # neither is called
    assert model.bert(**windows()).last_hidden_state.shape == (3, 1, 32)


def test_masks_may_be_rows_of_what_is_added() -> None:
    whole: Any = classifier()
    light = copy.deepcopy(whole)
    lighten(light)
    batch = windows()
    mask = (1 - batch["attention_mask"][:, None, None].float()) * -1e4
    with torch.inference_mode():
        found = light(**batch | {"attention_mask": mask}).logits
        torch.testing.assert_close(found, whole(**batch).logits, atol=1e-5, rtol=1e-5)


def test_an_exported_network_has_the_layers_of_transformers_but_the_last() -> None:
    model: Any = classifier()
    assert not lighten_for_export(model)
    lighten(model)
    assert lighten_for_export(model)
    whole = classifier()
    assert [type(layer) for layer in model.bert.encoder.layer] == [BertLayer, BertLayer, ExportedLayer]
    torch.testing.assert_close(model(**windows()).logits, whole(**windows()).logits, atol=1e-6, rtol=1e-5)


def test_fused_attention_is_kept_but_in_the_last_layer() -> None:
    model: Any = classifier("sdpa")
    lighten(model)
    assert [type(layer) for layer in model.bert.encoder.layer] == [BertLayer, BertLayer, FirstPositionLayer]


def test_dropout_in_attention_is_drawn_in_training_alone() -> None:
    model: Any = classifier(dropout=0.5)
    lighten(model)
    assert torch.equal(model(**windows()).logits, model(**windows()).logits)
    states = torch.randn(2, 9, 32)
    for layer in model.bert.encoder.layer[1:]:
        layer.train()
        layer.attention.output.dropout.p = layer.output.dropout.p = 0.0
        assert not torch.equal(layer(states), layer(states))


def test_dropout_in_the_last_layer_is_that_of_its_attention() -> None:
    """All values are the same, [1, 1, …]: what is attended is the sum of the shares that are left, in both kinds of layer alike."""
    whole: Any = classifier(dropout=0.5)
    layer = whole.bert.encoder.layer[-1].train()
    with torch.no_grad():
        layer.attention.self.value.weight.zero_()
        layer.attention.self.value.bias.fill_(1.0)
    layer.attention.output.dropout.p = layer.output.dropout.p = 0.0
    states, seen = torch.randn(1, 9, 32), []
    layer.attention.output.dense.register_forward_pre_hook(lambda _, given: seen.append(given[0][:, 0].detach()))
    for kind in (BertLayer, FirstPositionLayer):
        layer.__class__ = kind
        torch.manual_seed(3)
        means = []
        for _ in range(400):
            layer(states)
            means.append(seen.pop())
        drawn = torch.cat(means)
        assert drawn.std() > 0.1
        torch.testing.assert_close(drawn.mean(), torch.tensor(1.0), atol=0.1, rtol=0)
        heads = drawn.unflatten(1, (4, 8))
        torch.testing.assert_close(heads, heads[..., :1].expand_as(heads))  # one draw a head


def test_networks_that_read_all_positions_compute_all_and_others_stay_as_they_are() -> None:
    masked: Any = BertForMaskedLM(BertConfig(**SHAPE, attn_implementation="eager"))
    electra = ElectraForSequenceClassification(ElectraConfig(**SHAPE, embedding_size=32))
    lighten(masked)
    lighten(electra)
    assert [type(layer) for layer in masked.bert.encoder.layer] == [MergedLayer] * 3
    assert not any(isinstance(module, (MergedLayer, FirstPositionLayer)) for module in electra.modules())
