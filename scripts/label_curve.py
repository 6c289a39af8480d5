"""Macro-F1 over the number of labels, where `yaodian label next` says what to label and where chance does.

    python scripts/label_curve.py --out docs/label_curve [--seeds 1 2 3 4 5] [--strategies random balanced] [--step 100] [--budget 1600]
    python scripts/label_curve.py --encoder --seeds 1 [optim.epochs=4 …]

Labelling is played through on the starter corpus. For each seed a fifth of its items, in whole plans, is held out, and 100 items of the other plans, drawn at
random, have labels. Each round trains a model on what is labelled, scores it on the held-out plans, and uncovers the labels of as many more items as --step
says. The model is the linear baseline, or with --encoder a bundle of `python -m train` with the overrides that follow. Writes OUT.json and OUT.png; what OUT.json
holds already is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from train.corpus.near_duplicates import Seen
from train.corpus.splits import split_plans
from train.evaluation.baselines import LinearTfidf
from train.evaluation.metrics import FloatArray, evaluate, label_matrix
from train.labeling.selection import STRATEGIES, margins, select
from train.resources import resource
from train.rows import Row, read_rows, write_rows
from train.tagging import Tagger
from train.taxonomy import Taxonomy

HELD_OUT = 0.2
COST = 5.0  # what cross-validation chooses on 100, on 800 and on 1,600 starter items, left out since it takes twenty times as long
Model = Callable[[list[Row], list[Row], int], FloatArray]  # labelled rows, rows to score, seed → margins


def main() -> None:
    """Plays, scores, draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/label_curve"))
    parser.add_argument("--rows", type=Path, default=resource("data") / "starter")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=["random", "balanced"])
    parser.add_argument("--start", type=int, default=100)
    parser.add_argument("--step", type=int, default=100)
    parser.add_argument("--budget", type=int, default=1600)
    parser.add_argument("--encoder", action="store_true")
    parser.add_argument("overrides", nargs="*", help="of python -m train, with --encoder")
    arguments = parser.parse_intermixed_args()
    taxonomy = Taxonomy.load()
    rows = read_rows(arguments.rows, taxonomy, annotated=True)
    name = "encoder" if arguments.encoder else "tfidf_linear"
    model = _encoder(taxonomy, arguments.overrides) if arguments.encoder else _linear(taxonomy)
    store = arguments.out.with_suffix(".json")
    runs: list[dict[str, Any]] = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else []
    for seed in arguments.seeds:
        for strategy in arguments.strategies:
            run = {"model": name, "strategy": strategy, "seed": seed, "step": arguments.step}
            if any(run.items() <= done.items() for done in runs):
                continue
            sizes = range(arguments.start, arguments.budget + 1, arguments.step)
            points = dict(zip(sizes, _play(rows, taxonomy, model, strategy, seed, sizes), strict=True))
            runs.append(run | {"macro_f1": {str(n): round(f1, 4) for n, f1 in points.items()}})
            store.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
            print(*run.values(), *(f"{n}:{f1:.3f}" for n, f1 in points.items()), flush=True)
    curves = {s: _curve(runs, name, s, arguments.step) for s in STRATEGIES}
    _say(curves)
    _draw({s: c for s, c in curves.items() if c}, name, arguments.out.with_suffix(".png"))


