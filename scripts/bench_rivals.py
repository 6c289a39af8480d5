"""One measurement in a process of its own: `python scripts/bench_rivals.py NAME JOB.json` prints a line of JSON; `bench_tag.py` calls it.

JOB.json holds `rows` (a file of item rows), `n_threads`, and for some `folder` (plans as text files). Every network has the weights of the shipped
bundle. What loads, warms up or fits is not timed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench_parts import fidelity, peak, stages, work

from train.resources import resource
from train.rows import Row, read_rows
from train.tagging import Tagger
from train.tagging.bundle import MODEL, Bundle
from train.tagging.windows import cut, item_text, path_text, stack

os.environ["HF_HUB_OFFLINE"] = "1"
_WARM, _BATCH, _STEP = 64, 32, 8
_SINGLE = 50  # items in a measurement of latency
Job = dict[str, Any]
Logits = Callable[[Any], Any]


def yaodian(rows: list[Row], job: Job) -> Iterator[None]:
    """The Tagger as anybody calls it."""
    tagger = Tagger.load()
    tagger.tag(
        ["预热" + row["text"][::-1] for row in rows[:_WARM]]
    )  # no item of the measurement, which would be remembered
    yield
    tagger.tag_rows(rows)


def yaodian_single(rows: list[Row], job: Job) -> Iterator[None]:
    """The Tagger, an item at a time, in the warm-up too: a batch of one has kernels of its own for each length."""
    tagger = Tagger.load()
    for row in rows[:_WARM]:
        tagger.tag(["预热" + row["text"][::-1]])
    yield
    for row in rows:
        tagger.tag_rows([row])


def pipeline(rows: list[Row], job: Job) -> Iterator[None]:
    """transformers.pipeline as its documentation has it: items streamed, a batch size, truncation."""
    yield from _pipeline(rows, job, _BATCH)


def pipeline_sorted(rows: list[Row], job: Job) -> Iterator[None]:
    """The same with the items sorted by length beforehand, which its documentation leaves to the caller."""
    yield from _pipeline(sorted(rows, key=lambda r: len(r["text"]) + len("".join(r["path"]))), job, _BATCH)


def pipeline_single(rows: list[Row], job: Job) -> Iterator[None]:
    """The same, an item at a time."""
    yield from _pipeline(rows, job, 1)


def _pipeline(rows: list[Row], job: Job, batch: int) -> Iterator[None]:
    import torch
    from transformers import pipeline as make

    torch.set_num_threads(job["n_threads"])
    folder = str(resource("models") / "starter")
    pipe = make("text-classification", model=folder, tokenizer=folder, device="cpu", dtype=torch.float32)
    options = {
        "top_k": None,
        "function_to_apply": "sigmoid",
        "truncation": True,
        "max_length": 256,
        "batch_size": batch,
    }
    items = [{"text": r["text"], "text_pair": path_text(r["path"])} for r in rows]
    list(pipe((item for item in items[:_WARM]), **options))
    yield
    if batch == 1:
        for item in items:
            pipe(item, **options)
    else:
        list(pipe((item for item in items), **options))  # not a list: a generator is what it streams


def torch_bf16_eager(rows: list[Row], job: Job) -> Iterator[None]:
    """Torch tuned by hand: bf16 weights, sorted, padded to multiples of 8, inference mode; attention as matrix products."""
    yield from _torch(rows, job, "bfloat16", "eager")


def torch_bf16_sdpa(rows: list[Row], job: Job) -> Iterator[None]:
    """The same with torch's fused attention."""
    yield from _torch(rows, job, "bfloat16", "sdpa")


def torch_fp32_sdpa(rows: list[Row], job: Job) -> Iterator[None]:
    """The same in fp32."""
    yield from _torch(rows, job, "float32", "sdpa")


def _torch(rows: list[Row], job: Job, dtype: str, attention: str) -> Iterator[None]:
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(job["n_threads"])
    folder = resource("models") / "starter"
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation=attention
    ).eval()

    def logits(batch: Any) -> Any:
        arrays = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
        ids, mask, types = (torch.from_numpy(a) for a in arrays)
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits.float().sigmoid().numpy()

    yield from _sorted(rows, logits)


