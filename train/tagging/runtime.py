"""Runs a bundle without torch: tokenise, cut, compute, pool, and remember.

The scores of an item depend on its text, its headings, the bundle and the machine alone, not on what is tagged beside it (`train.tagging.network`).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from train.rows import Row
from train.tagging.bundle import TOKENIZER, Bundle
from train.tagging.network import Network, unusable
from train.tagging.windows import Window, cut, highest, item_text, path_text

# Items that are tokenised and sorted by length in one go, while those before them are inferred. 2,048 items took 4.0 s by 128, 3.4 by 512, 3.2 by
# 1,024 and 3.1 in one go: fewer batches that are not full, fewer waits for the last one.
CHUNK = 1024
# Items whose scores are remembered, at a quarter of a kilobyte each.
REMEMBERED = 16_384

_Item = tuple[str, str]


class Runtime:
    """A bundle at work on the CPU.

    Attributes:
        bundle: what it runs.

    Args:
        bundle: what it runs.
        n_threads: that it computes with; None for a thread a core.

    Raises:
        BundleError: a file of the bundle cannot be loaded.
    """

    def __init__(self, bundle: Bundle, n_threads: int | None = None) -> None:
        from tokenizers import Tokenizer

        self.bundle = bundle
        self._network = Network(bundle, n_threads)  # compiled in the background
        try:
            self._tokenizer = Tokenizer.from_file(str(bundle.folder / TOKENIZER))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        except Exception as error:  # tokenizers raises bare exceptions
            raise unusable(bundle, error) from None
        self._remembered: OrderedDict[bytes, bytes] = OrderedDict()  # digest of an item: its scores
        self._lock = Lock()

    def scores(self, rows: Sequence[Row], done: Callable[[int], None] | None = None) -> NDArray[np.float64]:
        """Scores of item rows; several threads may ask, and take turns.

        Args:
            rows: with `text` and `path`.
            done: told how many items were finished since it was last told.

        Returns:
            float64[n_items, n_themes] in [0, 1].
        """
        out = np.zeros((len(rows), len(self.bundle.taxonomy)))
        places: dict[_Item, list[int]] = {}  # each item once, however often it occurs
        for at, row in enumerate(rows):
            places.setdefault((item_text(row["text"]), path_text(row.get("path") or [])), []).append(at)

        with self._lock:
            unknown, n_done = list[_Item](), 0
            for item, occurrences in places.items():
                if (scores := self._recall(item)) is None:
                    unknown.append(item)
                else:
                    out[occurrences] = scores
                    n_done += len(occurrences)
            if done and n_done:
                done(n_done)
            for chunk, found in self._infer(self._ahead(unknown)):
                for item, scores in zip(chunk, found, strict=True):
                    out[places[item]] = scores
                    self._remember(item, scores)
                if done:
                    done(sum(len(places[item]) for item in chunk))
        return out

    def _recall(self, item: _Item) -> NDArray[np.float64] | None:
        key = _digest(item)
        if (scores := self._remembered.get(key)) is None:
            return None
        self._remembered.move_to_end(key)
        return np.frombuffer(scores)

    def _remember(self, item: _Item, scores: NDArray[np.float64]) -> None:
        self._remembered[_digest(item)] = scores.tobytes()
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def _ahead(self, items: Sequence[_Item]) -> Iterator[tuple[Sequence[_Item], list[list[Window]]]]:
        """Chunks of items with their windows; the next chunk is tokenised, without the GIL, while one is inferred."""
        chunks = [items[at : at + CHUNK] for at in range(0, len(items), CHUNK)]
        if len(chunks) < 2:
            yield from ((chunk, self._windows(chunk)) for chunk in chunks)
            return
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._windows, chunks[0])
            for at, chunk in enumerate(chunks):
                windows = coming.result()
                if at + 1 < len(chunks):
                    coming = pool.submit(self._windows, chunks[at + 1])
                yield chunk, windows

    def _windows(self, items: Sequence[_Item]) -> list[list[Window]]:
        texts, paths = (
            self._tokenizer.encode_batch_fast(list(part), add_special_tokens=False) for part in zip(*items, strict=True)
        )
        return [cut(text.ids, path.ids, self.bundle.shape) for text, path in zip(texts, paths, strict=True)]

    def _infer(
        self, chunks: Iterable[tuple[Sequence[_Item], list[list[Window]]]]
    ) -> Iterator[tuple[Sequence[_Item], NDArray[np.float64]]]:
        """Chunks of items with their scores float64[n_items, n_themes]."""
        begun = deque[tuple[Sequence[_Item], list[int]]]()  # with the number of windows of each item

        def windows() -> Iterator[list[Window]]:
            for items, windows in chunks:
                begun.append((items, [len(own) for own in windows]))
                yield [window for own in windows for window in own]

        for logits in self._network.logits(windows()):
            items, n_windows = begun.popleft()
            owner = np.repeat(np.arange(len(items)), n_windows)
            pooled = highest(logits, owner, len(items)).astype(np.float64)
            yield items, 1 / (1 + np.exp(-np.clip(pooled, -60, 60)))


def _digest(item: _Item) -> bytes:
    return hashlib.blake2b("\0".join(item).encode("utf-8", "surrogatepass"), digest_size=16).digest()
