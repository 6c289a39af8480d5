"""Speed of retraining beside the stock recipe of transformers, on the same plans, from the same encoder, for as many epochs.

    python scripts/bench_train.py [--plans 40] [--epochs 5] [--repeats 1] [--threads 2] [--write docs/performance_train.json]

The stock recipe is what the text-classification example does unless told otherwise: `Trainer` in fp32, items padded to 128 tokens and cut there, the
checkpoint's dropout, its default attention. It gets this project's batch size, rates, F1 and validation plans, as its own (rate 5e-5, batches of 8)
are for networks twenty times the size. Both run as processes of their own, in turn; times count from the start of the process. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from train.resources import resource
from train.rows import plan_names, read_rows, write_rows

_EPOCH = re.compile(r"epoch (\d+): validation macro-F1 ([\d.]+)")
_SEED, _BATCH, _RATE, _LENGTH = 7, 32, 4e-4, 128


def main() -> None:
    """Runs both, stores, prints; with --stock, is the stock recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--stock", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stock:
        stock(arguments.stock, arguments.epochs, arguments.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    if arguments.write:
        arguments.write.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(figures))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and validation macro-F1 after each epoch of both, for each repeat."""
    rows = read_rows(resource("data") / "starter")
    inside = set(plan_names(rows)[: arguments.plans])
    chosen = [row for row in rows if row["plan"] in inside]
    write_rows(folder / "rows.jsonl", chosen)
    size = ["--epochs", str(arguments.epochs), "--threads", str(arguments.threads)]
    runs: dict[str, list[Any]] = {"yaodian": [], "stock": []}
    for repeat in range(arguments.repeats):
        settings = [f"data.path={folder}/rows.jsonl", f"run.dir={folder}/run{repeat}", f"optim.epochs={arguments.epochs}",
                    f"run.n_threads={arguments.threads}", "optim.min_steps=0", "data.held_out=0.0", "data={n_folds: 0, validation: 0.1}"]  # fmt: skip
        runs["yaodian"].append(_timed([sys.executable, "-m", "train", *settings]))
        runs["stock"].append(_timed([sys.executable, str(Path(__file__)), "--stock", f"{folder}/rows.jsonl", *size]))
    return {"plans": arguments.plans, "items": len(_corpus(folder / "rows.jsonl").train), "runs": runs}


def _timed(command: list[str]) -> dict[str, Any]:
    """Follows a run's lines on stderr: (epoch, seconds since its start, macro-F1) of each epoch, and seconds in all."""
    start, epochs, said = time.perf_counter(), list[tuple[int, float, float]](), list[str]()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as run:
        for line in run.stderr or ():
            said.append(line)
            if found := _EPOCH.search(line):
                epochs.append((int(found[1]), time.perf_counter() - start, float(found[2])))
    if run.returncode:
        sys.exit("".join(said[-20:]))
    return {"epochs": epochs, "seconds": time.perf_counter() - start}


def _corpus(path: Path) -> Any:
    """The plans as `python -m train` parts them."""
    from train.corpus.dataset import build_corpus
    from train.taxonomy import Taxonomy

    taxonomy = Taxonomy.load()
    rows = read_rows(path, taxonomy, annotated=True)
    return build_corpus(rows, taxonomy, held_out=0.0, validation=0.1, leakage="drop", seed=_SEED)


def stock(path: Path, epochs: int, n_threads: int) -> None:
    """Fine-tunes with transformers alone; says each epoch's validation macro-F1 as `python -m train` does."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

    from train.evaluation.metrics import best_thresholds, evaluate, label_matrix
    from train.tagging.windows import path_text
    from train.taxonomy import Taxonomy

    torch.set_num_threads(n_threads)
    set_seed(_SEED)
    keys, corpus, encoder = Taxonomy.load().keys, _corpus(path), resource("models") / "encoder"
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=len(keys), problem_type="multi_label_classification", dtype=torch.float32
    )

    def prepared(rows: Any) -> Any:
        texts, paths = [r["text"] for r in rows], [path_text(r["path"]) for r in rows]
        columns = dict(tokenizer(texts, paths, padding="max_length", max_length=_LENGTH, truncation=True))
        return Dataset.from_dict(columns | {"labels": label_matrix(rows, keys).astype("float32").tolist()})

    def figures(predicted: Any) -> dict[str, float]:
        gold = label_matrix(corpus.validation, keys)
        scores = 1 / (1 + torch.from_numpy(predicted.predictions).neg().exp().numpy())
        cuts = best_thresholds(gold, scores)
        return {"macro_f1": evaluate(gold, scores >= cuts, [r["plan"] for r in corpus.validation], keys).macro_f1}

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, num_train_epochs=epochs, per_device_train_batch_size=_BATCH, per_device_eval_batch_size=_BATCH,
            learning_rate=_RATE, warmup_steps=0.1, weight_decay=0.01, eval_strategy="epoch", save_strategy="no", report_to="none",
            use_cpu=True, seed=_SEED, disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(
            model, settings, train_dataset=prepared(corpus.train), eval_dataset=prepared(corpus.validation), compute_metrics=figures
        )  # fmt: skip
        from transformers import TrainerCallback

        class Say(TrainerCallback):
            """A line an epoch."""

            def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
                print(
                    f"stock epoch {state.epoch:.0f}: validation macro-F1 {metrics['eval_macro_f1']:.3f}",
                    file=sys.stderr,
                )

        trainer.add_callback(Say())
        trainer.train()


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown: items per second between the ends of the first and the last epoch, time to the F1 that both reach."""
    rates, bests, lines = {}, {}, []
    for name, runs in figures["runs"].items():
        rates[name] = statistics.median(_rate(run["epochs"], figures["items"]) for run in runs)
        bests[name] = statistics.median(max(f1 for _, _, f1 in run["epochs"]) for run in runs)
    goal = min(bests.values())
    lines += [
        f"| | items/s | best validation macro-F1 | seconds to {goal:.3f} | seconds in all |",
        "|---|---|---|---|---|",
    ]
    times = {}
    for name, runs in figures["runs"].items():
        reached = [min((s for _, s, f1 in run["epochs"] if f1 >= goal), default=float("nan")) for run in runs]
        times[name], total = statistics.median(reached), statistics.median(run["seconds"] for run in runs)
        lines.append(f"| {name} | {rates[name]:.1f} | {bests[name]:.3f} | {times[name]:.0f} | {total:.0f} |")
    ratios = f"{rates['yaodian'] / rates['stock']:.1f} times the items per second, the same F1 {times['stock'] / times['yaodian']:.1f} times as soon"
    return "\n".join([*lines, "", f"{figures['plans']} plans, {figures['items']:,} training items: {ratios}."])


def _rate(epochs: list[Any], n_items: int) -> float:
    (first, start, _), (last, end, _) = epochs[0], epochs[-1]
    return n_items * (last - first) / (end - start) if last > first else n_items / end


if __name__ == "__main__":
    main()
