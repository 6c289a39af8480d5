"""The fine-tuned network as files: fp16 safetensors for transformers, an ONNX file for onnxruntime and OpenVINO."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from train.learning.bert_layers import lighten_for_export
from train.tagging.bundle import LOGITS, STATES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Smaller tensors (biases, norms, shapes) are not worth a conversion node.
_LARGE = 4096
_NAMES = ("input_ids", "attention_mask", "token_type_ids")
_HIDDEN = -1e4  # added to the attention that padding gets, of which exp leaves 0
_TO_COLUMNS = [0, 2, 3, 1]  # from [n_windows, length, n_heads, head_size] to keys as columns


class _Network(torch.nn.Module):
    """The network as a function of three arrays."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._own_mask = lighten_for_export(model)
        self._states: list[Any] = []
        model.base_model.register_forward_hook(lambda _, __, output: self._states.append(output[0]))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
        """Logits float32[n_windows, n_themes], and the hidden states float32[n_windows, length or 1, width] that the head makes them of."""
        mask = attention_mask
        if self._own_mask:  # a row for each window; transformers would make a square of it, by forty nodes
            mask = (1 - mask[:, None, None].float()) * _HIDDEN
        logits = self.model(input_ids=input_ids, attention_mask=mask, token_type_ids=token_type_ids).logits
        return logits, self._states.pop()


def round_weights(model: PreTrainedModel) -> None:
    """Rounds all weights to fp16, in which a bundle stores them, so that what is scored is what is shipped."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.half().float())


def save_weights(model: PreTrainedModel, folder: Path) -> None:
    """Writes config.json and model.safetensors in fp16."""
    copy.deepcopy(model).half().save_pretrained(folder)
    # Written readable by their owner alone; a bundle is there to be passed on.
    (folder / "model.safetensors").chmod(0o644)


def export_onnx(model: PreTrainedModel, path: Path) -> None:
    """Writes the network with batch and length left open.

    It has two outputs, logits and the hidden states before the head, so that a runtime may compute the head by itself, in another precision.

    Args:
        model: on the CPU; stays as it is.
        path: of the .onnx file; the weights are inside it.
    """
    import onnx

    # Both the network and its wrapper in evaluation mode, or dropout is exported with it.
    wrapper = _Network(copy.deepcopy(model).eval()).eval()
    tokens = torch.ones(2, 16, dtype=torch.int64)
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    for name in ("torch.onnx", "onnx_ir", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            wrapper,
            (tokens, torch.ones_like(tokens), torch.zeros_like(tokens)),
            str(path),
            input_names=list(_NAMES),
            output_names=[LOGITS, STATES],
            dynamic_shapes=dict.fromkeys(_NAMES, dims),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    network = onnx.load(str(path))
    _halve(network.graph)
    _split_transpositions(network.graph)
    _strip(network)
    onnx.save(network, str(path))


def _halve(graph: Any) -> None:
    """Stores large weights in fp16; a Cast in front of each gives the runtime fp32, which it folds when it loads."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for at, weight in enumerate(graph.initializer):
        array = numpy_helper.to_array(weight)
        if weight.data_type == TensorProto.FLOAT and array.size >= _LARGE:
            stored = f"{weight.name}.fp16"
            casts.append(helper.make_node("Cast", [stored], [weight.name], to=TensorProto.FLOAT))
            graph.initializer[at].CopyFrom(numpy_helper.from_array(array.astype("float16"), stored))
    _set_nodes(graph, [*casts, *graph.node])
    del graph.value_info[:]


def _split_transpositions(graph: Any) -> None:
    """Keys become columns in two steps, as transformers has it and torch's exporter joins it.

    OpenVINO takes the second into the matrix product; one that does both it computes by itself: .3 of 12.9 ms of 960 tokens in bf16.
    """
    from onnx import helper

    nodes = []
    for node in graph.node:
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == _TO_COLUMNS:
            rows = f"{node.output[0]}.rows"
            nodes.append(helper.make_node("Transpose", [node.input[0]], [rows], f"{node.name}.rows", perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Transpose", [rows], [node.output[0]], node.name, perm=[0, 1, 3, 2]))
        else:
            nodes.append(node)
    _set_nodes(graph, nodes)


def _strip(network: Any) -> None:
    """Takes out what the exporter notes of the program: names of its files on this machine, by which the same weights would give other bytes."""
    for part in (network, network.graph, *network.graph.node, *network.graph.input, *network.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def _set_nodes(graph: Any, nodes: list[Any]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)