def onnxruntime_fp32(rows: list[Row], job: Job) -> Iterator[None]:
    """ONNX Runtime on the bundle's file, sorted and padded alike."""
    yield from _sorted(rows, _session(resource("models") / "starter" / MODEL, job["n_threads"]))


def onnxruntime_int8(rows: list[Row], job: Job) -> Iterator[None]:
    """The same, weights quantised to int8 and activations as they come."""
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        _whole_weights(resource("models") / "starter" / MODEL, Path(folder) / "fp32.onnx")
        quantize_dynamic(Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx")
        yield from _sorted(rows, _session(Path(folder) / "int8.onnx", job["n_threads"]))


def _session(path: Path, n_threads: int) -> Logits:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda b: session.run(
        None, {"input_ids": b.input_ids, "attention_mask": b.attention_mask, "token_type_ids": b.token_type_ids}
    )[0]


def _whole_weights(source: Path, target: Path) -> None:
    """The file without its casts of fp16 weights, behind which quantisation would not find them."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(source))
    stored = {w.name: w for w in model.graph.initializer}
    casts = [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] in stored]
    for cast in casts:
        array = numpy_helper.to_array(stored[cast.input[0]]).astype("float32")
        model.graph.initializer.append(numpy_helper.from_array(array, cast.output[0]))
        model.graph.initializer.remove(stored[cast.input[0]])
        model.graph.node.remove(cast)
    onnx.save(model, str(target))


def _sorted(rows: Sequence[Row], logits: Logits) -> Iterator[None]:
    """Windows as the bundle cuts them, sorted by length, in batches."""
    from tokenizers import Tokenizer

    bundle = Bundle.open()
    tokenizer = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))

    def run(some: Sequence[Row]) -> None:
        texts = tokenizer.encode_batch_fast([item_text(r["text"]) for r in some], add_special_tokens=False)
        paths = tokenizer.encode_batch_fast([path_text(r["path"]) for r in some], add_special_tokens=False)
        windows = [w for t, p in zip(texts, paths, strict=True) for w in cut(t.ids, p.ids, bundle.shape)]
        windows.sort(key=lambda window: len(window[0]))
        for at in range(0, len(windows), _BATCH):
            logits(stack([[w] for w in windows[at : at + _BATCH]], bundle.shape, _STEP))

    run(rows[:: max(1, len(rows) // _WARM)])
    yield
    run(rows)


def linear(rows: list[Row], job: Job) -> Iterator[None]:
    """Character TF-IDF and a linear model, fitted on the starter corpus."""
    from train.evaluation.baselines import LinearTfidf

    bundle = Bundle.open()
    model = LinearTfidf.fit(read_rows(resource("data") / "starter", bundle.taxonomy), bundle.taxonomy)
    yield
    model.predict(rows)


THROUGHPUT = (yaodian, pipeline, pipeline_sorted, torch_bf16_eager, torch_bf16_sdpa, torch_fp32_sdpa,
              onnxruntime_fp32, onnxruntime_int8, linear)  # fmt: skip
SINGLE = (yaodian_single, pipeline_single)


def main() -> None:
    """Measures what is named on the command line."""
    name, job = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    for measure in (peak, work, fidelity, stages):
        if measure.__name__ == name:
            print(json.dumps(measure(job)))
            return
    rival = next(r for r in (*THROUGHPUT, *SINGLE) if r.__name__ == name)
    rows = read_rows(job["rows"])
    if rival in SINGLE:
        rows = rows[:_SINGLE]
    run = rival(rows, job)
    next(run)
    start, used = time.perf_counter(), time.process_time()
    next(run, None)
    seconds = time.perf_counter() - start
    print(json.dumps({"items": len(rows), "seconds": seconds, "cpu_seconds": time.process_time() - used}))


if __name__ == "__main__":
    main()
