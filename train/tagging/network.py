"""A bundle's network in OpenVINO: windows in, logits out.

A window's logits depend on its tokens, the bundle and the machine alone, not on what is computed beside it: OpenVINO computes a row alike in batches
of any size, and padded to any multiple of 16 (`docs/performance.md` has the measurements).
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.errors import BundleError
from train.tagging.bundle import LOGITS, MODEL, STATES, Bundle
from train.tagging.windows import Window, stack

# Tokens of a batch: above 1,500 or so activations leave the second-level cache of a core.
BATCH_TOKENS = 1024
# A multiple of what the units' tiles hold; padding is 7 % of the starter corpus.
LENGTH_STEP = 16
# Kernels that OpenVINO keeps, of its own accord 5,000. There are 16 shapes of full batches, and up to 6 of last ones for each length.
KEPT_SHAPES = 128
# In bf16 a window with a score between these is computed again in f32: 2.3 % of the starter windows, 7.1 % of 10,000 items put together from clauses.
# The greatest difference of a score from f32 is .0033 then, and .0043. High scores need less: between .9 and .95 a logit's error is half of what it is
# between .05 and .1.
UNCLEAR = (0.1, 0.85)
_UNCLEAR = tuple(np.log(share / (1 - share)) for share in UNCLEAR)
# Values of ONEDNN_MAX_CPU_ISA, oneDNN's own switch, that leave bf16 out.
_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

_Computed = tuple[NDArray[np.float32], list[int]]  # hidden states of a batch, and where its windows stand


class Network:
    """The network on the CPU.

    Attributes:
        precision: bf16 or f32, in which it is computed, but for its head, which always is in f32.

    Args:
        bundle: whose network it is.
        n_threads: that it computes with; None for a thread a core.

    Raises:
        BundleError: the file cannot be loaded, or is of another version.
    """

    def __init__(self, bundle: Bundle, n_threads: int | None = None) -> None:
        openvino = _openvino()
        self._bundle = bundle
        try:
            core = openvino.Core()
            trunk, head = _parts(core.read_model(str(bundle.folder / MODEL)), bundle)
        except BundleError:
            raise
        except Exception as error:  # OpenVINO raises bare exceptions of its own making
            raise unusable(bundle, error) from None
        self.precision = _precision(core)
        # Compiling takes .2 s without the GIL, in which the first plan can be read. Nearly every plan has an item that is unclear in bf16.
        starter = ThreadPoolExecutor(3)
        self._trunk = starter.submit(_queue, bundle, core, trunk, self.precision, n_threads)
        one = self.precision == "f32"
        self._exact = self._trunk if one else starter.submit(_queue, bundle, core, trunk, "f32", n_threads)
        self._head = starter.submit(_compile, bundle, core, head, "f32", 1)
        starter.shutdown(wait=False)

    def logits(self, parts: Iterable[Sequence[Window]]) -> Iterator[NDArray[np.float32]]:
        """Logits of windows, in the order they came; one thread at a time may ask.

        The next part is started before the one before it is awaited, so that all streams have work until the end. What is unclear in bf16 is computed
        again in f32, as soon as it fills a batch, beside what has not been computed at all.

        Args:
            parts: windows; those of one part are sorted into batches together.

        Yields:
            float32[n_windows, n_themes] of each part.
        """
        begun = deque[_Part]()
        for windows in parts:
            begun.append(part := _Part(windows, len(self._bundle.taxonomy)))
            for places in self._batches(windows, range(len(windows))):
                self._start(self._trunk, part, places)
                self._collect(part)
                self._recompute(part)
            for earlier in list(begun)[:-1]:
                self._collect(earlier)
                self._recompute(earlier, all_of_it=True)
            while begun[0].n_left == 0 and len(begun) > 1:
                yield begun.popleft().logits
        self._trunk.result().wait_all()
        for part in begun:
            self._collect(part)
            self._recompute(part, all_of_it=True)
        self._exact.result().wait_all()
        for part in begun:
            self._collect(part)
            yield part.logits

    def _batches(self, windows: Sequence[Window], places: Iterable[int]) -> Iterator[list[int]]:
        return _batches(windows, places, self._bundle.shape.max_length)

    def _start(self, network: Future[Any], part: _Part, places: list[int]) -> None:
        n_rows = _rounded(len(places), len(part.windows[places[0]][0]))
        rows = places + places[-1:] * (n_rows - len(places))  # the last one again, which is not looked at
        batch = stack([[part.windows[at]] for at in rows], self._bundle.shape, LENGTH_STEP)
        arrays = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
        found = part.computed if network is self._trunk else part.recomputed
        network.result().start_async(dict(zip(_INPUTS, arrays, strict=True)), (found, places))

    def _collect(self, part: _Part) -> None:
        """Puts down the logits of batches whose hidden states are there, and the places of those that are unclear in bf16."""
        head = self._head.result()
        for found in (part.computed, part.recomputed):
            while found:
                states, places = found.popleft()
                logits = part.logits[places] = head(states)[0]
                part.n_left -= len(places)
                if found is part.computed and self.precision != "f32":
                    again = ((logits > _UNCLEAR[0]) & (logits < _UNCLEAR[1])).any(axis=1)
                    part.unclear += [places[at] for at in np.flatnonzero(again)]
                    part.n_left += int(again.sum())

    def _recompute(self, part: _Part, all_of_it: bool = False) -> None:
        batches = list(self._batches(part.windows, part.unclear))
        part.unclear = batches.pop() if batches and not all_of_it else []  # the last one may yet be filled
        for places in batches:
            self._start(self._exact, part, places)


class _Part:
    """Windows on their way.

    Attributes:
        windows: the windows.
        logits: float32[n_windows, n_themes], filled as they come.
        n_left: windows whose logits are not there, or will be computed again.
        computed, recomputed: what came out of each network and is not put down.
        unclear: places of windows to compute again.
    """

    def __init__(self, windows: Sequence[Window], n_themes: int) -> None:
        self.windows = windows
        self.logits = np.empty((len(windows), n_themes), dtype=np.float32)
        self.n_left = len(windows)
        self.computed, self.recomputed = deque[_Computed](), deque[_Computed]()
        self.unclear = list[int]()


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
    _widen_tables(network)
    states = outputs[STATES].node.input_value(0)
    given = openvino.op.Parameter(openvino.Type.f32, states.get_partial_shape())
    for reader in states.get_target_inputs():
        reader.replace_source_output(given.output(0))
    trunk = openvino.Model([states], network.get_parameters())
    return trunk, openvino.Model([outputs[LOGITS].node], [given])


def _widen_tables(network: Any) -> None:
    """Makes embeddings, stored in fp16, f32 while loading. OpenVINO would look tokens up in fp16, by a kernel that takes 4 % of the time in bf16."""
    for node in network.get_ops():
        if node.get_type_name() == "Gather":
            table = node.input_value(0).node
            if table.get_type_name() == "Convert" and table.input_value(0).node.get_type_name() == "Constant":
                data = table.input_value(0).node.get_data().astype(np.float32)
                node.input(0).replace_source_output(_openvino().op.Constant(data).output(0))


def _batches(windows: Sequence[Window], places: Iterable[int], max_length: int) -> Iterator[list[int]]:
    """Places of windows of about one length at a time, as many as BATCH_TOKENS allow, the longest first; all but the last are full.

    Where `max_length` is no multiple of LENGTH_STEP, the longest windows are padded to it and share a batch with nothing shorter.
    """
    order = sorted(places, key=lambda at: -len(windows[at][0]))
    n_odd = sum(len(windows[at][0]) > max_length // LENGTH_STEP * LENGTH_STEP for at in order)
    at = 0
    while at < len(order):
        size = _full(len(windows[order[at]][0]))
        end = min(at + size, n_odd) if at < n_odd else at + size
        yield order[at:end]
        at = end


def _full(n_tokens: int) -> int:
    """How many windows of a length make a full batch."""
    return max(1, BATCH_TOKENS // (-(-n_tokens // LENGTH_STEP) * LENGTH_STEP))


def _rounded(n_windows: int, n_tokens: int) -> int:
    """The power of two above, or a full batch.

    OpenVINO makes kernels for each shape, in .01 s or so, and keeps them: with last batches of all sizes a job grew by 50 MiB from its sixth
    second to its sixtieth, with these by 23.
    """
    return min(1 << (n_windows - 1).bit_length(), _full(n_tokens))


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


def unusable(bundle: Bundle, error: Exception) -> BundleError:
    """What to raise where a library could not load a file of the bundle."""
    return BundleError(f"{bundle.folder}: cannot be loaded ({str(error).splitlines()[0][:160]})")


def _queue(bundle: Bundle, core: Any, network: Any, precision: str, n_threads: int | None) -> Any:
    """A queue of inferences, one running on each stream and one ready for it: without, a stream waits for Python, .03 of the time."""
    compiled = _compile(bundle, core, network, precision, n_threads)
    queue = _openvino().AsyncInferQueue(compiled, 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
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
        raise unusable(bundle, error) from None


def _keep(request: Any, target: tuple[deque[_Computed], list[int]]) -> None:
    computed, places = target
    computed.append((request.get_output_tensor(0).data[: len(places)].copy(), places))


def _precision(core: Any) -> str:
    """Bf16 where it pays, else f32.

    OpenVINO would take bf16 wherever the processor knows the type. Intel's without matrix units (AMX) do its products at the rate of f32: 510 ms for
    330 here; those with AMX are the ones that also have fp16 arithmetic. AMD's do them at twice the rate: 12 ms for 22.
    """
    units = set(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    fast = "FP16" in units or (
        core.get_property("CPU", "FULL_DEVICE_NAME").startswith("AMD")
        # Capabilities are the processor's, whatever oneDNN may use of it; where that leaves bf16 out, bf16 would be emulated or fail.
        and os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in _WITHOUT_BF16
    )
    return "bf16" if "BF16" in units and fast else "f32"
