"""Where the points come from: the tagger without pretraining, without headings, with less data, on annotated plans it never saw.

    python scripts/ablation.py GOLD.jsonl [--rows data/starter] [--only NAME …] [--out docs/ablation.json] [key=value …]

Each variant trains on the rows and is scored on GOLD.jsonl with thresholds from its validation plans. Stores every variant and prints a table.
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

from train.evaluation.metrics import evaluate, label_matrix
from train.rows import Row, plan_names, read_rows, write_rows
from train.tagging import Tagger
from train.taxonomy import Taxonomy

# name: (share of the plans, overrides)
VARIANTS: dict[str, tuple[float, list[str]]] = {
    "full": (1.0, []),
    "without pretraining": (1.0, ["encoder=untrained"]),
    "without headings": (1.0, ["data.headings=false"]),
    "half of the plans": (0.5, []),
    "a quarter of the plans": (0.25, []),
}
_SEED = 1


def main() -> None:
    """Trains, scores, stores, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", type=Path)
    parser.add_argument("--rows", type=Path, default=Path("data/starter"))
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("docs/ablation.json"))
    parser.add_argument("overrides", nargs="*", help="of python -m train, for every variant")
    arguments = parser.parse_intermixed_args()
    taxonomy = Taxonomy.load()
    rows, gold = read_rows(arguments.rows, taxonomy), read_rows(arguments.gold, taxonomy)
    found: dict[str, Any] = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    for name in arguments.only:
        if name not in found:
            share, overrides = VARIANTS[name]
            found[name] = _score(_some(rows, share), gold, taxonomy, [*overrides, *arguments.overrides])
            arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("| variant | macro-F1 | micro-F1 |\n|---|---|---|")
    for name, figures in found.items():
        print(f"| {name} | {figures['macro_f1']:.3f} | {figures['micro_f1']:.3f} |")


def _some(rows: list[Row], share: float) -> list[Row]:
    names = plan_names(rows)
    random.Random(_SEED).shuffle(names)
    inside = set(names[: round(share * len(names))])
    return [row for row in rows if row["plan"] in inside]


def _score(rows: list[Row], gold: list[Row], taxonomy: Taxonomy, overrides: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.jsonl", rows)
        settings = [
            f"data.path={folder}/rows.jsonl",
            f"run.dir={folder}/run",
            "run.progress=false",
            "data.held_out=0.0",
            "data={n_folds: 0, validation: 0.1}",
        ]
        subprocess.run([sys.executable, "-m", "train", *settings, *overrides], check=True, stdout=subprocess.DEVNULL)
        tagged = Tagger.load(f"{folder}/run").tag_rows(gold)
    predicted = label_matrix(tagged, taxonomy.keys)
    scores = evaluate(label_matrix(gold, taxonomy.keys), predicted, [r["plan"] for r in gold], taxonomy.keys)
    return {
        "items": len(rows),
        **{k: v for k, v in scores.as_dict().items() if k in ("macro_f1", "micro_f1", "ci95", "per_label")},
    }


if __name__ == "__main__":
    main()
