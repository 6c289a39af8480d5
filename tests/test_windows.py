from typing import Any

import numpy as np
import pytest
import torch
from conftest import FILLER
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from train.learning.batches import Collator, Encoded, ItemDataset, LengthGrouped
from train.learning.fit import pool
from train.tagging.bundle import Bundle
from train.tagging.runtime import Runtime
from train.tagging.windows import WindowShape, cut, highest, item_text, path_text, stack

CLS, SEP, PAD = 2, 3, 0


@st.composite
def shapes(draw: st.DrawFn) -> WindowShape:
    """Any shape that the settings allow."""
    length = draw(st.integers(16, 64))
    overlap, path = draw(st.integers(0, length // 4 - 1)), draw(st.integers(0, length // 2))
    return WindowShape(length, overlap, path, draw(st.booleans()), CLS, SEP, PAD)


@given(shape=shapes(), n_text=st.integers(0, 300), n_path=st.integers(0, 60))
def test_every_token_of_a_text_is_in_a_window(shape: WindowShape, n_text: int, n_path: int) -> None:
    text, path = list(range(1000, 1000 + n_text)), list(range(5000, 5000 + n_path))
    windows = cut(text, path, shape)
    covered = 0
    for ids, second in windows:
        assert len(ids) <= shape.max_length
        assert (ids[0], ids[second - 1], ids[-1]) == (CLS, SEP, SEP)
        part, tail = ids[1 : second - 1], ids[second:]
        start = part[0] - 1000 if part else 0
        assert part == text[start : start + len(part)]
        assert start == max(0, covered - shape.overlap)  # each begins where the last one ended, less the overlap
        covered = start + len(part)
        shown = path[-shape.max_path :] if shape.headings and shape.max_path else []
        assert tail == ([*shown, SEP] if shown else [])  # the innermost headings
    assert covered == n_text
    assert len(windows) == 1 or len(windows[-1][0]) > shape.overlap


def test_windows_are_padded_and_remember_their_item() -> None:
    shape = WindowShape(8, 1, 4, True, CLS, SEP, PAD)
    windows = stack(
        [cut([10, 11], [20], shape), cut([], [], shape), cut([10, 11, 12, 13, 14, 15, 16], [], shape)], shape
    )
    assert windows.input_ids.tolist() == [
        [CLS, 10, 11, SEP, 20, SEP, PAD, PAD],
        [CLS, SEP, PAD, PAD, PAD, PAD, PAD, PAD],
        [CLS, 10, 11, 12, 13, 14, 15, SEP],
        [CLS, 15, 16, SEP, PAD, PAD, PAD, PAD],
    ]
    assert windows.token_type_ids.tolist()[0] == [0, 0, 0, 0, 1, 1, 0, 0]
    assert windows.attention_mask.sum(axis=1).tolist() == [6, 2, 8, 4]
    assert windows.item.tolist() == [0, 1, 2, 2]


def test_an_item_scores_as_its_highest_window_in_training_and_in_tagging() -> None:
    logits = np.array([[1, -2], [3, -4], [-5, -6]], dtype=np.float32)
    item = np.array([0, 0, 1])
    assert highest(logits, item, 2).tolist() == [[3, -2], [-5, -6]]
    assert pool(torch.from_numpy(logits), torch.from_numpy(item), 2).tolist() == [[3, -2], [-5, -6]]


class Watched:
    """A queue of inferences that notes each window it is given."""

    def __init__(self, queue: Any) -> None:
        self.queue = queue
        self.seen: dict[int, dict[str, Any]] = {}

    def start_async(self, inputs: dict[str, Any], target: tuple[Any, list[int]]) -> None:
        for at, place in enumerate(target[1]):
            self.seen[place] = {name: array[at] for name, array in inputs.items()}
        self.queue.start_async(inputs, target)

    def wait_all(self) -> None:
        self.queue.wait_all()


def test_training_and_tagging_show_the_network_the_same(
    bundle: Any, rows: Any, taxonomy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Bundle.open(bundle)
    some = [*rows[:20], rows[0] | {"text": FILLER * 5 + "\ud800道", "path": ["一、" + FILLER, "\ud800(二)桥"]}]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundle / "tokenizer.json"), pad_token="[PAD]")
    items = ItemDataset(some, tokenizer, taxonomy)
    collator = Collator(opened.shape, 1.0, 0, lambda: 0)
    collator.training = False
    trained = collator([items[at] for at in range(len(some))])
    runtime = Runtime(opened)
    trunk = runtime._network._trunk
    queue = Watched(trunk.result())
    monkeypatch.setattr(trunk, "result", lambda: queue)
    runtime.scores(some)
    assert sorted(queue.seen) == list(range(len(trained["window_item"])))
    for place, window in queue.seen.items():
        width = len(window["input_ids"])
        assert width % 16 == 0 or width == opened.shape.max_length
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            assert np.array_equal(window[name], trained[name][place, :width].numpy()), name
        assert not trained["attention_mask"][place, width:].any()
    assert trained["labels"].tolist() == [[float(k in row["labels"]) for k in taxonomy.keys] for row in some]


def test_headings_are_joined_and_half_characters_become_question_marks() -> None:
    assert path_text(["一、总体", "(二)道路\udc00"]) == "一、总体/(二)道路?"
    assert item_text("河\ud800") == "河?"


def test_headings_are_hidden_by_seed_epoch_and_item_alone(rows: Any, bundle: Any, taxonomy: Any) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundle / "tokenizer.json"), pad_token="[PAD]")
    items = ItemDataset(rows, tokenizer, taxonomy)
    shape = Bundle.open(bundle).shape

    def hidden(seed: int, epoch: int, share: float = 0.3, batch: int = 5) -> list[bool]:
        collator = Collator(shape, share, seed, lambda: epoch)
        batches = [
            collator([items[i] for i in range(at, min(at + batch, len(items)))]) for at in range(0, len(items), batch)
        ]
        shown = {int(b["window_item"][w]) + at * batch for at, b in enumerate(batches) for w in range(len(b["window_item"]))
                 if b["token_type_ids"][w].any()}  # fmt: skip
        return [at not in shown for at in range(len(items))]

    assert hidden(1, 0) == hidden(1, 0, batch=11)
    assert hidden(1, 0) != hidden(1, 1)
    assert hidden(1, 0) != hidden(2, 0)
    assert sum(hidden(1, 0)) / len(items) == pytest.approx(0.3, abs=0.12)
    assert not any(hidden(1, 0, share=0.0))
    assert all(hidden(1, 0, share=1.0))


