"""Runs a bundle's network without torch: tokenise, cut, infer, pool.

The scores of an item depend on its text, its headings, the bundle and the machine alone, not on what is tagged beside it: OpenVINO computes a
row alike in batches of any size, and padded to any multiple of 16 (`docs/performance.md` has the measurements).
"""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.errors import BundleError
from train.rows import Row
from train.tagging.bundle import LOGITS, MODEL, STATES, TOKENIZER, Bundle
from train.tagging.windows import Window, cut, highest, item_text, path_text, stack

# Items that are tokenised and sorted by length in one go, while those before them are inferred. 2,048 items took 4.0 s by 128, 3.4 by 512, 3.2 by
# 1,024 and 3.1 in one go: fewer batches that are not full, fewer waits for the last one.
CHUNK = 1024
# Tokens of a batch: above 1,500 or so activations leave the second-level cache of a core.
BATCH_TOKENS = 1024
# A multiple of what the units' tiles hold; padding is 7 % of the starter corpus.
LENGTH_STEP = 16
# Items whose scores are remembered, at a quarter of a kilobyte each.
REMEMBERED = 16_384
# Shapes whose kernels OpenVINO keeps: there are 16 of full batches, and last ones of all sizes. Of its default of 5,000 memory grows.
KEPT_SHAPES = 128
# In bf16 an item with a score between this and 1 less this is computed again in f32: 3.5 % of the starter items, an eighth of the time. The greatest
# difference from f32 is .0034 among the others, and .0083 over 10,000 items put together from clauses; with .15 it would be .0103 and .0107.
UNCLEAR = 0.1
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

_Item = tuple[str, str]
_Computed = tuple[NDArray[np.float32], list[int]]  # hidden states of a batch, and where its windows stand


class Runtime:
    """OpenVINO on the CPU.

    Attributes:
        bundle: what it runs.
        precision: bf16 or f32, in which the network is computed.

    Args:
        bundle: what it runs.
        n_threads: that it computes with; None for a thread a core.
    """

    def __init__(self, bundle: Bundle, n_threads: int | None = None) -> None:
        from tokenizers import Tokenizer

        openvino = _openvino()
        self.bundle = bundle
        try:
            self._tokenizer = Tokenizer.from_file(str(bundle.folder / TOKENIZER))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            core = openvino.Core()
            trunk, head = _parts(core.read_model(str(bundle.folder / MODEL)), bundle)
        except BundleError:
            raise
        except Exception as error:  # both libraries raise bare exceptions of their own making
            raise _unusable(bundle, error) from None
        self.precision = _precision(core)
        # Compiling takes .2 s without the GIL, in which the first plan can be read. Nearly every plan has an item that is unclear in bf16.
        starter = ThreadPoolExecutor(3)
        self._compiled = starter.submit(_queue, bundle, core, trunk, self.precision, n_threads)
        one = self.precision == "f32"
        self._exact = self._compiled if one else starter.submit(_queue, bundle, core, trunk, "f32", n_threads)
        self._head = starter.submit(_compile, bundle, core, head, "f32", 1)
        starter.shutdown(wait=False)
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
            for chunk, windows in self._ahead(unknown):
                for item, scores in zip(chunk, self._infer(windows), strict=True):
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

    def _infer(self, items: Sequence[Sequence[Window]]) -> NDArray[np.float64]:
        """Scores float64[n_items, n_themes] of items given as windows."""
        scores = self._run(self._compiled.result(), items)
        if self.precision != "f32":
            unclear = np.flatnonzero(((scores > UNCLEAR) & (scores < 1 - UNCLEAR)).any(axis=1)).tolist()
            if unclear:
                scores[unclear] = self._run(self._exact.result(), [items[at] for at in unclear])
        return scores

    def _run(self, queue: Any, items: Sequence[Sequence[Window]]) -> NDArray[np.float64]:
        flat = [window for windows in items for window in windows]
        logits = np.empty((len(flat), len(self.bundle.taxonomy)), dtype=np.float32)
        computed = deque[_Computed]()
        for places in _batches(flat, self.bundle.shape.max_length):
            batch = stack([[flat[at]] for at in places], self.bundle.shape, LENGTH_STEP)
            arrays = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
            queue.start_async(dict(zip(_INPUTS, arrays, strict=True)), (computed, places))
            self._finish(computed, logits)
        queue.wait_all()
        self._finish(computed, logits)
        owner = np.repeat(np.arange(len(items)), [len(windows) for windows in items])
        pooled = highest(logits, owner, len(items)).astype(np.float64)
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(pooled, -60, 60)))
        return scores

    def _finish(self, computed: deque[_Computed], logits: NDArray[np.float32]) -> None:
        """Logits of batches whose hidden states are there."""
        head = self._head.result()
        while computed:
            states, places = computed.popleft()
            logits[places] = head(states)[0]


