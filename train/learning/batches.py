"""Items on their way into the network: token ids once, windows anew for every batch."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from train.rows import Row
from train.tagging.windows import Window, WindowShape, cut, item_text, path_text, stack
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# Torch prepares and keeps its kernels anew for every length it meets: fewer lengths are less time and memory.
_LENGTH_STEP = 16


class Encoded(TypedDict):
    """One item as token ids without special tokens; `labels` is float[n_themes]."""

    at: int
    text_ids: list[int]
    path_ids: list[int]
    labels: list[float]


class ItemDataset(torch.utils.data.Dataset[Encoded]):
    """Tokenised items."""

    def __init__(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, taxonomy: Taxonomy) -> None:
        texts = _ids(tokenizer, [item_text(r["text"]) for r in rows])
        paths = _ids(tokenizer, [path_text(r["path"]) for r in rows])
        self.items: list[Encoded] = [
            {"at": at, "text_ids": t, "path_ids": p, "labels": [float(k in r.get("labels", ())) for k in taxonomy.keys]}
            for at, (t, p, r) in enumerate(zip(texts, paths, rows, strict=True))
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> Encoded:
        return self.items[at]


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    return list(tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])


class Collator:
    """Makes a batch: `labels` float32[n_items, n_themes] first, then the windows and `window_item` int64[n_windows].

    While training, the path of an item is hidden with probability `heading_dropout`, and with probability `joining` another item follows its text,
    whose themes it then has too. The draws depend on seed, epoch and item alone, so that a resumed run and a run over several processes draw as an
    uninterrupted one does.
    """

    def __init__(
        self,
        shape: WindowShape,
        heading_dropout: float,
        seed: int,
        epoch: Callable[[], int],
        joining: float = 0.0,
        partners: Sequence[Encoded] = (),
    ) -> None:
        self.shape, self.heading_dropout, self.seed, self.epoch = shape, heading_dropout, seed, epoch
        self.joining, self.partners = joining, partners
        self.training = True

    def __call__(self, items: Sequence[Encoded]) -> dict[str, Any]:
        """The batch of some items."""
        if self.training:
            items = [self._joined(item, self.epoch()) for item in items]
        windows = stack(
            [self._windows(item, self.epoch()) for item in items],
            self.shape,
            _LENGTH_STEP,
        )
        return {
            "labels": torch.tensor(np.array([i["labels"] for i in items], dtype=np.float32)),
            "input_ids": torch.from_numpy(windows.input_ids),
            "attention_mask": torch.from_numpy(windows.attention_mask),
            "token_type_ids": torch.from_numpy(windows.token_type_ids),
            "window_item": torch.from_numpy(windows.item),
        }

    def lengths(self, items: Sequence[Encoded], epoch: int) -> list[int]:
        """Tokens of each item's longest window in an epoch of training, by which batches are put together."""
        return [max(len(ids) for ids, _ in self._windows(self._joined(item, epoch), epoch)) for item in items]

    def _windows(self, item: Encoded, epoch: int) -> list[Window]:
        hidden = self.training and self._draw("", epoch, item["at"]).random() < self.heading_dropout
        return cut(item["text_ids"], [] if hidden else item["path_ids"], self.shape)

    def _joined(self, item: Encoded, epoch: int) -> Encoded:
        """An item alone or with another after it, where both fit into one window."""
        if not self.partners or (draw := self._draw("join", epoch, item["at"])).random() >= self.joining:
            return item
        other = self.partners[draw.randrange(len(self.partners))]
        text = [*item["text_ids"], *other["text_ids"]]
        if len(cut(text, item["path_ids"], self.shape)) > 1:
            return item
        return {
            **item,
            "text_ids": text,
            "labels": [max(both) for both in zip(item["labels"], other["labels"], strict=True)],
        }

    def _draw(self, what: str, epoch: int, at: int) -> random.Random:
        return random.Random(f"{what}{self.seed}/{epoch}/{at}")


class LengthGrouped(LengthGroupedSampler):
    """Batches of items of like length, in an order that seed and epoch alone decide.

    All batches are full, the last one by going round to the first items again: several processes then share every batch evenly, and
    their mean gradient is the one of a single process. `lengths` gives those of an epoch, by its number.
    """

    def __init__(self, batch_size: int, lengths: Callable[[int], list[int]], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths(0), generator=torch.Generator())
        self.lengths_of, self.seed, self.epoch = lengths, seed, 0

    def __len__(self) -> int:
        size: int = self.batch_size
        return math.ceil(len(self.lengths) / size) * size

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of an epoch, also of one that is resumed."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.lengths = self.lengths_of(self.epoch)
        self.generator.manual_seed(self.seed * 1_000_003 + self.epoch)
        order = list(super().__iter__())
        return (order[at % len(order)] for at in range(len(self)))
