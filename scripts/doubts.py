"""Lists the labels that a run's out-of-fold scores contradict most: `python scripts/doubts.py RUN [--rows data/starter] [--limit 200]`.

RUN is a bundle that was trained on the rows. Prints one line a doubt: plan and place, theme, whether it is labelled, score, labels, headings, text.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from train.corpus.doubts import doubts
from train.rows import read_rows
from train.tagging.bundle import OUT_OF_FOLD
from train.taxonomy import Taxonomy


def main() -> None:
    """Reads, ranks, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rows", type=Path, default=Path("data/starter"))
    parser.add_argument("--limit", type=int, default=200)
    arguments = parser.parse_args()
    taxonomy = Taxonomy.load(arguments.run / "taxonomy.yaml")
    by_plan: dict[str, list[dict[str, object]]] = {}
    for row in read_rows(arguments.rows, taxonomy, annotated=True):
        by_plan.setdefault(row["plan"], []).append(row)
    lines = [json.loads(line) for line in (arguments.run / OUT_OF_FOLD).read_text(encoding="utf-8").splitlines()]
    rows = [by_plan[line["plan"]][line["at"]] for line in lines]
    scores = np.array([[line["scores"][key] for key in taxonomy.keys] for line in lines])
    for doubt in doubts(rows, scores, taxonomy, arguments.limit):
        row, line = rows[doubt.at], lines[doubt.at]
        place = f"{line['plan']}.{line['at']}"
        mark = "+" if doubt.labelled else "-"
        print(
            place,
            mark + doubt.theme,
            f"{doubt.score:.3f}",
            ",".join(row["labels"]) or "none",
            "/".join(row["path"]),
            row["text"],
            sep="\t",
        )


if __name__ == "__main__":
    main()