def _parts(network: Any, bundle: Bundle) -> tuple[Any, Any]:
    """The network up to the hidden states before its head, and the head, which is computed in f32 whatever the rest is in.

    Raises:
        BundleError: it does not name them.
    """
    openvino = _openvino()
    outputs = {name: output for output in network.outputs for name in output.names}
    if missing := {LOGITS, STATES} - set(outputs):
        raise BundleError(
            f"{bundle.folder}: {MODEL} has no output named {' or '.join(sorted(missing))}; it is of another version, train it again"
        )
    states = outputs[STATES].node.input_value(0)
    given = openvino.op.Parameter(openvino.Type.f32, states.get_partial_shape())
    for reader in states.get_target_inputs():
        reader.replace_source_output(given.output(0))
    trunk = openvino.Model([states], network.get_parameters())
    return trunk, openvino.Model([outputs[LOGITS].node], [given])


def _batches(windows: Sequence[Window], max_length: int) -> Iterator[list[int]]:
    """Places of windows of about one length at a time, as many as BATCH_TOKENS allow, the longest first.

    All but the last are full, so that OpenVINO meets few shapes; it makes kernels for each, in .01 s or so. Where `max_length` is no multiple of
    LENGTH_STEP, the longest windows are padded to it and share a batch with nothing shorter.
    """
    order = sorted(range(len(windows)), key=lambda at: -len(windows[at][0]))
    n_odd = sum(len(ids) > max_length // LENGTH_STEP * LENGTH_STEP for ids, _ in windows)
    at = 0
    while at < len(order):
        length = -(-len(windows[order[at]][0]) // LENGTH_STEP) * LENGTH_STEP
        size = max(1, BATCH_TOKENS // length)
        end = min(at + size, n_odd) if at < n_odd else at + size
        yield order[at:end]
        at = end


def _openvino() -> Any:
    """OpenVINO without its converter of models, which takes half of the import (.4 s) and brings a module that reports over the network."""
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    sys.modules[converter] = None  # type: ignore[assignment]  # so that importing it fails, which OpenVINO provides for
    try:
        import openvino
    finally:
        del sys.modules[converter]
    return openvino


def _digest(item: _Item) -> bytes:
    return hashlib.blake2b("\0".join(item).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _unusable(bundle: Bundle, error: Exception) -> BundleError:
    return BundleError(f"{bundle.folder}: cannot be loaded ({str(error).splitlines()[0][:160]})")


def _queue(bundle: Bundle, core: Any, network: Any, precision: str, n_threads: int | None) -> Any:
    """A queue of inferences, one running on each stream."""
    queue = _openvino().AsyncInferQueue(_compile(bundle, core, network, precision, n_threads), 0)
    queue.set_callback(_keep)
    return queue


def _compile(bundle: Bundle, core: Any, network: Any, precision: str, n_threads: int | None) -> Any:
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",  # a stream for each core or two, batches side by side
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # two jobs at once would be pinned to the same cores
        "CPU_RUNTIME_CACHE_CAPACITY": KEPT_SHAPES,
    }
    if n_threads:
        settings["INFERENCE_NUM_THREADS"] = n_threads
    try:
        return core.compile_model(network, "CPU", settings)
    except Exception as error:
        raise _unusable(bundle, error) from None


def _keep(request: Any, target: tuple[deque[_Computed], list[int]]) -> None:
    computed, places = target
    computed.append((request.get_output_tensor(0).data.copy(), places))


def _precision(core: Any) -> str:
    """Bf16 where it pays, else f32.

    OpenVINO would take bf16 wherever the processor knows the type. Without matrix units (AMX) that is slower than f32: 510 ms for 330 here. Of
    the processors with bf16, those that also have fp16 arithmetic are those with AMX.
    """
    return "bf16" if {"BF16", "FP16"} <= set(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")) else "f32"
