"""The fine-tuned network as an ONNX file that onnxruntime and OpenVINO open."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class _Logits(torch.nn.Module):
    """The network as a function of three arrays."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
        """Logits float32[n_windows, n_themes]."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


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