def test_joined_items_have_both_texts_and_the_themes_of_both_under_the_path_of_the_first() -> None:
    one: Encoded = {"at": 0, "text_ids": [11, 12], "path_ids": [90], "labels": [1.0, 0.0, 0.0]}
    two: Encoded = {"at": 1, "text_ids": [21], "path_ids": [91], "labels": [0.0, 0.0, 1.0]}
    collator = Collator(WindowShape(16, 0, 8, True, CLS, SEP, PAD), 0.0, 0, lambda: 0, 1.0, [two])
    batch = collator([one])
    assert batch["input_ids"].tolist() == [[CLS, 11, 12, 21, SEP, 90, SEP, *[PAD] * 9]]
    assert batch["labels"].tolist() == [[1, 0, 1]]
    assert one["labels"] == [1.0, 0.0, 0.0]
    collator.training = False
    assert collator([one])["labels"].tolist() == [[1, 0, 0]]


def test_items_that_would_not_fit_into_one_window_are_not_joined() -> None:
    item: Encoded = {"at": 0, "text_ids": list(range(10, 17)), "path_ids": [], "labels": [1.0]}
    for length, tokens in ((16, 16), (15, 9)):  # [CLS], seven and seven, [SEP]
        collator = Collator(WindowShape(length, 0, 0, True, CLS, SEP, PAD), 0.0, 0, lambda: 0, 1.0, [item])
        assert collator([item])["attention_mask"].sum(dim=1).tolist() == [tokens]


def test_items_are_joined_by_seed_epoch_and_item_alone_and_as_often_as_asked() -> None:
    items: list[Encoded] = [{"at": at, "text_ids": [at + 5], "path_ids": [], "labels": [0.0]} for at in range(300)]

    def partners(seed: int, epoch: int, batch: int = 7, share: float = 0.25) -> list[int]:
        collator = Collator(WindowShape(16, 0, 0, True, CLS, SEP, PAD), 0.0, seed, lambda: epoch, share, items)
        windows = [row for at in range(0, 300, batch) for row in collator(items[at : at + batch])["input_ids"].tolist()]
        assert collator.lengths(items, epoch) == [3 if row[2] == SEP else 4 for row in windows]  # with [CLS] and [SEP]
        return [row[2] for row in windows]  # the partner, or [SEP]

    assert partners(1, 0) == partners(1, 0, batch=11)
    assert partners(1, 0) != partners(1, 1)
    assert partners(1, 0) != partners(2, 0)
    assert sum(found != SEP for found in partners(1, 0)) / 300 == pytest.approx(0.25, abs=0.06)
    assert set(partners(1, 0, share=0.0)) == {SEP}
    assert len(set(partners(1, 0, share=1.0))) > 150


@pytest.mark.parametrize(("longest", "padded"), [(5, 16), (16, 16), (17, 32), (33, 40), (40, 40)])
def test_training_pads_to_a_multiple_of_sixteen_but_never_beyond_a_window(longest: int, padded: int) -> None:
    shape = WindowShape(40, 4, 8, True, 2, 3, 0)
    assert stack([cut(list(range(5, 5 + longest - 2)), [], shape)], shape, 16).input_ids.shape == (1, padded)


@given(n_items=st.integers(1, 60), size=st.integers(1, 16), epoch=st.integers(0, 3))
def test_an_epoch_is_full_batches_of_all_items_in_an_order_of_its_own(n_items: int, size: int, epoch: int) -> None:
    asked = []

    def lengths(epoch: int) -> list[int]:
        asked.append(epoch)
        return [7 * at % (50 + epoch) for at in range(n_items)]

    def order(seed: int, epoch: int) -> list[int]:
        sampler = LengthGrouped(size, lengths, seed)
        sampler.set_epoch(epoch)
        found = list(sampler)
        assert len(found) == len(sampler)
        return found

    found = order(5, epoch)
    assert found == order(5, epoch)
    assert asked == [0, epoch, 0, epoch]
    assert len(found) % size == 0
    assert len(found) - n_items < size
    assert sorted(found[:n_items]) == list(range(n_items))
    if n_items > 20:
        assert found != order(5, epoch + 1)
