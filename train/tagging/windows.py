"""Items as token windows: the one place that says what the network sees, in training and in tagging alike.

A window is `[CLS] text [SEP] path [SEP]` with token types 0 and 1, or `[CLS] text [SEP]` without headings. A text too long for one
window is cut into several that overlap; an item's score is the highest of its windows'. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATH_SEPARATOR = "/"

Window = tuple[list[int], int]  # token ids, where token type 1 begins


@dataclass(frozen=True, slots=True)
class WindowShape:
    """How items become windows; saved with the bundle so that tagging does as training did.

    Attributes:
        max_length: tokens of a window, special ones included.
        overlap: tokens that neighbouring windows of one item share.
        max_path: tokens of the heading path; a longer path keeps its end, the innermost headings.
        headings: whether the path is shown at all.
        cls_id, sep_id, pad_id: special tokens.
    """

    max_length: int
    overlap: int
    max_path: int
    headings: bool
    cls_id: int
    sep_id: int
    pad_id: int

    def as_dict(self) -> dict[str, Any]:
        """The shape as JSON."""
        return asdict(self)


@dataclass(slots=True)
class Windows:
    """A batch of windows, padded to the longest.

    Attributes:
        input_ids, attention_mask, token_type_ids: int64[n_windows, length].
        item: int64[n_windows], the item in the batch that a window belongs to, ascending.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    item: NDArray[np.int64]


def item_text(text: str) -> str:
    """The text as the tokenizer takes it: lone surrogates, which a JSON file can carry, are no Unicode text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def path_text(path: Sequence[str]) -> str:
    """The heading path as the network reads it."""
    return item_text(PATH_SEPARATOR.join(path))


def cut(text_ids: Sequence[int], path_ids: Sequence[int], shape: WindowShape) -> list[Window]:
    """Cuts one item.

    Args:
        text_ids: tokens of the text without special tokens.
        path_ids: tokens of the path, likewise; empty to leave it out.
        shape: lengths and special tokens.

    Returns:
        At least one window, also for an empty text.
    """
    shown = path_ids[-shape.max_path :] if shape.headings and shape.max_path else []
    tail = [*shown, shape.sep_id] if len(shown) else []
    room = shape.max_length - 2 - len(tail)
    step = max(1, room - shape.overlap)
    starts = range(0, max(1, len(text_ids) - shape.overlap), step)
    windows = []
    for start in starts:
        head = [shape.cls_id, *text_ids[start : start + room], shape.sep_id]
        windows.append((head + tail, len(head)))
    return windows


def stack(items: Sequence[Sequence[Window]], shape: WindowShape, multiple: int = 1) -> Windows:
    """Pads the windows of several items into arrays.

    Args:
        items: what `cut` gave for each item.
        shape: for the padding token.
        multiple: the padded length is a multiple of this, up to `shape.max_length`.
    """
    flat = [(at, ids, second) for at, windows in enumerate(items) for ids, second in windows]
    longest = max(len(ids) for _, ids, _ in flat)
    length = max(longest, min(shape.max_length, -(-longest // multiple) * multiple))
    ids_out = np.full((len(flat), length), shape.pad_id, dtype=np.int64)
    mask = np.zeros((len(flat), length), dtype=np.int64)
    types = np.zeros((len(flat), length), dtype=np.int64)
    for row, (_, ids, second) in enumerate(flat):
        ids_out[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        types[row, second : len(ids)] = 1
    return Windows(ids_out, mask, types, np.array([at for at, _, _ in flat], dtype=np.int64))


def highest(logits: NDArray[np.float32], item: NDArray[np.int64], n_items: int) -> NDArray[np.float32]:
    """The highest logit over each item's windows: float32[n_items, n_themes] from float32[n_windows, n_themes]."""
    pooled = np.full((n_items, logits.shape[1]), -np.inf, dtype=np.float32)
    np.maximum.at(pooled, item, logits)
    return pooled
