"""The fine-tuned network as files: fp16 safetensors for transformers, an ONNX file for onnxruntime and OpenVINO."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Smaller tensors (biases, norms, shapes) are not worth a conversion node.
_LARGE = 4096
_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class _Logits(torch.nn.Module):
    """The network as a function of three arrays."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
        """Logits float32[n_windows, n_themes]."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


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

    Args:
        model: on the CPU.
        path: of the .onnx file; the weights are inside it.
    """
    # Both the network and its wrapper in evaluation mode, or dropout is exported with it.
    wrapper = _Logits(model.eval()).eval()
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
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(_NAMES, dims),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    _halve(path)


def _halve(path: Path) -> None:
    """Stores large weights in fp16; a Cast in front of each gives the runtime fp32, which it folds when it loads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph, casts = model.graph, []
    for at, weight in enumerate(graph.initializer):
        array = numpy_helper.to_array(weight)
        if weight.data_type == TensorProto.FLOAT and array.size >= _LARGE:
            stored = f"{weight.name}.fp16"
            casts.append(helper.make_node("Cast", [stored], [weight.name], to=TensorProto.FLOAT))
            graph.initializer[at].CopyFrom(numpy_helper.from_array(array.astype("float16"), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    onnx.save(model, str(path))
