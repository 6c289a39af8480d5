"""What `bench_tag.py` measures besides rates: the peak of the machine, the work of an item, fidelity to torch, the stages of a whole job."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from train.rows import read_rows
from train.tagging import Tagger
from train.tagging.bundle import Bundle
from train.tagging.windows import cut, item_text, path_text, stack

Job = dict[str, Any]


def peak(job: Job) -> dict[str, float]:
    """Floating-point operations per second of a large matrix product in torch, the best of five."""
    import torch

    torch.set_num_threads(job["n_threads"])
    found = {}
    for name in ("float32", "bfloat16"):
        a, b = (torch.randn(2048, 2048).to(getattr(torch, name)) for _ in range(2))
        times = []
        for _ in range(6):
            start = time.perf_counter()
            torch.matmul(a, b)
            times.append(time.perf_counter() - start)
        found[name] = 2 * 2048**3 / min(times[1:])
    return found


def work(job: Job) -> dict[str, float]:
    """Floating-point operations of an item: matrix products of the layers over its tokens, padding not counted.

    The last layer computes the first token alone, and no keys or values (`train/learning/bert_layers.py`).
    """
    from tokenizers import Tokenizer

    bundle = Bundle.open()
    tokenizer = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))
    config = json.loads((bundle.folder / "config.json").read_text(encoding="utf-8"))
    layers, width, ffn = (config[k] for k in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    heads = config["num_attention_heads"]
    total, n_tokens, rows = 0.0, 0, read_rows(job["rows"])
    for row in rows:
        text, path = (tokenizer.encode(t, add_special_tokens=False) for t in (row["text"], path_text(row["path"])))
        for ids, _ in cut(text.ids, path.ids, bundle.shape):
            n_tokens += len(ids)
            total += (layers - 1) * len(ids) * (2 * (4 * width**2 + 2 * width * ffn) + 4 * width * len(ids))
            total += 2 * (4 * width**2 + 2 * width * ffn) + 4 * heads * width * len(ids)
    return {"tokens": n_tokens / len(rows), "flop": total / len(rows)}


def fidelity(job: Job) -> dict[str, Any]:
    """The Tagger's scores and labels beside those of torch in fp32, one window at a time and unpadded; and what it computed in."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(job["n_threads"])
    tagger, rows = Tagger.load(), read_rows(job["rows"])
    bundle = tagger.bundle
    tokenizer = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(bundle.folder, dtype=torch.float32).eval()
    worst, n_equal = 0.0, 0
    for row, tagged in zip(rows, tagger.tag_rows(rows), strict=True):
        text, path = (
            tokenizer.encode(item_text(t), add_special_tokens=False) for t in (row["text"], path_text(row["path"]))
        )
        logits = []
        for window in cut(text.ids, path.ids, bundle.shape):
            arrays = stack([[window]], bundle.shape)
            with torch.inference_mode():
                out = model(
                    torch.from_numpy(arrays.input_ids),
                    torch.from_numpy(arrays.attention_mask),
                    torch.from_numpy(arrays.token_type_ids),
                )
            logits.append(out.logits.numpy()[0])
        scores = 1 / (1 + np.exp(-np.max(logits, axis=0).astype(np.float64)))
        worst = max(worst, float(np.abs(scores - np.array(list(tagged["scores"].values()))).max()))
        labels = [k for k, s, c in zip(bundle.taxonomy.keys, scores, bundle.thresholds, strict=True) if s >= c]
        n_equal += labels == tagged["labels"]
    computed_in = tagger._runtime._network.precision
    return {"items": len(rows), "worst": worst, "equal": n_equal / len(rows), "precision": computed_in}


def stages(job: Job) -> dict[str, float]:
    """Seconds of each stage of files → items → tags → .xlsx, in one process, one file after another."""
    from train.plans import read_plan
    from train.tagging.writers import open_writer

    clock, spent, n_items = time.perf_counter, {"load": 0.0, "read": 0.0, "tag": 0.0, "write": 0.0}, 0

    def timed(stage: str, call: Callable[[], Any]) -> Any:
        start = clock()
        result = call()
        spent[stage] += clock() - start
        return result

    tagger = timed("load", Tagger.load)
    with tempfile.TemporaryDirectory() as folder:
        writer = open_writer(Path(folder) / "out.xlsx", tagger.bundle.taxonomy)
        timed("write", writer.__enter__)
        files = sorted(Path(job["folder"]).iterdir())
        for path in files:
            plan = timed("read", lambda path=path: read_plan(path))
            rows = timed("tag", lambda plan=plan: tagger.tag(plan))
            timed("write", lambda rows=rows: writer.write(rows))
            n_items += len(rows)
        timed("write", lambda: writer.__exit__(None, None, None))
    return spent | {"plans": len(files), "items": n_items}