def _play(rows: list[Row], taxonomy: Taxonomy, model: Model, strategy: str, seed: int, sizes: range) -> Iterator[float]:
    """Macro-F1 on the held-out plans at each number of labels."""
    inside = set(split_plans(rows, taxonomy, held_out=HELD_OUT, validation=0.0, seed=seed).train)
    pool, test = [r for r in rows if r["plan"] in inside], [r for r in rows if r["plan"] not in inside]
    order = np.random.default_rng(seed).permutation(len(pool)).tolist()
    labelled, rest = order[: sizes.start], order[sizes.start :]
    seen = Seen()
    for at in labelled:
        seen.add(pool[at]["text"])
    for size in sizes:
        known = [pool[at] for at in labelled]
        unread = [] if strategy == "random" else [pool[at] for at in rest]
        scored = model(known, [*test, *unread], seed)
        gold = label_matrix(test, taxonomy.keys)
        yield evaluate(gold, scored[: len(test)] >= 0, [r["plan"] for r in test], taxonomy.keys).macro_f1
        if size == sizes[-1]:
            return
        if strategy == "random":  # near-duplicates too: nothing is known of what an annotator would meet
            new = rest[: sizes.step]
        else:
            positive = label_matrix(known, taxonomy.keys).sum(axis=0).tolist()
            texts = [pool[at]["text"] for at in rest]
            picks = select(texts, scored[len(test) :], positive, seen, sizes.step, strategy, seed)
            new = [rest[pick.at] for pick in picks]
        labelled += new
        rest = [at for at in rest if at not in set(new)]


def _linear(taxonomy: Taxonomy) -> Model:
    return lambda known, rows, _: LinearTfidf.fit(known, taxonomy, COST).decide(rows)


def _encoder(taxonomy: Taxonomy, overrides: list[str]) -> Model:
    def margin(known: list[Row], rows: list[Row], seed: int) -> FloatArray:
        with tempfile.TemporaryDirectory() as folder:
            write_rows(Path(folder) / "rows.jsonl", known)
            settings = [f"data.path={folder}/rows.jsonl", f"run.dir={folder}/run", f"run.seed={seed}"]
            settings += ["run.progress=false", "data.held_out=0.0", "data={n_folds: 0, validation: 0.1}", *overrides]
            subprocess.run([sys.executable, "-m", "train", *settings], check=True, stdout=subprocess.DEVNULL)
            tagger = Tagger.load(f"{folder}/run")
            scores = [[row["scores"][k] for k in taxonomy.keys] for row in tagger.tag_rows(rows)]
        return margins(np.array(scores), tagger.bundle.thresholds)

    return margin


def _curve(runs: list[dict[str, Any]], model: str, strategy: str, step: int) -> dict[int, list[float]]:
    """Macro-F1 of every seed by number of labels."""
    curve: dict[int, list[float]] = {}
    for run in runs:
        if (run["model"], run["strategy"], run["step"]) == (model, strategy, step):
            for size, f1 in run["macro_f1"].items():
                curve.setdefault(int(size), []).append(f1)
    return curve


def _say(curves: dict[str, dict[int, list[float]]]) -> None:
    """With how many labels a strategy's mean reaches what chance has with all of them."""
    if not curves["random"]:
        return
    budget = max(curves["random"])
    goal = float(np.mean(curves["random"][budget]))
    for strategy, curve in curves.items():
        if strategy != "random" and curve:
            enough = [n for n in sorted(curve) if np.mean(curve[n]) >= goal]
            says = f"{enough[0]} labels, {enough[0] / budget:.0%}" if enough else "no number of labels tried"
            print(f"random with {budget} labels: {goal:.3f}; {strategy} is there with {says}")


def _draw(curves: dict[str, dict[int, list[float]]], model: str, path: Path) -> None:
    from matplotlib.figure import Figure

    names = {"random": "random", "balanced": "label next", "uncertain": "label next --strategy uncertain"}
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for strategy, curve in curves.items():
        sizes = sorted(curve)
        axes.plot(sizes, [float(np.mean(curve[n])) for n in sizes], marker="o", markersize=3, label=names[strategy])
        axes.fill_between(sizes, [min(curve[n]) for n in sizes], [max(curve[n]) for n in sizes], alpha=0.15)
        if strategy == "random":
            axes.axhline(float(np.mean(curve[sizes[-1]])), color="grey", linewidth=0.8, linestyle="--")
    title = {"encoder": "BERT", "tfidf_linear": "TF-IDF + linear"}[model]
    axes.set(xlabel="labelled items", ylabel="macro-F1, held-out plans", title=title, ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(str(path), dpi=120)


if __name__ == "__main__":
    main()
