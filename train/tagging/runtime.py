"""Runs a bundle's network without torch: tokenise, cut, infer, pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.errors import BundleError
from train.rows import Row
from train.tagging.bundle import MODEL, TOKENIZER, Bundle
from train.tagging.windows import cut, highest, item_text, path_text, stack

# Windows in one inference; larger batches gain nothing on two cores and pad more.
BATCH = 32


class Runtime:
    """OpenVINO on the CPU, in the precision its units favour (bf16 where AMX or AVX-512 BF16 is there)."""

    def __init__(self, bundle: Bundle) -> None:
        import openvino
        from tokenizers import Tokenizer

        self.bundle = bundle
        try:
            self._tokenizer = Tokenizer.from_file(str(bundle.folder / TOKENIZER))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            core = openvino.Core()
            self._model = core.compile_model(
                str(bundle.folder / MODEL), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": 1}
            )
        except Exception as error:  # both libraries raise bare exceptions of their own making
            raise BundleError(f"{bundle.folder}: cannot be loaded ({str(error).splitlines()[0][:160]})") from None

    def scores(self, rows: Sequence[Row], done: Callable[[int], None] | None = None) -> NDArray[np.float64]:
        """Scores of item rows.

        Args:
            rows: with `text` and `path`.
            done: told how many items were finished since it was last told.

        Returns:
            float64[n_items, n_themes] in [0, 1].
        """
        shape = self.bundle.shape
        texts = self._encode([item_text(r["text"]) for r in rows])
        paths = self._encode([path_text(r.get("path") or []) for r in rows])
        order = sorted(range(len(rows)), key=lambda i: len(texts[i]))
        out = np.zeros((len(rows), len(self.bundle.taxonomy)))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            windows = stack([cut(texts[i], paths[i], shape) for i in chosen], shape)
            logits = np.concatenate(
                [
                    self._infer(
                        windows.input_ids[at : at + BATCH],
                        windows.attention_mask[at : at + BATCH],
                        windows.token_type_ids[at : at + BATCH],
                    )
                    for at in range(0, len(windows.item), BATCH)
                ]
            )
            pooled = highest(logits, windows.item, len(chosen)).astype(np.float64)
            out[chosen] = 1 / (1 + np.exp(-np.clip(pooled, -60, 60)))
            if done:
                done(len(chosen))
        return out

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _infer(self, *arrays: NDArray[np.int64]) -> NDArray[np.float32]:
        names = ("input_ids", "attention_mask", "token_type_ids")
        result: Any = self._model(dict(zip(names, arrays, strict=True)))
        return np.asarray(result[0], dtype=np.float32)
