"""Macro-F1 over the number of training plans, for the linear baseline and the encoder.

    python scripts/learning_curve.py GOLD.jsonl --out docs/learning_curve [--plans 10 20 40 63] [--seeds 1 2 3] [key=value …]

GOLD.jsonl holds annotated plans that are in no training set. Each point trains on the first plans of a shuffled order, once for each seed; the
encoder's thresholds are fitted on the validation plans of its run. Writes OUT.json and OUT.png; finished points are not trained again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from train.evaluation.baselines import LinearTfidf
from train.evaluation.metrics import evaluate, label_matrix
from train.resources import resource
from train.rows import Row, plan_names, read_rows, write_rows
from train.tagging import Tagger
from train.taxonomy import Taxonomy


def main() -> None:
    """Trains, scores, draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/learning_curve"))
    parser.add_argument("--plans", type=int, nargs="+", default=[10, 20, 40, 63])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("overrides", nargs="*", help="of python -m train, for every point")
    arguments = parser.parse_intermixed_args()
    taxonomy = Taxonomy.load()
    rows, gold = read_rows(resource("data") / "starter", taxonomy), read_rows(arguments.gold, taxonomy)
    store = arguments.out.with_suffix(".json")
    points: list[dict[str, Any]] = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else []
    for n_plans in arguments.plans:
        for seed in arguments.seeds:
            if any(p["plans"] == n_plans and p["seed"] == seed for p in points):
                continue
            chosen = _some_plans(rows, n_plans, seed)
            point = {"plans": n_plans, "seed": seed, "items": len(chosen)}
            point["tfidf_linear"] = _macro(gold, LinearTfidf.fit(chosen, taxonomy).predict(gold), taxonomy)
            point["encoder"] = _encoder(chosen, gold, taxonomy, seed, arguments.overrides)
            points.append(point)
            store.write_text(json.dumps(points, indent=1) + "\n", encoding="utf-8")
            print(point, flush=True)
    _draw(points, arguments.out.with_suffix(".png"))


def _some_plans(rows: list[Row], n_plans: int, seed: int) -> list[Row]:
    names = plan_names(rows)
    random.Random(seed).shuffle(names)
    inside = set(names[:n_plans])
    return [row for row in rows if row["plan"] in inside]


def _encoder(chosen: list[Row], gold: list[Row], taxonomy: Taxonomy, seed: int, overrides: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.jsonl", chosen)
        settings = [f"data.path={folder}/rows.jsonl", f"run.dir={folder}/run", f"run.seed={seed}", "run.progress=false"]
        command = [
            sys.executable,
            "-m",
            "train",
            *settings,
            "data.held_out=0.0",
            "data={n_folds: 0, validation: 0.1}",
            *overrides,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        tagged = Tagger.load(f"{folder}/run").tag_rows(gold)
    return _macro(gold, label_matrix(tagged, taxonomy.keys), taxonomy)


def _macro(gold: list[Row], predicted: np.ndarray[Any, Any], taxonomy: Taxonomy) -> float:
    return evaluate(label_matrix(gold, taxonomy.keys), predicted, [r["plan"] for r in gold], taxonomy.keys).macro_f1


def _draw(points: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for key, label in (("encoder", "BERT"), ("tfidf_linear", "TF-IDF + linear")):
        sizes = sorted({p["plans"] for p in points})
        found = [[p[key] for p in points if p["plans"] == n] for n in sizes]
        axes.plot(sizes, [float(np.mean(f)) for f in found], marker="o", label=label)
        axes.fill_between(sizes, [min(f) for f in found], [max(f) for f in found], alpha=0.15)
    axes.set(xlabel="training plans", ylabel="macro-F1, real held-out plans", ylim=(0.4, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(str(path), dpi=120)


if __name__ == "__main__":
    main()
