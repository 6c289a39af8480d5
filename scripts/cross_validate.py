"""Compares recipes by cross-validation over annotated plans.

    python scripts/cross_validate.py NAME [--rows data/starter] [--folds 3] [--run 3] [--seeds 1] [key=value …]

Each fold's plans are held out once and scored by a network trained on the other folds, with thresholds from its validation plans. Adds a line
to --store (NAME, overrides, macro- and micro-F1 of every fold and their means) and prints all lines, best first. A fold that is already in
the store under the same name is not trained again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from train.corpus.splits import fold_plans
from train.rows import read_rows
from train.taxonomy import Taxonomy

_SPLIT_SEED = 0  # the same folds for every recipe


def main() -> None:
    """Trains, stores, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--rows", type=Path, default=Path("data/starter"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--run", type=int, help="train only the first so many folds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    parser.add_argument("--store", type=Path, default=Path("docs/cross_validation.json"))
    parser.add_argument("overrides", nargs="*", help="of python -m train")
    arguments = parser.parse_intermixed_args()
    taxonomy = Taxonomy.load()
    folds = fold_plans(read_rows(arguments.rows, taxonomy), taxonomy, arguments.folds, _SPLIT_SEED)
    found = json.loads(arguments.store.read_text(encoding="utf-8")) if arguments.store.is_file() else []
    for seed in arguments.seeds:
        for number, plans in enumerate(folds[: arguments.run], 1):
            if any((f["name"], f["seed"], f["fold"]) == (arguments.name, seed, number) for f in found):
                continue
            figures = _fold(arguments.rows, plans, seed, arguments.overrides)
            of = f"{number}/{arguments.folds}"
            found.append(
                {
                    "name": arguments.name,
                    "overrides": arguments.overrides,
                    "seed": seed,
                    "fold": number,
                    "of": of,
                    **figures,
                }
            )
            arguments.store.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _show(found)


def _fold(rows: Path, plans: list[str], seed: int, overrides: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            f"data.path={rows}",
            f"data.held_out={json.dumps(plans)}",
            "data={n_folds: 0, validation: 0.1}",
            "data.leakage=report",
        ]
        command = [
            sys.executable,
            "-m",
            "train",
            *settings,
            f"run.dir={folder}/run",
            f"run.seed={seed}",
            "run.progress=false",
            *overrides,
        ]
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        metrics = json.loads((Path(folder) / "run" / "metrics.json").read_text(encoding="utf-8"))
    test = metrics["test"]
    return {
        "macro_f1": round(test["macro_f1"], 4),
        "micro_f1": round(test["micro_f1"], 4),
        "per_label": {key: round(scores["f1"], 4) for key, scores in test["per_label"].items()},
        "ece": metrics["calibration"]["ece_after"],
        "epochs": metrics["epochs"],
        "seconds": round(time.monotonic() - start),
    }


def _show(found: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(f["name"] for f in found))
    means = {n: np.mean([f["macro_f1"] for f in found if f["name"] == n]) for n in names}
    table = Table()
    for column in ("recipe", "macro-F1", "folds", "micro-F1", "seconds a fold"):
        table.add_column(column)
    for name in sorted(names, key=lambda n: -means[n]):
        own = [f for f in found if f["name"] == name]
        micro, seconds = np.mean([f["micro_f1"] for f in own]), np.mean([f["seconds"] for f in own])
        folds = " ".join(f"{f['macro_f1']:.3f}" for f in own)
        table.add_row(name, f"{means[name]:.4f}", folds, f"{micro:.4f}", f"{seconds:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
