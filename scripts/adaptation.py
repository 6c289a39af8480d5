"""How much a few labelled plans of a new place give: going on from a bundle, from scratch, and the linear baseline.

    python scripts/adaptation.py --base PLANS --new PLANS [--rows data/starter] [--take 1 3 10] [--out docs/adaptation.json]

PLANS is `first-last`, such as p01-p75. A bundle is trained on the base plans; then the first 1, 3 and 10 of the new plans (shuffled) adapt it, train a network
from the encoder alone, and train the baseline. All are scored on the same remaining new plans. A network from the encoder needs two plans or
more, since its thresholds come from folds of them; the adapted one keeps the thresholds of the bundle.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from train.evaluation.baselines import LinearTfidf
from train.evaluation.metrics import evaluate, label_matrix
from train.rows import Row, plan_names, read_rows, write_rows
from train.taxonomy import Taxonomy

_SEED = 1
_TESTED = 20  # plans that all are scored on


def main() -> None:
    """Trains, scores, stores, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=Path("data/starter"))
    parser.add_argument("--base", required=True)
    parser.add_argument("--new", required=True)
    parser.add_argument("--take", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--out", type=Path, default=Path("docs/adaptation.json"))
    arguments = parser.parse_args()
    taxonomy = Taxonomy.load()
    rows = read_rows(arguments.rows, taxonomy)
    base, new = _between(rows, arguments.base), _between(rows, arguments.new)
    names = plan_names(new)
    random.Random(_SEED).shuffle(names)
    test = [r for r in new if r["plan"] in set(names[-_TESTED:])]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "test.jsonl", test)
        write_rows(Path(folder) / "base.jsonl", base)
        start = _train(folder, "base", "data.path=base.jsonl", "data={n_folds: 0, validation: 0.1}")
        found.append({"plans": 0, "items": 0, "adapted": start, "from_encoder": None, "tfidf_linear": None})
        for n_plans in arguments.take:
            own = [r for r in new if r["plan"] in set(names[:n_plans])]
            write_rows(Path(folder) / "own.jsonl", own)
            few = ["experiment=adapt", "init=base", "data.path=own.jsonl", "data.rehearsal=base.jsonl"]
            point = {"plans": n_plans, "items": len(own), "adapted": _train(folder, f"adapted{n_plans}", *few)}
            point["from_encoder"] = _train(folder, f"scratch{n_plans}", "data.path=own.jsonl") if n_plans > 1 else None
            tagged = LinearTfidf.fit(own, taxonomy).predict(test)
            gold, plans = label_matrix(test, taxonomy.keys), [r["plan"] for r in test]
            point["tfidf_linear"] = round(evaluate(gold, np.asarray(tagged), plans, taxonomy.keys).macro_f1, 4)
            both = LinearTfidf.fit([*base, *own], taxonomy).predict(test)
            point["tfidf_linear_with_base"] = round(evaluate(gold, np.asarray(both), plans, taxonomy.keys).macro_f1, 4)
            found.append(point)
            print(point, flush=True)
            arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _between(rows: list[Row], plans: str) -> list[Row]:
    first, last = (int(n) for n in re.findall(r"\d+", plans))
    return [r for r in rows if first <= int(re.sub(r"\D", "", r["plan"])) <= last]


def _train(folder: str, name: str, *overrides: str) -> float:
    shared = ["data.held_out=test.jsonl", "data.leakage=report", f"run.dir={name}", "run.progress=false"]
    subprocess.run(
        [sys.executable, "-m", "train", *overrides, *shared], check=True, stdout=subprocess.DEVNULL, cwd=folder
    )
    metrics = json.loads((Path(folder) / name / "metrics.json").read_text(encoding="utf-8"))
    return round(float(metrics["test"]["macro_f1"]), 4)


if __name__ == "__main__":
    main()
